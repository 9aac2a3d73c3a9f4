"""Load tests: what an app holds, where it breaks first, and how many users that is."""
