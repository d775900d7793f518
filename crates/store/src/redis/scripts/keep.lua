-- Keys: term, members, ledger.
-- Arguments: fresh generation, '1' to rotate, instance, lease in ms, time to live in ms, channel,
-- notice, what this server's clock had shown at least when this was sent, or ''.
-- Answers with the term (identity, generation), whether it is a new one, whether there was a
-- ledger, the time in ms, and how many members there are.
--
-- The term ends when the first membership does, and with it all that was recorded under it.
local fresh, force, instance, lease, ttl, channel, notice, sent = unpack(ARGV)
local server = identity()
if not server then
  return redis.error_reply('READONLY this server is not a master')
end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local term = redis.pcall('GET', KEYS[1])
local known = type(term) == 'string' and #term == 56 and string.sub(term, 1, 40) == server

local ledger = redis.call('EXISTS', KEYS[3])

-- A member that fell silent may have had bumps that never came. If all are gone at once, evicted for
-- one, one of them may be silent of whom nobody will know.
local silent = redis.pcall('ZRANGEBYSCORE', KEYS[2], '-inf', now)
if silent.err then
  redis.call('DEL', KEYS[2])
  silent = {}
end
local lost = redis.call('EXISTS', KEYS[2]) == 0
if #silent > 0 then
  redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
end

local ends = math.min(now, tonumber(sent) or now) + lease
local joined = redis.pcall('ZADD', KEYS[2], ends, instance)
if type(joined) ~= 'number' then
  -- Who is no member must not be served what it may outdate without a word.
  redis.call('DEL', KEYS[1])
  return joined
end
redis.pcall('PEXPIRE', KEYS[2], ttl)
local first = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')
local lasts = math.max(1, tonumber(first[2]) - now)

local rotate = force == '1' or not known or lost or #silent > 0
if rotate then
  term = server .. fresh
  local done = redis.pcall('SET', KEYS[1], term, 'PX', lasts)
  if done.err then
    -- Without a term nobody serves anything, which is as good as a new one.
    redis.call('DEL', KEYS[1])
    return done
  end
  -- What is kept near was recorded under the generation before.
  post(KEYS[3], server, '', channel, notice)
else
  redis.call('PEXPIRE', KEYS[1], lasts)
end
return { term, rotate and 1 or 0, ledger, now, redis.call('ZCARD', KEYS[2]) }
