-- Key: a claim. Arguments: the token of who asks, how long it is to last in ms, or 0.
-- Answers whether the claim is the asker's.
if redis.pcall('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
if ARGV[2] == '0' then
  redis.call('DEL', KEYS[1])
else
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return 1
