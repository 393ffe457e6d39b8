-- Makes a process the one that looks for abandoned jobs, or renews that, unless another process is the one now.
-- KEYS leases, sweeper
-- ARGV process, for how long it is the one, ms
-- Answers 1 where it is the one, else 0.
-- A process that only reads would never notice that it asks a replica: this writes in any case.
write_even_when_full(KEYS[1])
local holder = redis.call('GET', KEYS[2])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
return 1
