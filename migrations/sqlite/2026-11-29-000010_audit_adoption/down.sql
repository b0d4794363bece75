ALTER TABLE audit_head DROP COLUMN adopted_digest;
ALTER TABLE audit_head DROP COLUMN adopted_start;
ALTER TABLE audit_head DROP COLUMN adopted_id;
