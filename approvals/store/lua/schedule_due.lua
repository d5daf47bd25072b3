-- Makes a member due now; while it is leased, as soon as its holder gives it back.
-- KEYS[1] due   KEYS[2] leased   KEYS[3] again   KEYS[4] clock:seen
-- ARGV[1] member
-- Answers {now ms}.
redis.call('ZREM', KEYS[1], '')
local now = whole(clock(KEYS[4]).now)
schedule(1, ARGV[1], now)
return { now }
