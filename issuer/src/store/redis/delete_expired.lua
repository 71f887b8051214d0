-- KEYS[1]: what all keys begin with. ARGV: the moment, how many at the most.
local members = redis.call('ZRANGEBYSCORE', KEYS[1] .. ':expiry', '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])
for _, member in ipairs(members) do
  local kind, id = string.match(member, '^([^:]+):(.+)$')
  local row = KEYS[1] .. ':row:' .. member
  local owner = redis.call('HGET', row, 'owner') or ''
  redis.call('DEL', row)
  redis.call('ZREM', KEYS[1] .. ':kind:' .. kind, id)
  redis.call('ZREM', KEYS[1] .. ':expiry', member)
  if owner ~= '' then
    redis.call('ZREM', KEYS[1] .. ':of:' .. kind .. ':' .. owner, id)
  end
end
return #members
