-- Opens a stream: takes one of the user's places for it, unless there is a reason not to, in the contract's order.
-- KEYS record, log, streams
-- ARGV 'head' where the entries are not wanted, user, cursor or '', place, places in all, lease ms
-- Answers what read.lua does, or one word: gone, foreign, seen (the cursor is the final event) or full.
local record, log, streams = KEYS[1], KEYS[2], KEYS[3]
local job = read(record, log, '', ARGV[1])
local status, user, last = job[1], job[3], job[7]
if not user then return {'gone'} end
if user ~= ARGV[2] then return {'foreign'} end
if is_final(status) and last == ARGV[3] and not is_ambiguous(last, redis.call('HGET', record, 'rewound')) then return {'seen'} end
local now = now_ms()
redis.call('ZREMRANGEBYSCORE', streams, '-inf', now)
-- The client sends again when the connection broke before the answer came.
local is_taken = redis.call('ZSCORE', streams, ARGV[4])
if not is_taken and redis.call('ZCARD', streams) >= tonumber(ARGV[5]) then return {'full'} end
redis.call('ZADD', streams, now + tonumber(ARGV[6]), ARGV[4])
redis.call('PEXPIRE', streams, ARGV[6])
return job
