-- Leases due members of one queue to the caller, after taking back leases that have run out.
-- KEYS[1] due   KEYS[2] leased   KEYS[3] again   KEYS[4] clock:seen
-- ARGV[1] most members   ARGV[2] lease in microseconds
-- Answers {now ms, wait ms until the next is due or '' , lease end in microseconds, member...}
-- Due times follow `now`; lease ends follow the server's clock alone, so that a standing `now`
-- does not hold leases. An end further ahead than one lease counts as run out (clock set back).
local most, lease = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = clock(KEYS[4])
redis.call('ZREM', KEYS[1], '')
redis.call('SET', KEYS[4], whole(time.now))

local function take_back(from, to)
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], from, to, 'LIMIT', 0, most)) do
    redis.call('ZREM', KEYS[2], member)
    redis.call('ZADD', KEYS[1], whole(time.now), member)
  end
end
take_back('-inf', whole(time.micros))
take_back('(' .. whole(time.micros + lease), '+inf')

local members = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', whole(time.now), 'LIMIT', 0, most)
local lease_end = whole(time.micros + lease)
for _, member in ipairs(members) do
  redis.call('ZREM', KEYS[1], member)
  redis.call('ZADD', KEYS[2], lease_end, member)
end

local wait = nil
local due = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
if due[2] then
  wait = math.max(0, tonumber(due[2]) - time.now)
end
local leased = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')
if leased[2] then
  local left = math.max(0, math.ceil((tonumber(leased[2]) - time.micros) / 1000))
  wait = wait and math.min(wait, left) or left
end

local answer = { whole(time.now), wait and whole(wait) or '', lease_end }
for _, member in ipairs(members) do
  answer[#answer + 1] = member
end
return answer
