-- What a client has used of its plan, a row a day and a row a month: where the counters of Redis go (golive move).
CREATE TABLE quota (
    client     text        NOT NULL,
    period     text        NOT NULL,
    used       integer     NOT NULL,
    expires_at timestamptz,
    PRIMARY KEY (client, period)
);
