DROP TABLE instance_secrets;
DROP TRIGGER audit_events_are_not_deleted;
DROP TRIGGER audit_events_are_not_changed;
DROP TABLE audit_head;
DROP TABLE audit_events;
