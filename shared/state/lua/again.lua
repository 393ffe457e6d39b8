-- The next attempt in place, after a failure of the model: same worker, same execution, same lease.
-- KEYS record, log, channel, leases
-- ARGV job, attempt, holder, execution, ttl ms, max failures, max attempts
-- Answers started, the new attempt's number and the failures so far; or one word: 'used up' where no more failures are
-- allowed (the caller ends the job), lost where the job is no longer the caller's.
local record, log = KEYS[1], KEYS[2]
local r = redis.call('HMGET', record, 'status', 'attempt', 'failures', 'holder', 'execution')
if r[1] ~= 'in_progress' or r[4] ~= ARGV[3] or r[5] ~= ARGV[4] then return {'lost'} end
local attempt, failures = tonumber(r[2]), tonumber(r[3]) + 1
-- Asked again because the answer was lost.
if attempt == tonumber(ARGV[2]) + 1 then return {'started', attempt, failures - 1} end
if r[2] ~= ARGV[2] then return {'lost'} end
if failures >= tonumber(ARGV[6]) or attempt >= tonumber(ARGV[7]) then return {'used up'} end
redis.call('HSET', record, 'attempt', attempt + 1, 'failures', failures)
redis.call('PEXPIRE', record, ARGV[5])
redis.call('PEXPIRE', log, ARGV[5])
return {'started', attempt + 1, failures}
