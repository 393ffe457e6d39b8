-- Prepended to every script. The keys of one job:
--   suggestion:<id>          hash    user status input createdAt attempt failures holder execution cause cancel usage
--   suggestion:<id>:events   stream  <attempt>-<sequence> -> e (name), d (JSON)
--   suggestion:<id>:live     channel "<id> <name> <JSON>"
-- `holder` names the worker that runs the job now and is empty while nobody does.

local function now_ms()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

-- Redis looks at its memory, and at whether it is a primary, with a script's first write. After one that is allowed
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
end

-- Ends a job that no attempt is writing to: the final event takes the next free id. An attempt that was lost before
-- it said `started` has shown nothing, so the end belongs to the one before it, which viewers still see.
local function finish(record, log, channel, leases, job, name, data, status, ttl)
  local attempt, sequence = split_id(last_id(log))
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

-- As read.lua has it. A long log is not worth taking through Lua, which takes six times as long as XRANGE by itself: of
-- that only the id is told from which on it has to be asked for.
local LONG = 200
local function read(record, log, cursor, part)
  local r = redis.call('HMGET', record, 'status', 'attempt', 'user', 'createdAt', 'input', 'holder')
  if not r[1] then return {} end
  -- Not ours: no script of ours writes such an attempt, and nothing could be read by it.
  if not string.match(r[2] or '', '^%d+$') or #r[2] > 9 then return {} end
  local last = last_id(log)
  local last_attempt, last_sequence = split_id(last)
  local attempt, sequence = split_id(cursor)
  local is_current = attempt and attempt == last_attempt and attempt == tonumber(r[2]) and sequence <= last_sequence
  local next_sequence = is_current and sequence + 1 or 1
  local entries = r[2] .. '-' .. string.format('%.0f', next_sequence)
  if part == 'head' then
    entries = {}
  elseif last_attempt ~= tonumber(r[2]) or last_sequence - next_sequence < LONG then
    entries = redis.call('XRANGE', log, entries, '+')
  end
  return {r[1], r[2], r[3], r[4], r[5], r[6], last, entries}
end

-- Runs commands prepared by RQ, so that they happen together with ours or not at all:
-- ARGV from `i` on holds each command as its length and its parts.
local function run_commands(i)
  while i <= #ARGV do
    local length = tonumber(ARGV[i])
    redis.call(unpack(ARGV, i + 1, i + length))
    i = i + length + 1
  end
end
