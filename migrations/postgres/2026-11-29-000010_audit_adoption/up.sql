-- The last event that was signed with an earlier key, and two digests under the present key: of the
-- pruned events up to there, and of all events up to there.
ALTER TABLE audit_head ADD COLUMN adopted_id BIGINT NOT NULL DEFAULT 0;
ALTER TABLE audit_head ADD COLUMN adopted_start VARCHAR(255) NOT NULL DEFAULT '';
ALTER TABLE audit_head ADD COLUMN adopted_digest VARCHAR(255) NOT NULL DEFAULT '';
