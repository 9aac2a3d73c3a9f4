"""`golive debug`: one thing at a time, asked for real, each step with what it means (OBS-7)."""
