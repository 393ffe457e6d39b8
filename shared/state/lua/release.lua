-- A stopping worker gives an attempt back. RQ puts the job into its queue after this.
-- KEYS record, log, channel, leases
-- ARGV job, attempt, holder, cancelled ttl ms, how long the job has waited for its provider so far, ms,
--      1 where the start counts, 0 where nothing was begun, usage or ''
-- Answers released; cancelled where a cancel was asked for, which ends the job; over where the job has ended or is gone;
-- lost where it waits or runs as another attempt.
local record, log, channel, leases = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local r = redis.call('HMGET', record, 'status', 'attempt', 'holder', 'cancel', 'cause')
-- Asked again because the answer was lost.
if r[1] == 'in_progress' and r[2] == ARGV[2] and r[3] == '' and r[5] == 'drain' then return 'released' end
if not r[1] or is_final(r[1]) then return 'over' end
if r[1] ~= 'in_progress' or r[2] ~= ARGV[2] or r[3] ~= ARGV[3] then return 'lost' end
write_even_when_full(leases)
if ARGV[7] ~= '' then redis.call('HSET', record, 'usage', ARGV[7]) end
if r[4] then
  finish_cancelled(record, log, channel, leases, ARGV[1], now_ms(), ARGV[4])
  return 'cancelled'
end
redis.call('HSET', record, 'holder', '', 'execution', '', 'cause', 'drain', 'waited', ARGV[5])
if ARGV[6] == '0' then redis.call('HINCRBY', record, 'starts', -1) end
redis.call('ZREM', leases, ARGV[1])
redis.call('ZADD', waiting_of(record, ARGV[1]), now_ms() * 1000, ARGV[1])
return 'released'
