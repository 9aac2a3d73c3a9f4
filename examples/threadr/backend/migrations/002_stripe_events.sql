-- Stripe delivers an event at least once; the primary key makes the second delivery do nothing.
CREATE TABLE stripe_events (
    id          text        PRIMARY KEY,
    type        text        NOT NULL,
    client_id   text        REFERENCES clients (id) ON DELETE SET NULL,
    received_at timestamptz NOT NULL DEFAULT now()
);
