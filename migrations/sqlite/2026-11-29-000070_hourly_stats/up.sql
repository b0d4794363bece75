-- What the overview of the console plots: values of each hour (UTC) by name and label. The row with the
-- name 'cursor' has the last event of the audit trail that is counted.
CREATE TABLE hourly_stats (
    name TEXT NOT NULL,
    hour TIMESTAMP NOT NULL,
    label TEXT NOT NULL,
    value BIGINT NOT NULL,
    PRIMARY KEY (name, hour, label)
);
