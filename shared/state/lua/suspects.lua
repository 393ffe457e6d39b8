-- Jobs that look abandoned: their lease has lapsed, or RQ has them as taken and they have none, or they wait and the
-- queue has lost them (`rq empty`, an older file), the oldest of these last. Also clears the queue of jobs whose life ran
-- out there, so that its length is exact.
-- KEYS leases, queue, RQ's intermediate list, RQ's registry of started executions
-- Answers job, lease, execution, again and again; '' for what there is none of. The names in RQ's lists are anybody's:
-- nothing that stands there may end the script.
local leases, queue, intermediate, started = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local now, found, seen, queued = now_ms(), {}, {}, {}
local prefix = prefix_of(leases, 'planner:leases')
local records, waiting = prefix .. 'suggestion:', prefix .. 'planner:waiting'
-- A process that only reads would never notice that it asks a replica: every sweep writes.
write_even_when_full(leases)

local function suspect(job, execution)
  local lease = redis.call('ZSCORE', leases, job)
  if lease and tonumber(lease) > now then
    if execution == '' or redis.pcall('HGET', records .. job, 'execution') == execution then return end
  end
  seen[job] = true
  for _, part in ipairs({job, lease or '', execution}) do found[#found + 1] = part end
end

for _, member in ipairs(redis.call('ZRANGE', started, 0, -1)) do
  local job = string.match(member, '^([^:]+):.')
  if job then suspect(job, member) end
end
for _, job in ipairs(redis.call('LRANGE', intermediate, 0, -1)) do suspect(job, '') end
for _, job in ipairs(redis.call('ZRANGEBYSCORE', leases, '-inf', now)) do
  if not seen[job] then suspect(job, '') end
end
for _, job in ipairs(redis.call('LRANGE', queue, 0, -1)) do
  queued[job] = true
  if redis.call('EXISTS', records .. job) == 0 then
    redis.call('LREM', queue, 0, job)
    redis.call('DEL', 'rq:job:' .. job)
  end
end
for _, job in ipairs(redis.call('ZREVRANGE', waiting, 0, -1)) do
  if redis.call('EXISTS', records .. job) == 0 then
    redis.call('ZREM', waiting, job)
  elseif not queued[job] and not seen[job] then
    suspect(job, '')
  end
end
return found
