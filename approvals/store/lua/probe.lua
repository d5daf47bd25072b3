-- Tries every command of the other scripts, and leaves nothing behind.
-- KEYS[1] a key that is absent
-- ARGV[1..] the channels that commits publish to
-- Answers the names of the commands that the server refuses us.
local key, field = KEYS[1], 'probe'
local calls = {
  { 'ZREM', key, field }, -- first, as in every script but opening: so full memory refuses nothing
  { 'HDEL', key, field }, { 'HSET', key, field, '1' }, { 'HGET', key, field },
  { 'HMGET', key, field }, { 'HDEL', key, field },
  { 'ZADD', key, 'XX', '1', field }, { 'ZSCORE', key, field }, { 'ZRANGE', key, '0', '0' },
  { 'ZCARD', key }, { 'ZREVRANGEBYLEX', key, '+', '-' }, { 'DEL', key },
  { 'ZRANGEBYSCORE', key, '-inf', '+inf' },
  { 'SET', key, '1', 'XX' }, { 'GET', key }, { 'TYPE', key }, { 'TIME' },
  { 'XADD', key, 'NOMKSTREAM', '*', 'e', '1' },
}
for _, channel in ipairs(ARGV) do
  calls[#calls + 1] = { 'PUBLISH', channel, field }
end

local refused = {}
local may_not = {}
for _, call in ipairs(calls) do
  -- What could not be taken back is not written.
  if not (call[1] == 'HSET' and may_not.HDEL) then
    local reply = redis.pcall(unpack(call))
    if type(reply) == 'table' and reply.err then
      refused[#refused + 1] = call[1]
      may_not[call[1]] = true
    end
  end
end
return refused
