-- Jobs that look abandoned: their lease has lapsed, or RQ has them as taken and they have none, or they wait and the
-- queue has lost them (`rq empty`, an older file), the oldest of these last. Also clears the queue of jobs whose life ran
-- out there, so that its length is exact.
-- KEYS leases, queue, RQ's intermediate list, RQ's registry of started executions
-- Answers job, lease, execution, again and again; '' for what there is none of. The names in RQ's lists are anybody's:
-- nothing that stands there may end the script.
local leases, queue, intermediate, started = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local now, found, seen, queued, alive = now_ms(), {}, {}, {}, {}
local prefix = prefix_of(leases, 'planner:leases')
local records, waiting = prefix .. 'suggestion:', prefix .. 'planner:waiting'
for _, job in ipairs(redis.call('ZRANGEBYSCORE', leases, string.format('(%.0f', now), '+inf')) do alive[job] = true end

local function suspect(job, execution)
  if alive[job] and (execution == '' or redis.pcall('HGET', records .. job, 'execution') == execution) then return end
  local lease = redis.call('ZSCORE', leases, job)
  seen[job] = true
  for _, part in ipairs({job, lease or '', execution}) do found[#found + 1] = part end
end

-- RQ lists an execution before its job gets a lease: where a job with a lease has only one, it is the current one. To look
-- up each of them would hold up Redis for 70 ms, where ten thousand jobs run.
local members, count = redis.call('ZRANGE', started, 0, -1), {}
for i, member in ipairs(members) do
  local job = string.match(member, '^([^:]+):.') or ''
  members[i] = {job, member}
  count[job] = (count[job] or 0) + 1
end
for _, execution in ipairs(members) do
  local job, member = execution[1], execution[2]
  if job ~= '' and not (alive[job] and count[job] == 1) then suspect(job, member) end
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
