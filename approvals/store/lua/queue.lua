-- The due queue's two moves, put in front of every script that needs them.
-- KEYS[i], KEYS[i + 1], KEYS[i + 2]: due, leased, again of one queue.   ARGV: as the script names.

-- Replaces the member's earlier wish. While it is leased the wish waits in `again`.
local function schedule(i, member, at)
  if redis.call('ZSCORE', KEYS[i + 1], member) then
    redis.call('ZADD', KEYS[i + 2], at, member)
  else
    redis.call('ZREM', KEYS[i + 2], member)
    redis.call('ZADD', KEYS[i], at, member)
  end
end

local function unschedule(i, member)
  redis.call('ZREM', KEYS[i], member)
  redis.call('ZREM', KEYS[i + 2], member)
end

-- Gives back a lease that is still the caller's own; next: time of the next try, or nil.
-- A lease that has passed to somebody else is left alone: its holder will finish it.
local function finish(i, member, lease_end, next)
  local held = redis.call('ZSCORE', KEYS[i + 1], member)
  if not held or tonumber(held) ~= tonumber(lease_end) then
    return false
  end
  redis.call('ZREM', KEYS[i + 1], member)
  local again = redis.call('ZSCORE', KEYS[i + 2], member)
  redis.call('ZREM', KEYS[i + 2], member)
  if again and (not next or tonumber(again) < tonumber(next)) then
    next = again
  end
  if next then
    redis.call('ZADD', KEYS[i], string.format('%.0f', tonumber(next)), member)
  end
  return true
end

-- Makes every leased member due at once; who holds a lease finds it gone.
local function release(i, at)
  for _, member in ipairs(redis.call('ZRANGE', KEYS[i + 1], 0, -1)) do
    redis.call('ZREM', KEYS[i + 1], member)
    redis.call('ZADD', KEYS[i], at, member)
  end
end

-- Milliseconds, microseconds of the server's clock and the highest time ever stored.
-- key: clock:seen. `now` never goes back, whatever the server's clock does.
local function clock(key)
  local time = redis.call('TIME')
  local micros = tonumber(time[1]) * 1000000 + tonumber(time[2])
  local millis = math.floor(micros / 1000)
  local seen = tonumber(redis.call('GET', key) or '0')
  return { now = math.max(millis, seen), micros = micros, behind = seen - millis }
end

local function whole(number)
  return string.format('%.0f', number)
end
