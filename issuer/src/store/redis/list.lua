-- KEYS[1]: what all keys begin with. ARGV: kind, owner or '', the id before the first one or '', how many at the most.
local index = KEYS[1] .. ':kind:' .. ARGV[1]
if ARGV[2] ~= '' then
  index = KEYS[1] .. ':of:' .. ARGV[1] .. ':' .. ARGV[2]
end
local from = '-'
if ARGV[3] ~= '' then
  from = '(' .. ARGV[3]
end
local rows = {}
for _, id in ipairs(redis.call('ZRANGEBYLEX', index, from, '+', 'LIMIT', 0, ARGV[4])) do
  local row = KEYS[1] .. ':row:' .. ARGV[1] .. ':' .. id
  rows[#rows + 1] = { id, redis.call('HMGET', row, 'version', 'owner', 'expires_at', 'body') }
end
return rows
