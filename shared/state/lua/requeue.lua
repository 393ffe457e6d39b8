-- Puts an abandoned job back to the front of the queue, or ends it: cancelled where that was asked for, lost where
-- its failures are used up. Does nothing where the job turns out to be alive.
-- KEYS record, log, channel, leases, queue, RQ's intermediate list
-- ARGV job, the lease as it was seen or '', max failures, data of the loss, failed ttl ms, cancelled ttl ms,
--      number of arguments that clean up the execution, those commands..., the commands that enqueue...
local record, log, channel, leases, queue, intermediate = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local job = ARGV[1]
local first, cleanup = 8, tonumber(ARGV[7])
local r = redis.call('HMGET', record, 'status', 'holder', 'cancel', 'failures')
local now = now_ms()
local lease = redis.call('ZSCORE', leases, job)
local outcome = 'cleaned'

local function clean()
  run_commands(first, first + cleanup - 1)
  redis.call('LREM', intermediate, 0, job)
end

if (lease or '') ~= ARGV[2] then return 'alive' end
if not r[1] or is_final(r[1]) then
  redis.call('ZREM', leases, job)
  clean()
  if not redis.call('LPOS', queue, job) then redis.call('DEL', 'rq:job:' .. job) end
  return outcome
end
if lease and tonumber(lease) > now then
  -- Alive, with an execution left over from an earlier attempt.
  if cleanup > 0 then clean() end
  return outcome
end

local failures = tonumber(r[4]) or 0
local cause = redis.call('HGET', record, 'cause')
if r[2] ~= '' then failures, cause = failures + 1, 'worker_lost' end
-- This has to be the first write: without memory Redis refuses it, and with it all that follows.
redis.call('HSET', record, 'failures', failures, 'holder', '', 'execution', '', 'cause', cause or '')
clean()
redis.call('ZREM', leases, job)
if r[3] or failures >= tonumber(ARGV[3]) then
  if not redis.call('LPOS', queue, job) then redis.call('DEL', 'rq:job:' .. job) end
  if r[3] then
    finish_cancelled(record, log, channel, leases, job, now, ARGV[6])
    return 'cancelled'
  end
  finish_lost(record, log, channel, leases, job, now, ARGV[4], ARGV[5])
  return 'lost'
elseif not redis.call('LPOS', queue, job) then
  redis.call('ZADD', waiting_of(record, job), 'NX', now * 1000, job)
  run_commands(first + cleanup)
  return 'requeued'
end
return outcome
