-- The users whose credentials the change may end: the other processes suspend these and continue to
-- serve the others. NULL, also from processes of earlier versions: they pause for all users.
ALTER TABLE session_calls ADD COLUMN users BIGINT[];

-- A call that names users does not ring by itself: the caller rings if another process has a lease.
-- Nor does its end, because no process has paused.
DROP TRIGGER calls_ring ON session_calls;
CREATE TRIGGER calls_ring AFTER INSERT ON session_calls
    FOR EACH ROW WHEN (NEW.users IS NULL) EXECUTE FUNCTION tokenhouse_ring();
CREATE TRIGGER ends_of_calls_ring AFTER DELETE ON session_calls
    FOR EACH ROW WHEN (OLD.users IS NULL) EXECUTE FUNCTION tokenhouse_ring();

-- Changes by Tokenhouse are announced by calls, so only those by hand ring. A change by hand in a
-- session with this name is noticed within 0.3 s.
DROP TRIGGER changes_ring ON session_changes;
CREATE TRIGGER changes_ring AFTER INSERT ON session_changes
    FOR EACH STATEMENT WHEN (current_setting('application_name') NOT LIKE 'tokenhouse%')
    EXECUTE FUNCTION tokenhouse_ring();

-- Also where session_replication_role is 'replica', as when logical replication is applied.
ALTER TABLE session_calls ENABLE ALWAYS TRIGGER calls_ring;
ALTER TABLE session_calls ENABLE ALWAYS TRIGGER ends_of_calls_ring;
ALTER TABLE session_changes ENABLE ALWAYS TRIGGER changes_ring;
