-- The list of a client's threads, newest first. CONCURRENTLY: writes go on while it is built.
CREATE INDEX CONCURRENTLY threads_by_client ON threads (client_id, created_at DESC);
