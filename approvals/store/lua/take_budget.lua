-- Takes one from each of several budgets, or nothing at all where one of them has none left.
-- KEYS[1] clock:seen   KEYS[2..] the budgets, the service's first, then an idempotency key if any
-- ARGV[1..] how many each budget gives in a minute, and holds at most
-- A used idempotency key wants nothing new: then the first budget alone is taken from.
-- Answers {code, value, now, then of each budget: left, ms until full, ms until one is left}:
-- OK(what the idempotency key holds, or ''), SPENT, INVALID(what is wrong); never an error reply.

-- A budget holds '<debt> <when>'. One taken costs COST, and each millisecond pays back as much as
-- the budget gives in a minute: whole numbers, so that nothing is lost however odd the rate is.
local COST = 60000
local time = clock(KEYS[1])

local function invalid(what)
  return { 'INVALID', what, whole(time.now) }
end

for place, key in ipairs(KEYS) do
  if not holds(key, 'string') then
    return invalid('key ' .. place)
  end
end
for place, limit in ipairs(ARGV) do
  if not string.find(limit, '^[1-9]%d*$') or #limit > 7 then
    return invalid('limit ' .. place)
  end
end

local used = KEYS[#ARGV + 2] and redis.call('GET', KEYS[#ARGV + 2])

-- What is still owed. A text that is none of ours counts as all spent, and heals by itself.
local function debt_of(key, limit)
  local text = redis.call('GET', key)
  if not text then
    return 0
  end
  local debt, at = string.match(text, '^(%d+) (%d+)$')
  if not debt then
    return limit * COST
  end
  local passed = math.max(0, time.now - tonumber(at))
  return math.max(0, math.min(tonumber(debt), limit * COST) - passed * limit)
end

local code = 'OK'
local budgets = {}
for place, text in ipairs(ARGV) do
  local limit = tonumber(text)
  local budget = { key = KEYS[place + 1], limit = limit, debt = debt_of(KEYS[place + 1], limit), wait = 0 }
  budget.is_wanted = place == 1 or not used
  local lacking = budget.debt + COST - limit * COST
  if budget.is_wanted and lacking > 0 then
    code = 'SPENT'
    budget.wait = math.ceil(lacking / limit)
  end
  budgets[place] = budget
end

local answer = { code, used or '', whole(time.now) }
for _, budget in ipairs(budgets) do
  if code == 'OK' and budget.is_wanted then
    budget.debt = budget.debt + COST
    -- A removal first: full memory stops what opens, and no repeat.
    redis.call('DEL', budget.key)
    local lives = whole(math.ceil(budget.debt / budget.limit) + 1000)
    redis.call('SET', budget.key, whole(budget.debt) .. ' ' .. whole(time.now), 'PX', lives)
  end
  answer[#answer + 1] = whole(math.max(0, math.floor(budget.limit - budget.debt / COST)))
  answer[#answer + 1] = whole(math.ceil(budget.debt / budget.limit))
  answer[#answer + 1] = whole(budget.wait)
end
return answer
