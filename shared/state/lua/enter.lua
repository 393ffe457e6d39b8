-- Opens a stream: takes one of the user's slots for it, unless there is a reason not to, in the contract's order.
-- KEYS record, log, streams, the web process
-- ARGV 'head' where the entries are not wanted, user, cursor or '', slot, slots in all, lease ms, process ms
-- Answers what read.lua does, or one word: gone, foreign, seen (the cursor is the final event) or full.
local record, log, streams, process = KEYS[1], KEYS[2], KEYS[3], KEYS[4]

-- Frees the slots of web processes that send no heartbeats any more: they were killed. A slot is named by its process.
local function free_abandoned()
  local processes = prefix_of(process, string.match(ARGV[4], '^(.*)%-'))
  for _, slot in ipairs(redis.call('ZRANGE', streams, 0, -1)) do
    local owner = processes .. (string.match(slot, '^(.*)%-') or '')
    if owner ~= process and redis.call('EXISTS', owner) == 0 then redis.call('ZREM', streams, slot) end
  end
end

local job = read(record, log, '', ARGV[1])
local status, user, last = job[1], job[3], job[7]
if not user then return {'gone'} end
if user ~= ARGV[2] then return {'foreign'} end
local has_seen_end = is_final(status) and last == ARGV[3]
if has_seen_end and not is_ambiguous(last, redis.call('HGET', record, 'rewound')) then return {'seen'} end
local now, slots = now_ms(), tonumber(ARGV[5])
redis.call('ZREMRANGEBYSCORE', streams, '-inf', now)
if redis.call('ZCARD', streams) >= slots then free_abandoned() end
-- The client sends again when the connection broke before the answer came.
local is_taken = redis.call('ZSCORE', streams, ARGV[4])
if not is_taken and redis.call('ZCARD', streams) >= slots then return {'full'} end
redis.call('ZADD', streams, now + tonumber(ARGV[6]), ARGV[4])
redis.call('PEXPIRE', streams, ARGV[6])
redis.call('SET', process, 1, 'PX', ARGV[7])
return job
