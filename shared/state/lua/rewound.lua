-- Notes that the log is shorter than, or other than, what a viewer has seen of it: no id up to there is given again,
-- and a cursor up to there gets the whole current attempt.
-- KEYS record, leases
-- ARGV the last id that was seen
-- Answers 1, or 0 where the job is gone or this has been noted before.
local record = KEYS[1]
local r = redis.call('HMGET', record, 'status', 'rewound')
if not r[1] then return 0 end
local attempt, sequence = split_id(ARGV[1])
local lost_attempt, lost_sequence = split_id(r[2] or '0-0')
if attempt < lost_attempt or (attempt == lost_attempt and sequence <= lost_sequence) then return 0 end
write_even_when_full(KEYS[2])
redis.call('HSET', record, 'rewound', ARGV[1])
return 1
