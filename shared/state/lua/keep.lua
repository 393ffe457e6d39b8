-- Keeps one more whole turn of a job's conversation, fenced like the log. A turn of number 0 begins the list anew.
-- KEYS record, turns
-- ARGV attempt, run, number of the turn, its data, ttl ms, most bytes of all turns
-- Answers kept; lost where the attempt is no longer the caller's; gap where an earlier turn is missing or this one is
-- there already; full where there is no more room.
local record, turns = KEYS[1], KEYS[2]
local r = redis.call('HMGET', record, 'status', 'attempt', 'run')
if r[1] ~= 'in_progress' or r[2] ~= ARGV[1] or r[3] ~= ARGV[2] then return 'lost' end
local number, bytes = tonumber(ARGV[3]), #ARGV[4]
local kept = redis.call('LRANGE', turns, 0, -1)
if number > 0 and number ~= #kept then return 'gap' end
if number > 0 then
  for _, turn in ipairs(kept) do bytes = bytes + #turn end
end
if bytes > tonumber(ARGV[6]) then return 'full' end
if number == 0 then redis.call('DEL', turns) end
redis.call('RPUSH', turns, ARGV[4])
redis.call('PEXPIRE', turns, ARGV[5])
return 'kept'
