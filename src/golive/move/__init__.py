"""Moving what an app keeps in Redis to tables of PostgreSQL while it runs: docs/decisions/0020."""
