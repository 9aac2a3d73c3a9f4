"""Whether pending migrations are a danger to what runs now: `lint` decides, `facts` asks the database what it is like.

`Verdict` has the findings and the contract files that wait. Nothing of a parser is imported before the first statement.
"""

from __future__ import annotations

from golive.migrate.lint.finding import Finding, Held, Level, Verdict

__all__ = ["Finding", "Held", "Level", "Verdict"]
