-- Keys: ledger, as `post` describes it; for 'join' and 'beat', term.
-- Arguments: operation, server, time to live in ms, then
--   'join': member, fresh id, how many members at most, the member's former name if it had one;
--   'beat': ledger, member, applied, '1' if the ledger is ripe, then the channels of writers that
--     wait for an acknowledgement;
--   'leave': member;
--   'strike': ledger, then members and how often they had renewed.
-- 'join' and 'beat' answer with id and sequence, or with nothing to whom is not a member, and to
-- nobody while there is no term: a member of the database has fallen silent, and may be writing.
local operation, server, ttl = ARGV[1], ARGV[2], ARGV[3]
local ledger = KEYS[1]
local held = redis.pcall('HMGET', ledger, 'id', 'server', 'sequence', 'ripe')
-- Whatever cannot be read has been garbled: it is nobody's, and a new one takes its place.
local known = not held.err and held[2] == server and legible(held[1], held[3])
local id, sequence = held[1], tonumber(held[3])
-- Until it is ripe every mark waits for as long as a lease lasts. If nobody is left who could say
-- that it is, it is soon gone.
local function keep(ripe)
  redis.call('PEXPIRE', ledger, ripe and ttl or math.min(ttl, 10000))
end
if (operation == 'join' or operation == 'beat') and redis.call('EXISTS', KEYS[2]) == 0 then
  return {}
end

if operation == 'join' then
  local member, fresh, most = ARGV[4], ARGV[5], tonumber(ARGV[6])
  local kept
  if known and ARGV[7] then
    redis.call('HDEL', ledger, ARGV[7])
  end
  if not known then
    redis.call('DEL', ledger)
    id, sequence = fresh, 0
    kept = redis.pcall('HSET', ledger, 'id', id, 'server', server, 'ripe', '0', 'sequence', '0')
  elseif redis.call('HLEN', ledger) >= 4 + most then
    return {}
  end
  if type(kept) ~= 'table' then
    kept = redis.pcall('HSET', ledger, member, string.format('%.0f:0', sequence))
  end
  if type(kept) == 'table' then
    return kept
  end
  keep(known and held[4] == '1')
  return { id, sequence }
end

if operation == 'beat' then
  local asked, member, applied, ripe = ARGV[4], ARGV[5], ARGV[6], ARGV[7]
  local state = known and id == asked and redis.call('HGET', ledger, member)
  local beats = state and tonumber(string.match(state, '^%d+:(%d+)$'))
  if not beats then
    return {}
  end
  local kept = redis.pcall('HSET', ledger, member, string.format('%s:%.0f', applied, beats + 1))
  if type(kept) == 'table' then
    return {}
  end
  if ripe == '1' then
    redis.pcall('HSET', ledger, 'ripe', '1')
  end
  keep(ripe == '1' or held[4] == '1')
  for n = 8, #ARGV do
    redis.pcall('PUBLISH', ARGV[n], id .. member .. string.format('%014.0f', tonumber(applied)))
  end
  return { id, sequence }
end

if operation == 'leave' then
  redis.pcall('HDEL', ledger, ARGV[4])
elseif operation == 'strike' and known and id == ARGV[4] then
  for n = 5, #ARGV, 2 do
    local state = redis.call('HGET', ledger, ARGV[n])
    -- Who finds its own garbled does not renew it, but joins under another name.
    if state and (string.match(state, '^%d+:(%d+)$') or '0') == ARGV[n + 1] then
      redis.call('HDEL', ledger, ARGV[n])
    end
  end
end
return {}
