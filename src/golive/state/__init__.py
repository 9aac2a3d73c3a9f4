"""What golive remembers: SQLite in WAL mode, one writer (the daemon). Secrets are sealed before they get here."""
