-- Whether a ledger has an id and a sequence, as `post` describes them.
local function legible(id, sequence)
  return id and #id == 16 and sequence and string.match(sequence, '^%d+$')
end
