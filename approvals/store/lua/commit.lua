-- Applies one Change: record, lists, due queues, callback bytes and audit entries, all or none.
-- KEYS[1] record   KEYS[2] audit log   KEYS[3] clock:seen   KEYS[4..] what the writes name by index
-- ARGV[1] JSON {op, expect, now, valid_before, guarded, entry, idem, room, keyed, result, writes}
-- ARGV[2] record body ('' = unchanged)   ARGV[3] callback bytes ('' = none)   ARGV[4..] audit entries
-- Answers {code, value, t}: DUP, EXISTS, RACE, STALE, BEHIND, LATE, REKEYED, SAME, CROWDED, INVALID,
-- OK; never an error reply.
-- Every check precedes the first write, because a script does not roll back.

local fixed = { 'hash', 'stream', 'string' }
for place, kind in ipairs(fixed) do
  if not holds(KEYS[place], kind) then
    return { 'INVALID', 'key ' .. place, '0' }
  end
end

local null = cjson.null
local KEPT_OPERATIONS = 32
local FRESH_FOR = 2000
local BEHIND_AFTER = 5000

local change = cjson.decode(ARGV[1])
local opens = change.expect == null
local time = clock(KEYS[3])
local t = time.now

local function answer(code, value)
  return { code, tostring(value), whole(t) }
end

-- A repeat writes too: a WAIT for replicas proves nothing when nothing was written.
local function repeated(code, value)
  redis.call('HDEL', KEYS[1], 'nothing')
  redis.call('SET', KEYS[3], whole(t))
  return answer(code, value)
end

-- 1. Has this operation been applied? Then the first answer again.
local version = redis.call('HGET', KEYS[1], 'version')
local operations = ''
if opens then
  if version then
    return repeated('DUP', change.result)
  end
else
  operations = redis.call('HGET', KEYS[1], 'ops') or ''
  local mark = '\n' .. change.op .. '='
  local from, to = string.find(operations, mark, 1, true)
  if from then
    return repeated('DUP', string.match(operations, '^[^\n]*', to + 1))
  end
end

-- 2. Was the idempotency key used?
if change.idem ~= null then
  if not holds(KEYS[change.idem[1]], 'string') then
    return answer('INVALID', 'key ' .. change.idem[1])
  end
  local used = redis.call('GET', KEYS[change.idem[1]])
  if used then
    return repeated('EXISTS', used)
  end
end

-- 3. Is the record still the one the decision was made on?
if not opens and tonumber(version or '0') ~= change.expect then
  return answer('RACE', version or '0')
end
local entries = tonumber(redis.call('HGET', KEYS[1], 'entries') or '0') or -1
if #ARGV > 3 and change.entry ~= entries + 1 then
  return answer('RACE', version or '0')
end

-- 4. Is the time in the record and its entries true, and does it still allow the change?
if change.now > t or t > change.now + FRESH_FOR then
  return answer('STALE', whole(t))
end
if change.guarded and time.behind > BEHIND_AFTER then
  return answer('BEHIND', whole(time.behind))
end
if change.valid_before ~= null and t >= change.valid_before then
  return answer('LATE', whole(t))
end

-- 5. Are the words in it encrypted under the key that their subject has, or has from now on?
-- keyed: {the subject's wrapped key, what it holds, whether it is put now}
local keyed = change.keyed
if keyed and keyed ~= null then
  local key, wrapped, is_new = keyed[1], keyed[2], keyed[3]
  if type(key) ~= 'number' or not KEYS[key] or type(wrapped) ~= 'string' then
    return answer('INVALID', 'keyed')
  elseif not holds(KEYS[key], 'string') then
    return answer('INVALID', 'key ' .. key)
  end
  local held = redis.call('GET', KEYS[key])
  if held ~= wrapped and (held or is_new ~= true) then
    return answer('REKEYED', key)
  end
end

-- 6. Is there a pending request that asks the same, and else room for one more of the requester?
-- room: {its pending requests, all pending ones by deadline, most or null, likeness or null}
local function first_wrong(room)
  for place = 1, 2 do
    if type(room[place]) ~= 'number' or not KEYS[room[place]] then
      return 'room'
    elseif not holds(KEYS[room[place]], 'zset') then
      return 'key ' .. room[place]
    end
  end
  local most, like = room[3], room[4]
  if (most ~= null and type(most) ~= 'number') or (like ~= null and type(like) ~= 'string') then
    return 'room'
  end
end

-- The newest alike. One whose deadline has passed is over, though nobody may have written it down.
local function alike(crowd, deadlines, like)
  local least, most = '[' .. like .. ':', '(' .. like .. ';'
  local newest = redis.call('ZREVRANGEBYLEX', crowd, most, least, 'LIMIT', 0, 1)[1]
  local id = newest and string.sub(newest, #like + 2)
  local due = id and redis.call('ZSCORE', deadlines, id)
  return due and t < tonumber(due) and id
end

local room = change.room
if room and room ~= null then
  local wrong = first_wrong(room)
  if wrong then
    return answer('INVALID', wrong)
  end
  local crowd = KEYS[room[1]]
  local id = room[4] ~= null and alike(crowd, KEYS[room[2]], room[4])
  if id then
    redis.call('HDEL', KEYS[1], 'nothing') -- a removal first, as everywhere but in opening
    if change.idem ~= null then
      redis.call('SET', KEYS[change.idem[1]], id .. string.sub(change.idem[2], #change.op + 1))
    end
    return repeated('SAME', id)
  end
  local count = redis.call('ZCARD', crowd)
  if room[3] ~= null and count >= room[3] then
    return answer('CROWDED', count)
  end
end

local verbs = {
  hset = function(w)
    local value = w[4]
    if value == null then
      value = ARGV[3]
    end
    redis.call('HSET', KEYS[w[2]], w[3], value)
  end,
  zadd = function(w) redis.call('ZADD', KEYS[w[2]], w[3], w[4]) end,
  zrem = function(w) redis.call('ZREM', KEYS[w[2]], w[3]) end,
  schedule = function(w) schedule(w[2], w[3], w[4]) end,
  unschedule = function(w) unschedule(w[2], w[3]) end,
  finish = function(w)
    local next = w[5]
    if next == null then
      next = nil
    end
    finish(w[2], w[3], w[4], next)
  end,
  -- A wake-up may be lost; that the server refuses one must not stop a commit half-way.
  publish = function(w) redis.pcall('PUBLISH', w[2], w[3]) end,
  reset_clock = function(w) redis.call('SET', KEYS[w[2]], whole(math.floor(time.micros / 1000))) end,
  forget = function(w) redis.call('DEL', KEYS[w[2]]) end,
  release = function(w) release(w[2], whole(math.floor(time.micros / 1000))) end,
}
local lengths = { hset = 4, zadd = 4, zrem = 3, schedule = 4, unschedule = 3, finish = 5, publish = 3,
  reset_clock = 2, forget = 2, release = 2 }
local numbers = { zadd = { [3] = true }, schedule = { [4] = true }, finish = { [4] = true, [5] = true } }
local optional = { hset = 4, finish = 5 }
local spans = { schedule = 2, unschedule = 2, finish = 2, release = 2 }
local kinds = { hset = 'hash', zadd = 'zset', zrem = 'zset', schedule = 'zset', unschedule = 'zset',
  finish = 'zset', release = 'zset', reset_clock = 'string',
  forget = 'string' }

-- Whole numbers only: what else Lua takes for a number ("nan", "0x10") the server refuses.
local function fits(verb, place, value)
  if value == null then
    return optional[verb] == place
  end
  local is_number = numbers[verb] and numbers[verb][place]
  return type(value) == 'string' and (not is_number or string.find(value, '^%-?%d+$'))
end

local function is_well_formed(w)
  local verb = w[1]
  if not verbs[verb] or #w ~= lengths[verb] then
    return false
  end
  local keyed = verb ~= 'publish'
  if keyed and not (type(w[2]) == 'number' and KEYS[w[2]] and KEYS[w[2] + (spans[verb] or 0)]) then
    return false
  end
  for place = keyed and 3 or 2, #w do
    if not fits(verb, place, w[place]) then
      return false
    end
  end
  return true
end

-- 7. Is every write well formed, and every key it names of the kind it needs?
local known = {}
local function first_unfit(w)
  local kind = kinds[w[1]]
  for place = kind and w[2] or 1, kind and w[2] + (spans[w[1]] or 0) or 0 do
    if known[place] ~= kind and not holds(KEYS[place], kind) then
      return place
    end
    known[place] = kind
  end
end

for place, w in ipairs(change.writes) do
  if not is_well_formed(w) then
    return answer('INVALID', 'write ' .. place)
  end
  local unfit = first_unfit(w)
  if unfit then
    return answer('INVALID', 'key ' .. unfit)
  end
end

-- The first write decides what full memory does: opening is refused then, all else goes on.
if not opens then
  redis.call('HDEL', KEYS[1], 'nothing')
end
redis.call('SET', KEYS[3], whole(t))
-- Audit first: should the server refuse it all the same, nothing has changed.
for i = 4, #ARGV do
  redis.call('XADD', KEYS[2], '*', 'e', ARGV[i])
end

local next_version = tonumber(version or '0') + 1
local count = entries + #ARGV - 3
local fields = { 'version', whole(next_version), 'entries', whole(count) }
if ARGV[2] ~= '' then
  fields[5], fields[6] = 'body', ARGV[2]
end
if not opens then
  local kept = '\n' .. change.op .. '=' .. change.result .. operations
  local cut, lines = 1, 0
  while cut and lines < KEPT_OPERATIONS do
    cut = string.find(kept, '\n', cut + 1, true)
    lines = lines + 1
  end
  if cut then
    kept = string.sub(kept, 1, cut - 1)
  end
  fields[#fields + 1] = 'ops'
  fields[#fields + 1] = kept
end
redis.call('HSET', KEYS[1], unpack(fields))
if change.idem ~= null then
  redis.call('SET', KEYS[change.idem[1]], change.idem[2])
end
if keyed and keyed ~= null then
  redis.call('SET', KEYS[keyed[1]], keyed[2])
end
for _, w in ipairs(change.writes) do
  verbs[w[1]](w)
end
return answer('OK', whole(next_version))
