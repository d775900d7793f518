-- Posts a change in a database's ledger, so that nobody goes on serving what it outdates.
--
-- A ledger is a hash: `id`, 16 bytes; `server`, on which it was begun; `ripe`, '1' if it is older
-- than any lease from before it; `sequence`, how much was posted; and for each member, named by 16
-- bytes, what it has applied and how often it has renewed its lease, with a colon between.
--
-- Answers with the id ('' if there is no ledger, '?' if there is one, or was, that does not know all
-- members), the sequence, and the members but for the writer: name, applied and renewed.
local function post(ledger, server, writer, channel, notice)
  local held = redis.pcall('HGETALL', ledger)
  local fields, others, most = {}, {}, 0
  if not held.err then
    for n = 1, #held, 2 do
      local name, value = held[n], held[n + 1]
      if #name ~= 16 then
        fields[name] = value
      elseif name ~= writer then
        local applied, beats = string.match(value, '^(%d+):(%d+)$')
        others[#others + 1] = name
        others[#others + 1] = tonumber(applied) or 0
        others[#others + 1] = tonumber(beats) or 0
        most = math.max(most, tonumber(applied) or 0)
      end
    end
  end
  if fields.server ~= server or not legible(fields.id, fields.sequence) then
    if held.err then
      redis.call('DEL', ledger)
    elseif #held == 0 then
      return { '', 0 }
    elseif redis.call('PTTL', ledger) > 3000 then
      -- It tells others of leases too, for longer than these can last.
      redis.call('PEXPIRE', ledger, 3000)
    end
    return { '?', 0 }
  end
  local sequence = tonumber(fields.sequence)
  if most > sequence then
    -- Nobody has applied what was never posted: one of them has been garbled.
    redis.call('DEL', ledger)
    return { '?', 0 }
  end
  if #others > 0 then
    sequence = redis.pcall('HINCRBY', ledger, 'sequence', 1)
    if type(sequence) ~= 'number' then
      -- Out of memory, for one. What cannot be counted cannot be missed, so no lease may go on.
      redis.call('DEL', ledger)
      return { '?', 0 }
    end
    redis.pcall('PUBLISH', channel, fields.id .. string.format('%014.0f', sequence) .. notice)
  end
  return { fields.ripe == '1' and fields.id or '?', sequence, unpack(others) }
end
