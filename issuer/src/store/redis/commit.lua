-- KEYS[1]: what all keys begin with, which says in which hash slot they are.
-- ARGV, for each step: kind, id, the version that is expected or '', and 'same', 'gone', or 'put' with four more: version,
-- owner or '', expiry or '', body.
local function row_key(kind, id) return KEYS[1] .. ':row:' .. kind .. ':' .. id end
local function owner_key(kind, owner) return KEYS[1] .. ':of:' .. kind .. ':' .. owner end

local steps, at = {}, 1
while at <= #ARGV do
  local step = { kind = ARGV[at], id = ARGV[at + 1], becomes = ARGV[at + 3] }
  if (redis.call('HGET', row_key(step.kind, step.id), 'version') or '') ~= ARGV[at + 2] then
    return 0
  end
  at = at + 4
  if step.becomes == 'put' then
    step.version, step.owner, step.expires_at, step.body = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
    at = at + 4
  end
  steps[#steps + 1] = step
end

-- Nothing has been written yet, and nothing below can fail: a script that stops in the middle is not undone.
for _, step in ipairs(steps) do
  local row, member = row_key(step.kind, step.id), step.kind .. ':' .. step.id
  local old_owner = redis.call('HGET', row, 'owner') or ''
  if step.becomes == 'put' then
    redis.call('HSET', row, 'version', step.version, 'owner', step.owner, 'expires_at', step.expires_at, 'body', step.body)
    redis.call('ZADD', KEYS[1] .. ':kind:' .. step.kind, 0, step.id)
    if step.owner ~= '' then
      redis.call('ZADD', owner_key(step.kind, step.owner), 0, step.id)
    end
    if step.expires_at ~= '' then
      redis.call('ZADD', KEYS[1] .. ':expiry', step.expires_at, member)
    else
      redis.call('ZREM', KEYS[1] .. ':expiry', member)
    end
  elseif step.becomes == 'gone' then
    redis.call('DEL', row)
    redis.call('ZREM', KEYS[1] .. ':kind:' .. step.kind, step.id)
    redis.call('ZREM', KEYS[1] .. ':expiry', member)
  end
  if step.becomes ~= 'same' and old_owner ~= '' and old_owner ~= step.owner then
    redis.call('ZREM', owner_key(step.kind, old_owner), step.id)
  end
end
return 1
