-- The next attempt in place, after a failure of the model: same worker, same lease.
-- KEYS record, log, channel, leases
-- ARGV job, attempt, holder, ttl ms, max failures, max attempts
-- Answers the new attempt's number and the failures so far; 0 when the failures are used up (the caller ends the
-- job); -1 when the job is no longer the caller's.
local record, log = KEYS[1], KEYS[2]
local r = redis.call('HMGET', record, 'status', 'attempt', 'failures', 'holder')
if r[1] ~= 'in_progress' or r[4] ~= ARGV[3] then return {-1, 0} end
local attempt, failures = tonumber(r[2]), tonumber(r[3]) + 1
-- Asked again because the answer was lost.
if attempt == tonumber(ARGV[2]) + 1 then return {attempt, failures - 1} end
if r[2] ~= ARGV[2] then return {-1, 0} end
if failures >= tonumber(ARGV[5]) or attempt >= tonumber(ARGV[6]) then return {0, failures} end
redis.call('HSET', record, 'attempt', attempt + 1, 'failures', failures)
redis.call('PEXPIRE', record, ARGV[4])
redis.call('PEXPIRE', log, ARGV[4])
return {attempt + 1, failures}
