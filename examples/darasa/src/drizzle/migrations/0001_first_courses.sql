INSERT INTO "courses" ("slug", "title", "summary", "hours", "capacity") VALUES
	('postgresql-from-the-ground', 'PostgreSQL from the ground up', 'Tables, constraints and transactions, and what the planner does with your query.', 12, 24),
	('writing-for-the-web', 'Writing for the web', 'Headings that say something, links that tell where they lead, pages that everybody can read.', 6, 16),
	('reading-a-trace', 'Reading a trace', 'Where the time of a request goes, told from spans and counters and not from hunches.', 4, 8)
ON CONFLICT ("slug") DO NOTHING;
