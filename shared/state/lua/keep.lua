-- Keeps one more whole turn of a job's conversation, fenced like the log. A turn of number 0 begins the list anew.
-- KEYS record, turns
-- ARGV attempt, run, number of the turn, its data, ttl ms, most bytes of all turns
-- Answers the number of the turn that comes next, also where this one is there already or an earlier one is missing;
-- -1 where the attempt is no longer the caller's; -2 where there is no more room.
local record, turns = KEYS[1], KEYS[2]
local r = redis.call('HMGET', record, 'status', 'attempt', 'run')
if r[1] ~= 'in_progress' or r[2] ~= ARGV[1] or r[3] ~= ARGV[2] then return -1 end
local number, bytes = tonumber(ARGV[3]), #ARGV[4]
local kept = redis.call('LRANGE', turns, 0, -1)
if number > 0 and number ~= #kept then return #kept end
if number > 0 then
  for _, turn in ipairs(kept) do bytes = bytes + #turn end
end
if bytes > tonumber(ARGV[6]) then return -2 end
if number == 0 then redis.call('DEL', turns) end
redis.call('RPUSH', turns, ARGV[4])
redis.call('PEXPIRE', turns, ARGV[5])
return number + 1
