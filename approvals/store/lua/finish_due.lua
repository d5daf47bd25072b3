-- Gives back a lease: the member is done, or due again at the earlier of its wish and the next try.
-- KEYS[1] due   KEYS[2] leased   KEYS[3] again
-- ARGV[1] member   ARGV[2] lease end in microseconds   ARGV[3] next try in milliseconds ('' = none)
-- Answers {'1'}, or {'0'} when the lease is no longer the caller's.
redis.call('ZREM', KEYS[1], '')
local next = ARGV[3]
if next == '' then
  next = nil
end
return { finish(1, ARGV[1], ARGV[2], next) and '1' or '0' }
