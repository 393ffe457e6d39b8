-- A web process says that it is alive, and renews the slots of its streams. Also where memory is full: what is open
-- takes no more than it had.
-- KEYS the web process, then the streams of the user of each slot
-- ARGV process ms, lease ms, then each slot
local process, lease = KEYS[1], tonumber(ARGV[2])
redis.call('PEXPIRE', process, ARGV[1])
redis.call('SET', process, 1, 'PX', ARGV[1])
local lapses = now_ms() + lease
for i = 2, #KEYS do
  redis.call('ZADD', KEYS[i], lapses, ARGV[i + 1])
  redis.call('PEXPIRE', KEYS[i], lease)
end
