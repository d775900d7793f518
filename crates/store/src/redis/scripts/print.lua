-- Keys: epoch, print. Arguments: token of an epoch, its version, what was read, time to live in ms.
-- Answers with what was read first under this epoch, or '' if it is not the epoch any more.
local function get(key)
  local value = redis.pcall('GET', key)
  return type(value) == 'string' and value or ''
end

-- See `versions.lua`. One that is being written may stay; who has read under it is told of.
local epoch = get(KEYS[1])
local form = string.sub(epoch, 1, 1)
local token = form == 'C' and string.sub(epoch, 2)
  or string.sub(epoch, 1, 2) == 'M0' and string.sub(epoch, 3, 18)
if token ~= ARGV[1] then
  return { '' }
end
local kept = get(KEYS[2])
if #kept == 48 and string.sub(kept, 1, 16) == ARGV[2] then
  redis.pcall('PEXPIRE', KEYS[2], ARGV[4])
  return { string.sub(kept, 17) }
end
-- Where this fails, nobody is told.
redis.pcall('SET', KEYS[2], ARGV[2] .. ARGV[3], 'PX', ARGV[4])
return { ARGV[3] }
