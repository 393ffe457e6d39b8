-- Lists the jobs of a user that are still kept, the newest first, and takes those that are gone out of the user's index.
-- KEYS index
-- ARGV user, how many at most
-- Returns for each job: its id, status, createdAt and input
local index, user, most = KEYS[1], ARGV[1], tonumber(ARGV[2])

local records = prefix_of(index, 'planner:jobs:' .. user) .. 'suggestion:'
local jobs, gone = {}, {}
for _, job in ipairs(redis.call('ZREVRANGE', index, 0, -1)) do
  if #jobs == most then break end
  local record = redis.call('HMGET', records .. job, 'status', 'createdAt', 'input', 'user')
  if record[1] and record[2] and record[3] and record[4] == user then
    jobs[#jobs + 1] = {job, record[1], record[2], record[3]}
  else
    gone[#gone + 1] = job
  end
end
if #gone > 0 then redis.call('ZREM', index, unpack(gone)) end
return jobs
