-- Ends a job whose events Redis refuses, for example since its log is of another type.
-- KEYS record, log, channel, leases
-- ARGV job, attempt, holder, data of the error but for its timestamp, failed ttl ms
-- Answers ok, or lost where the attempt is no longer the caller's.
local record, log, channel, leases = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local r = redis.call('HMGET', record, 'status', 'attempt', 'holder')
if r[1] ~= 'in_progress' or r[2] ~= ARGV[2] or r[3] ~= ARGV[3] then return 'lost' end
if redis.call('TYPE', log).ok ~= 'stream' then redis.call('DEL', log) end
if last_id(log) == '0-0' then
  -- The log is empty, so the end is the first event of this attempt.
  local data = '{"timestamp":' .. string.format('%.0f', now_ms()) .. ',' .. ARGV[4] .. '}'
  close(record, leases, ARGV[1], 'failed')
  put(record, log, channel, ARGV[2] .. '-1', 'error', data, ARGV[5])
else
  finish_lost(record, log, channel, leases, ARGV[1], now_ms(), ARGV[4], ARGV[5])
end
return 'ok'
