-- The users whose credentials the change may end: the other processes suspend these and go on
-- serving everybody else. NULL, also from processes of earlier versions: they pause altogether.
ALTER TABLE session_calls ADD COLUMN users BIGINT[];
