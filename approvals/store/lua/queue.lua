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

-- Makes every member due at `at`, leased or waiting: each time was made by a clock gone wrong.
-- Who handles a member computes from its record, and puts it where it belongs.
local function release(i, at)
  for _, place in ipairs({ i + 2, i + 1, i }) do
    for _, member in ipairs(redis.call('ZRANGE', KEYS[place], 0, -1)) do
      redis.call('ZREM', KEYS[place], member)
      redis.call('ZADD', KEYS[i], at, member)
    end
  end
end

-- Milliseconds, microseconds of the server's clock and the highest time ever stored.
-- key: clock:seen. `now` never goes back, whatever the server's clock does.
local function clock(key)
  local time = redis.call('TIME')
  local micros = tonumber(time[1]) * 1000000 + tonumber(time[2])
  local millis = math.floor(micros / 1000)
  -- Bounded: a time beyond year 9000 could not even be told, and only tampering makes one.
  local seen = math.min(tonumber(redis.call('GET', key) or '0') or 0, 221845392000000)
  return { now = math.max(millis, seen), micros = micros, behind = seen - millis }
end

local function whole(number)
  return string.format('%.0f', number)
end

-- Whether a key is absent or of the kind that is to be read or written there: a command on another
-- kind is an error in the middle of a script, and what was written before it stays.
local function holds(key, kind)
  local found = redis.call('TYPE', key).ok
  return found == 'none' or found == kind
end
