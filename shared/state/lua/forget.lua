-- Deletes a job that was answered or cancelled, once those who watched it have its end.
-- KEYS record, log
local status = redis.call('HGET', KEYS[1], 'status')
if status == 'completed' or status == 'cancelled' then redis.call('DEL', KEYS[1], KEYS[2]) end
