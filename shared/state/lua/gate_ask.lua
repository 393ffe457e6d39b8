-- Asks whether a request may go to the model's provider now. One gate for each model, shared by all workers:
--   planner:gate:<model>           hash  closedUntil reason refusals | heardAt sequence heardSequence inFlightTokens
--                                        <limit>PerMs <limit>Left <limit>Cap <limit>At, for requests, input, output
--                                        credits creditsAt | interval nextAt gain gone since | probeAt
--   planner:gate:<model>:waiting   zset  job -> when it was created, ms
--   planner:gate:<model>:due       zset  job -> when it will ask again, ms
--   planner:gate:<model>:flight    zset  request without a report so far -> when it was sent, ms
--   planner:gate:<model>:needs     hash  the same request -> "<sequence> <input tokens>"
-- Three ways of pacing: by the limits in the provider's headers; without them, after a refusal, by an
-- interval that is found from what was accepted between refusals; while nothing is known, by credits, of which a few
-- are there from the start, more come with time, and one with each response.
-- KEYS gate, waiting, due, flight, needs
-- ARGV request (its own id), job, created ms, input tokens it will need, now ms or '' for the server's time
-- Answers {0, 0, ''} to go, else {ms to wait, ms at which the gate opens or 0, the reason it is closed or ''}. The same
-- request again gets the same answer again.
local gate, waiting, due, flight, needs = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local request, job, created, tokens = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local now = ARGV[5] ~= '' and tonumber(ARGV[5]) or now_ms()

local FORGET_MS = 60000       -- without a response for so long, the limits count as unknown
local FLIGHT_MS = 120000      -- a request without a report for so long is lost with its worker
local GRACE_MS = 1000         -- a job that asks again later than this has lost its position in the order
local RECHECK_MS = 5000       -- a waiting job asks again at least so often, once the gate is open
local CREDITS, CREDITS_A_MS = 4, 0.02
local UNKNOWN_MS = 50         -- between two questions while nothing is known
local PROBE_MS = 50
local LEAST_WAIT_MS = 5
local LIFE_MS = 3600000

if redis.call('ZSCORE', flight, request) then return {0, 0, ''} end

local g, number, set, changed = open_hash(gate)

-- Limits that no response has confirmed for a minute are forgotten; a closing is not.
local closed_until = number('closedUntil', 0)
local last_news = math.max(number('heardAt', 0), number('creditsAt', 0), closed_until)
if last_news > 0 and now - last_news > FORGET_MS then
  redis.call('DEL', gate)
  for name in pairs(g) do g[name] = nil end
  closed_until = 0
end
for _, lost in ipairs(redis.call('ZRANGEBYSCORE', flight, '-inf', now - FLIGHT_MS, 'LIMIT', 0, 100)) do
  local lost_tokens = tonumber(string.match(redis.call('HGET', needs, lost) or '', ' (%d+)$')) or 0
  set('inFlightTokens', math.max(0, number('inFlightTokens', 0) - lost_tokens))
  redis.call('ZREM', flight, lost)
  redis.call('HDEL', needs, lost)
end

-- How many jobs go first: those that wait and were created earlier.
local rank = 0
local is_listed = false
if redis.call('ZCARD', waiting) > 0 then
  for _, gone in ipairs(redis.call('ZRANGEBYSCORE', due, '-inf', now - GRACE_MS, 'LIMIT', 0, 100)) do
    if gone ~= job then redis.call('ZREM', waiting, gone) end
    redis.call('ZREM', due, gone)
  end
  redis.call('ZADD', waiting, string.format('%.0f', created), job)
  is_listed = true
  rank = redis.call('ZRANK', waiting, job)
end

local go_at = math.max(now, closed_until)
local paced_by = 'credits'
local wanted = {requests = 1, input = tokens, output = 1}
for _, limit in ipairs({'requests', 'input', 'output'}) do
  local per_ms = number(limit .. 'PerMs')
  if per_ms and per_ms > 0 then
    paced_by = 'limits'
    local cap, at = number(limit .. 'Cap', 0), number(limit .. 'At', now)
    local left = math.min(cap, number(limit .. 'Left', 0) + math.max(0, now - at) * per_ms)
    set(limit .. 'Left', left)
    set(limit .. 'At', now)
    local need = math.min(wanted[limit], cap) + wanted[limit] * rank
    if left < need then go_at = math.max(go_at, now + (need - left) / per_ms) end
  end
end
local interval = number('interval', 0)
if paced_by ~= 'limits' and interval > 0 then
  paced_by = 'interval'
  go_at = math.max(go_at, number('nextAt', 0) + interval * rank)
elseif paced_by == 'credits' then
  local credits, since = number('credits', CREDITS), number('creditsAt', now)
  credits = math.max(credits, math.min(CREDITS, credits + math.max(0, now - since) * CREDITS_A_MS))
  set('credits', credits)
  set('creditsAt', now)
  if credits < 1 + rank then
    go_at = math.max(go_at, now + UNKNOWN_MS + math.min(500, rank / CREDITS_A_MS / 2))
  end
end

-- Nothing was accepted since the gate was closed: requests go one by one, so that few are refused if it is still too early.
local is_probing = number('refusals', 0) > 0
if is_probing then go_at = math.max(go_at, number('probeAt', 0) + PROBE_MS * rank) end

local answer
if go_at <= now then
  if is_probing then set('probeAt', now + PROBE_MS) end
  if is_listed then
    redis.call('ZREM', waiting, job)
    redis.call('ZREM', due, job)
  end
  if paced_by == 'limits' then
    for limit, need in pairs(wanted) do
      if g[limit .. 'PerMs'] and limit ~= 'output' then set(limit .. 'Left', number(limit .. 'Left', 0) - need) end
    end
  elseif paced_by == 'interval' then
    -- A pace that was not used up says nothing about the limit.
    if now > number('nextAt', 0) + interval + 500 then set('since', 0) end
    set('nextAt', now + interval)
  else
    set('credits', number('credits', 0) - 1)
  end
  set('gone', number('gone', 0) + 1)
  local sequence = number('sequence', 0) + 1
  set('sequence', sequence)
  set('inFlightTokens', number('inFlightTokens', 0) + tokens)
  redis.call('ZADD', flight, string.format('%.0f', now), request)
  redis.call('HSET', needs, request, string.format('%.0f %.0f', sequence, tokens))
  redis.call('PEXPIRE', flight, LIFE_MS)
  redis.call('PEXPIRE', needs, LIFE_MS)
  answer = {0, 0, ''}
else
  local wait = math.min(go_at - now, math.max(0, closed_until - now) + RECHECK_MS)
  wait = math.max(LEAST_WAIT_MS, math.ceil(wait))
  redis.call('ZADD', waiting, string.format('%.0f', created), job)
  redis.call('ZADD', due, string.format('%.0f', now + wait), job)
  redis.call('PEXPIRE', waiting, LIFE_MS)
  redis.call('PEXPIRE', due, LIFE_MS)
  answer = {wait, math.ceil(go_at), closed_until > now and g['reason'] or 'rate_limited'}
end
if #changed > 0 then
  redis.call('HSET', gate, unpack(changed))
  redis.call('PEXPIRE', gate, LIFE_MS)
end
return answer
