-- Answers with the name of the server; with nothing if it is a replica.
if string.find(redis.call('INFO', 'cluster'), 'cluster_enabled:1', 1, true) then
  -- Keys of one lookup lie on different nodes.
  return redis.error_reply('CLUSTERDOWN a cluster cannot be used')
end
return identity()
