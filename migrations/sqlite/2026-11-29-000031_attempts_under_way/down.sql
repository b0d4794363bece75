ALTER TABLE login_failures DROP COLUMN signed_in_until;
ALTER TABLE login_failures DROP COLUMN under_way_until;
ALTER TABLE login_failures DROP COLUMN under_way;
