-- Reads records, then the time that a decision on them may use.
-- KEYS[1] clock:seen   KEYS[2..] records
-- ARGV[1] '1': also write the time seen, so that a WAIT after it proves what was read
-- Answers {now, behind, then version, entries, body of each} as strings; version '' for no record,
-- '!' for what is none, so that one damaged key hides no other.
local answer = { '', '' }
for i = 2, #KEYS do
  local record = { '!' }
  if holds(KEYS[i], 'hash') then
    record = redis.call('HMGET', KEYS[i], 'version', 'entries', 'body')
  end
  answer[#answer + 1] = record[1] or ''
  answer[#answer + 1] = record[2] or '0'
  answer[#answer + 1] = record[3] or ''
end
local time = clock(KEYS[1])
if ARGV[1] == '1' then
  if holds(KEYS[2], 'hash') then
    redis.call('HDEL', KEYS[2], 'nothing')
  end
  redis.call('SET', KEYS[1], whole(time.now))
end
answer[1] = whole(time.now)
answer[2] = whole(math.max(0, time.behind))
return answer
