-- Reads one record, then the time that a decision on it may use.
-- KEYS[1] record   KEYS[2] clock:seen
-- ARGV[1] '1': also write the time seen, so that a WAIT after it proves what was read
-- Answers {version, entries, body, now, behind} as strings; version '' when there is no record.
local record = redis.call('HMGET', KEYS[1], 'version', 'entries', 'body')
local time = clock(KEYS[2])
if ARGV[1] == '1' then
  redis.call('HDEL', KEYS[1], 'nothing')
  redis.call('SET', KEYS[2], whole(time.now))
end
return {
  record[1] or '', record[2] or '0', record[3] or '', whole(time.now), whole(math.max(0, time.behind)),
}
