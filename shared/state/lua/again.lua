-- The next attempt in place, after a failure of the model: same worker, same execution, same lease.
-- KEYS record, log, channel, leases
-- ARGV job, attempt, holder, execution, ttl ms, max failures, max attempts
-- Answers started, the new attempt's number and the failures so far; or one word: 'used up' where no more failures are
-- allowed (the caller ends the job), lost where the job is no longer the caller's.
local record, log = KEYS[1], KEYS[2]
local r = redis.call('HMGET', record, 'status', 'attempt', 'failures', 'holder', 'execution', 'server', 'rewound',
  'starts')
if r[1] ~= 'in_progress' or r[4] ~= ARGV[3] or r[5] ~= ARGV[4] then return {'lost'} end
local attempt, failures = tonumber(r[2]), tonumber(r[3]) + 1
-- Asked again because the answer was lost.
if attempt > tonumber(ARGV[2]) then return {'started', attempt, failures - 1} end
if r[2] ~= ARGV[2] then return {'lost'} end
local starts = tonumber(r[8] or attempt)
if failures >= tonumber(ARGV[6]) or starts >= tonumber(ARGV[7]) then return {'used up'} end
attempt = next_attempt(attempt, r[6], r[7], now_ms())
write_even_when_full(KEYS[4])
redis.call('HSET', record, 'attempt', attempt, 'failures', failures, 'starts', starts + 1, 'server', server_id())
redis.call('HDEL', record, 'rewound')
redis.call('PEXPIRE', record, ARGV[5])
redis.call('PEXPIRE', log, ARGV[5])
return {'started', attempt, failures}
