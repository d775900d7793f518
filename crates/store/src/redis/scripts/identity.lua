-- Names the process behind a connection and its term as a master.
-- A restart changes run_id, a promotion master_replid.
local function identity()
  local info = redis.call('INFO', 'server') .. redis.call('INFO', 'replication')
  if not string.find(info, 'role:master', 1, true) then
    return nil
  end
  local run = string.match(info, 'run_id:(%x+)')
  local replication = string.match(info, 'master_replid:(%x+)')
  return redis.sha1hex(run .. ':' .. replication)
end
