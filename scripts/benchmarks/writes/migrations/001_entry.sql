CREATE TABLE entry (
    id     bigserial        PRIMARY KEY,
    device integer          NOT NULL,
    value  double precision NOT NULL,
    at     timestamptz      NOT NULL DEFAULT now(),
    note   text                      DEFAULT ''
);
