-- Puts one field of a hash if it still holds what the caller has read, so that of two one wins.
-- KEYS[1] the refs of a request
-- ARGV[1] field   ARGV[2] what it holds as far as the caller knows ('' = nothing)   ARGV[3] its new value
-- Answers {what the field holds now}: the new value, also when a repeat finds it there.
redis.call('HDEL', KEYS[1], '')
local held = redis.call('HGET', KEYS[1], ARGV[1]) or ''
if held == ARGV[2] then
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
  held = ARGV[3]
end
return { held }
