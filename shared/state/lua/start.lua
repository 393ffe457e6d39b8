-- Starts the next attempt of a job for one worker, or says why not. The attempt's number is the fence: a worker that
-- ran an earlier one can no longer write.
-- KEYS record, log, channel, leases
-- ARGV job, holder, execution, lease ms, ttl ms, max failures, max attempts, data of the loss, failed ttl ms,
--      cancelled ttl ms
local record, log, channel, leases = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local job, holder = ARGV[1], ARGV[2]
local r = redis.call('HMGET', record, 'status', 'attempt', 'failures', 'holder', 'cancel', 'cause', 'user', 'input',
  'usage', 'execution', 'startCause', 'server', 'rewound', 'starts', 'createdAt', 'firstStart', 'waited',
  'version')
local status, attempt, failures, cause = r[1], tonumber(r[2]), tonumber(r[3]), r[6]
local now = now_ms()
-- How long the job has run already: from the start of its first attempt, on whatever worker.
local ran_ms = now - tonumber(r[16] or now)

if not status then return {'gone'} end
if is_final(status) then return {'ended'} end
if r[4] == holder and r[10] == ARGV[3] then
  -- Asked again because the answer was lost.
  return {'started', attempt, r[11], failures, r[7], r[8], r[9], r[15], ran_ms, r[17], r[18]}
end
if r[4] ~= '' then
  local lease = redis.call('ZSCORE', leases, job)
  if lease and tonumber(lease) > now then return {'taken'} end
  failures, cause = failures + 1, 'worker_lost'
end
if r[5] then
  finish_cancelled(record, log, channel, leases, job, now, ARGV[10])
  return {'cancelled'}
end
local starts = tonumber(r[14] or attempt)
if failures >= tonumber(ARGV[6]) or starts >= tonumber(ARGV[7]) then
  redis.call('HSET', record, 'failures', failures)
  finish_lost(record, log, channel, leases, job, now, ARGV[8], ARGV[9])
  return {'failed'}
end

attempt = next_attempt(attempt, r[12], r[13], now)
redis.call('HSET', record, 'status', 'in_progress', 'attempt', attempt, 'failures', failures, 'holder', holder,
  'execution', ARGV[3], 'cause', '', 'startCause', cause, 'run', run_of(ARGV[3]), 'server', server_id(),
  'starts', starts + 1, 'firstStart', r[16] or now)
redis.call('HDEL', record, 'rewound')
redis.call('PEXPIRE', record, ARGV[5])
redis.call('PEXPIRE', log, ARGV[5])
redis.call('ZADD', leases, now + tonumber(ARGV[4]), job)
redis.call('ZREM', waiting_of(record, job), job)
return {'started', attempt, cause, failures, r[7], r[8], r[9], r[15], ran_ms, r[17], r[18]}
