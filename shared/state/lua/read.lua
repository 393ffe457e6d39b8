-- A job as it is, and what a reader with a cursor has not seen: from the cursor on where it belongs to the current
-- attempt, else the whole current attempt.
-- KEYS record, log
-- ARGV cursor or '', and 'head' where the entries are not wanted
-- Answers nothing for a job that is gone; else status, attempt, user, createdAt, input, holder, last id, run, the last
-- id that may have been lost ('' where none), and the entries, or where they are many the id that they begin with.
return read(KEYS[1], KEYS[2], ARGV[1], ARGV[2])
