-- Up to which event the trail was signed with an earlier key, and two digests by the present one:
-- of those of them that were pruned, and of all of them.
ALTER TABLE audit_head ADD COLUMN adopted_id BIGINT NOT NULL DEFAULT 0;
ALTER TABLE audit_head ADD COLUMN adopted_start VARCHAR(255) NOT NULL DEFAULT '';
ALTER TABLE audit_head ADD COLUMN adopted_digest VARCHAR(255) NOT NULL DEFAULT '';
