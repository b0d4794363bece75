DROP TABLE instance_secrets;
DROP TABLE audit_head;
DROP TABLE audit_events;
DROP FUNCTION tokenhouse_audit_pruned_only();
DROP FUNCTION tokenhouse_audit_refuses();
