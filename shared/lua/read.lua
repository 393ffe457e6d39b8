-- A job as it is, and what a reader with a cursor has not seen: from the cursor on where it belongs to the current
-- attempt, else the whole current attempt.
-- KEYS record, log
-- ARGV cursor or '', and 'head' where the entries are not wanted
-- Answers nothing for a job that is gone; else status, attempt, user, createdAt, input, holder, last id, entries.
local r = redis.call('HMGET', KEYS[1], 'status', 'attempt', 'user', 'createdAt', 'input', 'holder')
if not r[1] then return {} end
-- Not ours: no script of ours writes such an attempt, and nothing could be read by it.
if not string.match(r[2] or '', '^%d+$') or #r[2] > 9 then return {} end
local last = last_id(KEYS[2])
local last_attempt, last_sequence = split_id(last)
local attempt, sequence = split_id(ARGV[1])
local from = r[2] .. '-1'
if attempt and attempt == last_attempt and attempt == tonumber(r[2]) and sequence <= last_sequence then
  from = attempt .. '-' .. string.format('%.0f', sequence + 1)
end
local entries = ARGV[2] ~= 'head' and redis.call('XRANGE', KEYS[2], from, '+') or {}
return {r[1], r[2], r[3], r[4], r[5], r[6], last, entries}
