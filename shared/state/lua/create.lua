-- Creates a job, or says why not. Everything or nothing: the replay of an idempotent request, the limits, the record
-- and the entry in RQ's queue are one step.
-- KEYS record, creates, queue, the user's index of jobs, and the idempotency key where there is one
-- ARGV job, body hash, user, input, limit, window ms, max queued, ttl ms, longest life ms, usage,
--      most jobs in the index, version that writes the record, commands of RQ...
local record, creates, queue, index, idempotency = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local job, body, user, input = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local limit, window, max_queued = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local now = now_ms()

-- The client sends again when the connection broke before the answer came.
local mine = redis.call('HGET', record, 'createdAt')
local since = '(' .. string.format('%.0f', now - window)
local used = redis.call('ZCOUNT', creates, since, '+inf')
if mine then return {'created', tonumber(mine), math.max(0, limit - used), window} end

if idempotency then
  local first = redis.call('HMGET', idempotency, 'job', 'body')
  if first[1] then
    local known = redis.call('HMGET', prefix_of(record, job) .. first[1], 'status', 'createdAt')
    if known[1] then
      if first[2] ~= body then return {'conflict'} end
      return {'replayed', first[1], known[1], known[2]}
    end
  end
end

local oldest = redis.call('ZRANGEBYSCORE', creates, since, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)[2]
local reset = oldest and (tonumber(oldest) + window - now) or window
if used >= limit then return {'limited', reset} end
if redis.call('LLEN', queue) >= max_queued then return {'full'} end

-- This has to be the first write: without memory Redis refuses it, and with it all that follows.
redis.call('HSET', record, 'user', user, 'status', 'pending', 'createdAt', now, 'input', input,
  'attempt', 0, 'failures', 0, 'holder', '', 'execution', '', 'cause', '', 'usage', ARGV[10],
  'server', server_id(), 'starts', 0, 'version', ARGV[12])
redis.call('ZREMRANGEBYSCORE', creates, '-inf', now - window)
redis.call('PEXPIRE', record, ARGV[8])
redis.call('ZADD', creates, now, job)
redis.call('PEXPIRE', creates, window)
local time = redis.call('TIME') -- in microseconds: two jobs of one millisecond keep their order
local arrived = time[1] * 1000000 + time[2]
redis.call('ZADD', waiting_of(record, job), arrived, job)
redis.call('ZADD', index, arrived, job)
redis.call('ZREMRANGEBYRANK', index, 0, -(ARGV[11] + 1))
redis.call('PEXPIRE', index, ARGV[9])
if idempotency then
  redis.call('HSET', idempotency, 'job', job, 'body', body)
  redis.call('PEXPIRE', idempotency, ARGV[9])
end
run_commands(13)
return {'created', now, limit - used - 1, reset}
