-- A worker says that it is alive, and renews the leases of its jobs.
-- KEYS leases, workers
-- ARGV holder, lease ms, then job and attempt, again and again
-- Answers ok, cancel or lost for each job.
local now, answers = now_ms(), {}
local records = prefix_of(KEYS[1], 'planner:leases') .. 'suggestion:'
write_even_when_full(KEYS[1])
redis.call('ZADD', KEYS[2], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now - 60000)
for i = 3, #ARGV, 2 do
  local r = redis.call('HMGET', records .. ARGV[i], 'status', 'attempt', 'holder', 'cancel')
  if r[1] ~= 'in_progress' or r[2] ~= ARGV[i + 1] or r[3] ~= ARGV[1] then
    answers[#answers + 1] = 'lost'
  else
    redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), ARGV[i])
    answers[#answers + 1] = r[4] and 'cancel' or 'ok'
  end
end
return answers
