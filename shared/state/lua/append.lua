-- Appends one event of an attempt to the log and publishes it, in one step.
-- KEYS record, log, channel, leases
-- ARGV job, attempt, sequence, name, data, ttl ms, final status or '', usage or '', the run or ''
-- Answers ok, cancel (ok, and a cancel has been asked for) or lost. The same event again is ok: a writer that did
-- not get the answer asks again.
local record, log, channel, leases = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local job, id = ARGV[1], ARGV[2] .. '-' .. ARGV[3]
local r = redis.call('HMGET', record, 'status', 'attempt', 'cancel', 'run')
if not r[1] or r[2] ~= ARGV[2] then return 'lost' end
-- The attempt's number alone is no fence: where Redis has lost its last writes, the same number may be given again.
if ARGV[9] ~= '' and r[4] ~= ARGV[9] then return 'lost' end

local last_attempt, last_sequence = split_id(last_id(log))
local attempt, sequence = tonumber(ARGV[2]), tonumber(ARGV[3])
if last_attempt == attempt and sequence <= last_sequence then
  local known = redis.call('XRANGE', log, id, id)[1]
  if not known or known[2][2] ~= ARGV[4] or known[2][4] ~= ARGV[5] then return 'lost' end
elseif is_final(r[1]) or sequence ~= (last_attempt == attempt and last_sequence or 0) + 1 then
  return 'lost'
else
  if ARGV[8] ~= '' then redis.call('HSET', record, 'usage', ARGV[8]) end
  if ARGV[7] ~= '' then close(record, leases, job, ARGV[7]) end
  put(record, log, channel, id, ARGV[4], ARGV[5], ARGV[6])
end
return r[3] and 'cancel' or 'ok'
