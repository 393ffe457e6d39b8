-- Cancels a job: at once where no worker runs it, else by a flag that the worker gets with its next append or
-- renewal, and by RQ's stop command.
-- KEYS record, log, channel, leases, queue, RQ's job
-- ARGV job, user, cancelled ttl ms
-- Answers one word: gone, foreign, over (it had ended already) or cancelled; or asked and the worker that runs it.
local record, log, channel, leases, queue = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local r = redis.call('HMGET', record, 'status', 'holder', 'user')
if not r[1] then return {'gone'} end
if r[3] ~= ARGV[2] then return {'foreign'} end
if is_final(r[1]) then return {'over'} end
write_even_when_full(leases)
redis.call('HSET', record, 'cancel', 1)
if r[2] ~= '' then return {'asked', r[2]} end
finish_cancelled(record, log, channel, leases, ARGV[1], now_ms(), ARGV[3])
if redis.call('LREM', queue, 0, ARGV[1]) > 0 then redis.call('DEL', KEYS[6]) end
return {'cancelled'}
