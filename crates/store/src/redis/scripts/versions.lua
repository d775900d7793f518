-- Keys: version objects, epoch, term, ledger.
-- Arguments: operation, mark, lease in ms, time to live in ms, server, writer, channel, notice,
-- then one fresh token per object.
-- Answers with what each object is now, 'X' for one that had to be removed; and, if replies that
-- are kept near may have been outdated, with what `post` answers; and after a bump with epoch and
-- term as they are then.
--
-- A version object is 'C' and a token while it is current. While it is being written it is 'M',
-- '1' if a mark has ended with a change or without a word, the token from before, and the marks:
-- 16 bytes of name and 14 digits of Unix time in ms, at which it lapses.
local operation, mark, lease, ttl = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local ledger, term, epoch = table.remove(KEYS), table.remove(KEYS), table.remove(KEYS)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local ends = string.format('%014.0f', now + lease)

local function get(key)
  local value = redis.pcall('GET', key)
  return type(value) == 'string' and value
end

local states = {}
local posts = operation == 'mark'
for n, key in ipairs(KEYS) do
  local fresh = ARGV[8 + n]
  local state = get(key)
  local form = state and string.sub(state, 1, 1)
  -- Missing, or not ours: a token that nobody has seen.
  local changed, before, marks, write, found = false, fresh, {}, true, false
  if form == 'C' and #state == 17 then
    before, write = string.sub(state, 2), false
  elseif form == 'M' and #state >= 18 and (#state - 18) % 30 == 0 then
    changed, before, write = string.sub(state, 2, 2) == '1', string.sub(state, 3, 18), false
    for at = 19, #state, 30 do
      local other = string.sub(state, at, at + 29)
      if string.sub(other, 1, 16) == mark then
        write, found = true, true
        if operation == 'renew' then
          marks[#marks + 1] = mark .. ends
        end
      elseif tonumber(string.sub(other, 17)) <= now then
        -- Its holder is gone and may have committed.
        changed, write = true, true
      else
        marks[#marks + 1] = other
      end
    end
  end
  if operation == 'mark' then
    marks[#marks + 1], write = mark .. ends, true
  elseif operation == 'renew' and not found then
    -- It was lost with its object. What was looked up since may be kept near. One that has just
    -- ended is set for the time of a lease, which costs misses.
    marks[#marks + 1], write, posts = mark .. ends, true, true
  elseif operation == 'bump' then
    changed, write = true, true
    -- A mark that was lost, or never came, has kept nobody from remembering replies.
    posts = posts or not found
  end

  if write then
    if #marks > 0 then
      state = 'M' .. (changed and '1' or '0') .. before .. table.concat(marks)
    else
      state = 'C' .. (changed and fresh or before)
    end
    if redis.pcall('SET', key, state, 'PX', ttl).err then
      -- Out of memory, for one. A missing version has a new token next time.
      redis.call('DEL', key)
      state = 'X'
    end
  end
  states[n] = state
end
return {
  states,
  posts and post(ledger, ARGV[5], ARGV[6], ARGV[7], ARGV[8]),
  operation == 'bump' and { get(epoch), get(term) },
}
