"""The production checklist that runs: checks, what they look at, and the reports they end in."""
