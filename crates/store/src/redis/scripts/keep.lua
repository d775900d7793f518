-- Keys: term, members, ledger.
-- Arguments: fresh generation, '1' to rotate, instance, lease in ms, time to live in ms, channel,
-- notice.
-- Answers with the term (identity, generation), whether it is a new one, and whether there is a
-- ledger.
local fresh, force, instance, lease, ttl, channel, notice = unpack(ARGV)
local server = identity()
if not server then
  return redis.error_reply('READONLY this server is not a master')
end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local term = redis.pcall('GET', KEYS[1])
local known = type(term) == 'string' and #term == 56 and string.sub(term, 1, 40) == server

-- A member that fell silent may have had bumps that never came.
local silent = redis.pcall('ZRANGEBYSCORE', KEYS[2], '-inf', now)
if silent.err then
  redis.call('DEL', KEYS[2])
  silent = {}
end
if #silent > 0 then
  redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
end

local rotate = force == '1' or not known or #silent > 0
if rotate then
  term = server .. fresh
  local done = redis.pcall('SET', KEYS[1], term, 'PX', ttl)
  if done.err then
    -- Without a term nobody serves anything, which is as good as a new one.
    redis.call('DEL', KEYS[1])
    return done
  end
  -- What is kept near was recorded under the generation before.
  if known then
    post(KEYS[3], server, '', channel, notice)
  else
    redis.call('DEL', KEYS[3])
  end
else
  redis.call('PEXPIRE', KEYS[1], ttl)
end
redis.pcall('ZADD', KEYS[2], now + lease, instance)
redis.pcall('PEXPIRE', KEYS[2], ttl)
return { term, rotate and 1 or 0, redis.call('EXISTS', KEYS[3]) }
