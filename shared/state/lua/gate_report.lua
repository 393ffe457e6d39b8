-- Reports to the gate of a model what became of a request that it admitted. See gate_ask.lua for the keys.
-- KEYS gate, waiting, due, flight, needs
-- ARGV request, job, outcome (accepted, refused, cut, unknown, left), retry-after ms or '', share added to it, reason,
--      now ms or '' for the server's time, then for each limit of requests, input and output tokens: limit a minute,
--      what is left (both '' where the headers did not state them)
-- `refused` closes the gate; without a retry-after for a time that doubles from refusal to refusal. `cut` is a refusal in
-- the middle of a response, after `accepted`. `unknown`: the request says nothing about limits. `left`: the same, and
-- the job does not wait any more. Answers the ms at which the gate opens, 0 where it is open.
-- The same report again changes nothing but what is known of the limits.
local gate, waiting, due, flight, needs = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local request, job, outcome, retry_after, jitter = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local now = ARGV[7] ~= '' and tonumber(ARGV[7]) or now_ms()

local MARGIN = 1.04           -- how much slower than measured requests go after a refusal
local FIRST_GAIN, LEAST_GAIN = 0.15, 0.003 -- share by which the pace grows with each response, at first and at last
local GAIN_SHRINK = 0.4       -- what is left of the gain after each measurement
local SLOWDOWN = 1.5          -- the interval grows by this where it cannot be measured
local LEAST_INTERVAL_MS, LONGEST_INTERVAL_MS, FIRST_INTERVAL_MS = 10, 60000, 1000
local UNUSUAL_MS = 20000      -- a longer retry-after says nothing about the pace
local MOST_CREDITS = 32
local LONGEST_BACKOFF_MS = 60000
local LIFE_MS = 3600000

if outcome == 'left' then
  redis.call('ZREM', waiting, job)
  redis.call('ZREM', due, job)
end

local g, number, set, changed = open_hash(gate)

local sequence, tokens = string.match(redis.call('HGET', needs, request) or '', '^(%d+) (%d+)$')
local is_first = sequence ~= nil
sequence, tokens = tonumber(sequence) or 0, tonumber(tokens) or 0
if is_first then
  redis.call('ZREM', flight, request)
  redis.call('HDEL', needs, request)
  set('inFlightTokens', math.max(0, number('inFlightTokens', 0) - tokens))
end

if outcome ~= 'unknown' and outcome ~= 'left' then
  set('heardAt', now)
  -- What the headers state of each limit. Our own figure holds the requests that are under way, theirs those of others:
  -- ours is kept between what is left by them, and that less all that is under way.
  local own = {requests = 1, input = tokens, output = 0}
  local under_way = {requests = redis.call('ZCARD', flight), input = number('inFlightTokens', 0), output = 0}
  local is_newest = sequence > number('heardSequence', 0)
  local knows_limits = false
  for i, limit in ipairs({'requests', 'input', 'output'}) do
    local per_minute, left = tonumber(ARGV[6 + 2 * i]), tonumber(ARGV[7 + 2 * i])
    if per_minute and per_minute > 0 and left then
      knows_limits = true
      -- The headers round what is left of tokens to thousands.
      if limit ~= 'requests' and left > 0 and left % 1000 == 0 then left = left - 500 end
      local per_ms = per_minute / 60000
      local least = left - under_way[limit]
      local before = number(limit .. 'Left')
      local cap = math.max(number(limit .. 'Cap', 0), left + own[limit], 1)
      if before then
        before = math.min(cap, before + math.max(0, now - number(limit .. 'At', now)) * number(limit .. 'PerMs', 0))
        before = math.min(before, left)
        if is_newest and outcome == 'accepted' then before = math.max(before, least) end
      else
        before = least
      end
      set(limit .. 'PerMs', per_ms)
      set(limit .. 'Left', before)
      set(limit .. 'Cap', cap)
      set(limit .. 'At', now)
    end
  end
  if is_newest and is_first then set('heardSequence', sequence) end

  if outcome == 'accepted' and is_first then
    set('refusals', 0)
    local interval = number('interval', 0)
    if knows_limits then
      set('interval', 0)
    elseif interval > 0 then
      set('interval', math.max(LEAST_INTERVAL_MS, interval * (1 - number('gain', FIRST_GAIN))))
    else
      set('credits', math.min(MOST_CREDITS, number('credits', 0) + 1))
    end
  end

  local closed_until = number('closedUntil', 0)
  if outcome == 'refused' and is_first or outcome == 'cut' then
    -- Those that were under way when the gate was closed say the same once more, and count once.
    local is_new_closing = now >= closed_until
    local refusals = number('refusals', 0)
    if is_new_closing then
      refusals = refusals + 1
      set('refusals', refusals)
    end
    local wait = retry_after or math.min(LONGEST_BACKOFF_MS, 1000 * 2 ^ math.min(10, refusals - 1))
    if not knows_limits then
      for _, limit in ipairs({'requests', 'input', 'output'}) do
        if g[limit .. 'PerMs'] then
          set(limit .. 'Left', math.min(0, number(limit .. 'Left', 0)))
          set(limit .. 'At', now)
        end
      end
    end
    if is_first then set('gone', math.max(0, number('gone', 0) - 1)) end
    if is_new_closing then
      -- When the provider would have taken this request. Retry-after is rounded up to seconds; the least it can mean.
      local full_at = now + (retry_after and math.max(0, retry_after - 1000) or 0)
      if not g['requestsPerMs'] and not g['inputPerMs'] then
        -- From one such moment to the next, exactly as much was taken as the limit allows in that time. Each of them is
        -- known to a second, or to the time of one request where that is less.
        local interval, since, taken = number('interval', 0), number('since', 0), number('gone', 0)
        if interval > 0 and since > 0 and taken > 0 then
          local measured = (full_at - since) / taken * MARGIN
          if retry_after and retry_after > UNUSUAL_MS then measured = math.min(measured, interval * 1.3) end
          measured = math.min(LONGEST_INTERVAL_MS, math.max(LEAST_INTERVAL_MS, measured))
          set('interval', measured)
          if taken >= 3 * math.min(1, 1000 / measured) then
            set('gain', math.max(LEAST_GAIN, number('gain', FIRST_GAIN) * GAIN_SHRINK))
          end
        elseif interval > 0 then
          set('interval', math.min(LONGEST_INTERVAL_MS, interval * SLOWDOWN))
        else
          set('interval', math.min(wait, FIRST_INTERVAL_MS))
          set('gain', FIRST_GAIN)
        end
      end
      set('since', full_at)
      set('gone', 0)
    end
    closed_until = math.max(closed_until, now + wait * (1 + jitter))
    set('closedUntil', closed_until)
    set('probeAt', closed_until)
    set('nextAt', closed_until)
    set('credits', 0)
    set('creditsAt', now)
    set('reason', ARGV[6])
  end
end
if #changed > 0 then
  redis.call('HSET', gate, unpack(changed))
  redis.call('PEXPIRE', gate, string.format('%.0f', math.max(0, number('closedUntil', 0) - now) + LIFE_MS))
end
local closed_until = number('closedUntil', 0)
return closed_until > now and math.ceil(closed_until) or 0
