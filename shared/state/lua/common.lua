-- Prepended to every script. The keys of one job:
--   suggestion:<id>          hash    user status input createdAt attempt failures holder execution cause cancel usage
--   suggestion:<id>:events   stream  <attempt>-<sequence> -> e (name), d (JSON)
--   suggestion:<id>:live     channel "<id> <name> <JSON>"
-- and firstStart (when its first attempt began, ms), waited (how long it has waited for its model's provider on workers
-- that gave it back, ms), run (which start of the job the attempt belongs to), starts (how many attempts there were),
-- server (whose data it was when an attempt began), rewound (the last id that a viewer saw before the log was found
-- shorter).
-- `holder` names the worker that runs the job now and is empty while none does.

-- What all keys of this deployment begin with (REDIS_PREFIX), found in one of them that ends like this.
local function prefix_of(key, ending)
  return string.sub(key, 1, -#ending - 1)
end

-- The jobs that wait in the queue, by when they came: what the queue itself may lose.
local function waiting_of(record, job)
  return prefix_of(record, 'suggestion:' .. job) .. 'planner:waiting'
end

local function now_ms()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

-- Redis checks its memory, and whether it is a primary, with a script's first write. After one that is allowed
-- when memory is full, such as this one, which changes nothing, all others of the script are allowed too.
local function write_even_when_full(leases)
  redis.call('ZREM', leases, '')
end

local function is_final(status)
  return status == 'completed' or status == 'failed' or status == 'cancelled'
end

local function last_id(log)
  local last = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)[1]
  return last and last[1] or '0-0'
end

local function split_id(id)
  local attempt, sequence = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(attempt), tonumber(sequence)
end

-- The data that this server holds is another's, or older than it was, where this changes: it does with every restart
-- and every promotion. '' where INFO may not be asked.
local function server_id()
  local info = redis.pcall('INFO', 'replication')
  return type(info) == 'string' and string.match(info, 'master_replid:(%x+)') or ''
end

-- Whether writes of this job may have been lost since its record was last seen to: then ids that are free here may
-- have been given before. `server` and `rewound` are fields of the record.
local function may_have_lost(server, rewound)
  local now = server_id()
  return rewound or (server and server ~= '' and now ~= '' and server ~= now)
end

-- A number that no attempt of this job has had: the next one, or, where numbers may have been lost, one that rises
-- with the clock: the seconds since 2026.
local function next_attempt(attempt, server, rewound, now)
  if not may_have_lost(server, rewound) then return attempt + 1 end
  return math.max(attempt + 1, math.floor(now / 1000) - 1767225600)
end

local function put(record, log, channel, id, name, data, ttl)
  redis.call('XADD', log, id, 'e', name, 'd', data)
  redis.call('PUBLISH', channel, id .. ' ' .. name .. ' ' .. data)
  redis.call('PEXPIRE', log, ttl)
  redis.call('PEXPIRE', record, ttl)
end

-- Closes the record with its final status; the final event is put in the same script.
local function close(record, leases, job, status)
  redis.call('HSET', record, 'status', status, 'holder', '', 'execution', '')
  redis.call('ZREM', leases, job)
  redis.call('ZREM', waiting_of(record, job), job)
  redis.call('DEL', record .. ':turns')
end

-- Ends a job that no attempt is writing to: the final event takes the next free id. An attempt that was lost before
-- it said `started` has shown nothing, so the end belongs to the one before it, which viewers still see.
local function finish(record, log, channel, leases, job, name, data, status, ttl)
  local attempt, sequence = split_id(last_id(log))
  local r = redis.call('HMGET', record, 'server', 'rewound')
  if attempt > 0 and may_have_lost(r[1], r[2]) then
    attempt, sequence = next_attempt(attempt, r[1], r[2], now_ms()), 0
  end
  redis.call('HSET', record, 'attempt', attempt)
  close(record, leases, job, status)
  put(record, log, channel, attempt .. '-' .. (sequence + 1), name, data, ttl)
end

local function finish_cancelled(record, log, channel, leases, job, now, ttl)
  local usage = redis.call('HGET', record, 'usage')
  local data = '{"timestamp":' .. string.format('%.0f', now) .. ',"tokenUsage":' .. usage .. '}'
  finish(record, log, channel, leases, job, 'cancelled', data, 'cancelled', ttl)
end

-- `lost` is the data of an `error` event but for its timestamp.
local function finish_lost(record, log, channel, leases, job, now, lost, ttl)
  local data = '{"timestamp":' .. string.format('%.0f', now) .. ',' .. lost .. '}'
  finish(record, log, channel, leases, job, 'error', data, 'failed', ttl)
end

-- What names a run: the part of RQ's execution that is not the job.
local function run_of(execution)
  return string.match(execution, '[^:]*$')
end

-- Whether a cursor may be of a log that was lost: the id has been given twice. `rewound` is a field of the record.
local function is_ambiguous(cursor, rewound)
  local attempt, sequence = split_id(cursor)
  if not attempt or not rewound then return false end
  local lost_attempt, lost_sequence = split_id(rewound)
  return attempt == lost_attempt and sequence <= lost_sequence
end

-- As read.lua describes it. Reading a long log in Lua takes six times as long as XRANGE by itself, so for a long log the
-- script answers only the id from which on the caller has to read.
local LONG = 200
local function read(record, log, cursor, part)
  local r = redis.call('HMGET', record, 'status', 'attempt', 'user', 'createdAt', 'input', 'holder', 'run',
    'rewound')
  if not r[1] then return {} end
  -- Not ours: no script of ours writes such an attempt, and nothing could be read by it.
  if not string.match(r[2] or '', '^%d+$') or #r[2] > 9 then return {} end
  local last = last_id(log)
  local last_attempt, last_sequence = split_id(last)
  local attempt, sequence = split_id(cursor)
  local is_current = attempt and attempt == last_attempt and attempt == tonumber(r[2]) and sequence <= last_sequence
    and not is_ambiguous(cursor, r[8])
  local next_sequence = is_current and sequence + 1 or 1
  local entries = r[2] .. '-' .. string.format('%.0f', next_sequence)
  if part == 'head' then
    entries = {}
  elseif last_attempt ~= tonumber(r[2]) or last_sequence - next_sequence < LONG then
    entries = redis.call('XRANGE', log, entries, '+')
  end
  return {r[1], r[2], r[3], r[4], r[5], r[6], last, r[7] or '', r[8] or '', entries}
end

-- Reads a hash whole. Returns its fields, a reader of numbers with defaults, a writer, and the list that the writer
-- fills, as HSET takes it: the script sends it once, at its end.
local function open_hash(key)
  local fields, changed = {}, {}
  local all = redis.call('HGETALL', key)
  for i = 1, #all, 2 do fields[all[i]] = all[i + 1] end
  local function number(name, default) return tonumber(fields[name]) or default end
  local function set(name, value)
    -- As it is stored: tostring would cut milliseconds since 1970 to a tenth of one.
    fields[name] = type(value) == 'number' and string.format('%.17g', value) or value
    changed[#changed + 1] = name
    changed[#changed + 1] = fields[name]
  end
  return fields, number, set, changed
end

-- Runs commands prepared by RQ, so that they happen together with ours or not at all:
-- ARGV from `i` to `last`, or to its end, holds each command as its length and its parts.
local function run_commands(i, last)
  while i <= (last or #ARGV) do
    local length = tonumber(ARGV[i])
    redis.call(unpack(ARGV, i + 1, i + length))
    i = i + length + 1
  end
end
