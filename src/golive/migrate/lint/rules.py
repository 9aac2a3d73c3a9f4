"""The rules by name: what each is about, and what to do instead. docs/reference/migration-rules.md is made of this."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Rule:
    """`danger` in one sentence; `instead` is the safe form. `by`: what decides the level."""

    name: str
    danger: str
    instead: str
    by: str


SIZE = "size"
"""The table's rows and bytes: new none, tiny a note, small a warning, else a stop."""
NEED = "need"
"""Whether a running release names it: a stop, or held in a contract file; a note when nobody does."""
ALWAYS = "always"
SAID = "said"

_RULES = (
    # Locks that are held while a table is read or written as a whole
    ("index-blocks-writes", "CREATE INDEX stops all writes to the table while it is built.",
     "CREATE INDEX CONCURRENTLY, in a file of its own", SIZE),
    ("reindex-blocks", "REINDEX stops writes, and reads that would use the index, while it is rebuilt.",
     "REINDEX … CONCURRENTLY", SIZE),
    ("rewrites-table", "The whole table is written anew while nobody can read or write it.",
     "a new column, filled in batches; or pg_repack for VACUUM FULL and CLUSTER", SIZE),
    ("volatile-default", "A default that differs for each row writes the whole table anew while nobody can read it.",
     "add the column without it, SET DEFAULT, fill the old rows in batches", SIZE),
    ("constraint-scans", "All rows are checked while the table is locked.",
     "ADD CONSTRAINT … NOT VALID, and VALIDATE CONSTRAINT in the next file", SIZE),
    ("unique-blocks", "The index of a UNIQUE, PRIMARY KEY or EXCLUDE constraint is built while the table is locked.",
     "CREATE UNIQUE INDEX CONCURRENTLY, then ADD CONSTRAINT … USING INDEX", SIZE),
    ("not-null-scans", "SET NOT NULL reads all rows while nobody can read or write the table.",
     "a validated CHECK (column IS NOT NULL) first: then nothing is read", SIZE),
    ("lock-held-long", "A lock taken before in the same transaction is kept while this works through a table.",
     "this statement in the next file", SIZE),
    ("refresh-blocks", "REFRESH MATERIALIZED VIEW stops reads of it until it is done.",
     "REFRESH MATERIALIZED VIEW CONCURRENTLY, with a unique index", SIZE),
    ("attach-scans", "ATTACH PARTITION reads all rows of the partition under a lock.",
     "a validated CHECK with the partition's bounds first", SIZE),
    ("concurrently-in-transaction", "CONCURRENTLY cannot run in a transaction: the statement fails.",
     "outside BEGIN and COMMIT; in Alembic autocommit_block(), in Django atomic = False", ALWAYS),
    ("lock-table", "LOCK TABLE holds up readers or writers until the transaction ends.",
     "leave it out: each statement takes the lock that it needs", ALWAYS),
    ("trigger-added", "CREATE TRIGGER stops writes for a moment, and runs in every write of the running release.",
     "a look at what it does to the statements of the running release", SAID),
    # What a running release still reads or writes
    ("drop-column", "A running release still names the column: its queries fail.",
     "a file of its own that begins with `-- golive: contract`: it waits until no release needs it", NEED),
    ("drop-table", "A running release still names the table: its queries fail.",
     "a file of its own that begins with `-- golive: contract`", NEED),
    ("drop-object", "A running release still names a view, function, type or sequence.",
     "a file of its own that begins with `-- golive: contract`", NEED),
    ("drop-index", "An index that queries use, or that ON CONFLICT and uniqueness rest on, goes.",
     "a file of its own that begins with `-- golive: contract`", NEED),
    ("drop-index-blocks", "DROP INDEX waits for every transaction on the table and holds up those behind it.",
     "DROP INDEX CONCURRENTLY", SAID),
    ("drop-constraint", "A primary key or unique constraint goes, on which ON CONFLICT and foreign keys rest.",
     "a file of its own that begins with `-- golive: contract`", NEED),
    ("drop-default", "Rows that a running release writes without the column no longer get a value.",
     "a file of its own that begins with `-- golive: contract`", NEED),
    ("rename-column", "One of the two releases that run during a deploy has the wrong name.",
     "add the new column, write both, fill in batches, read the new one; drop the old one in a contract file", NEED),
    ("rename-table", "One of the two releases that run during a deploy has the wrong name.",
     "RENAME, and CREATE VIEW with the old name in the same file", NEED),
    ("rename-object", "One of the two releases that run during a deploy has the wrong name.",
     "make the new one beside it; drop the old one in a contract file", NEED),
    ("rename-enum-value", "One of the two releases that run during a deploy has the wrong value.",
     "ADD VALUE, write the new one; the old value may stay", NEED),
    ("enum-value-added", "A running release may read a value that it does not know.",
     "deploy code that knows it, before code that writes it", SAID),
    ("required-column", "A running release does not fill the new NOT NULL column: its inserts fail.",
     "a DEFAULT; or nullable now, NOT NULL in a contract file", NEED),
    ("not-null", "A running release may write NULL: its inserts and updates fail.",
     "a file of its own that begins with `-- golive: contract`", NEED),
    ("type-change", "A running release reads and writes the column with its old type.",
     "a new column of the new type, filled in batches; drop the old one in a contract file", NEED),
    ("revoke", "A running release may lose a right that it uses.",
     "a file of its own that begins with `-- golive: contract`", NEED),
    ("row-security", "Rows disappear for a running release that sets no role or policy.",
     "policies first, then ENABLE and FORCE ROW LEVEL SECURITY", NEED),
    ("detach-partition", "The rows of the partition disappear from the table.",
     "a file of its own that begins with `-- golive: contract`", NEED),
    ("constraint-added", "A running release may write what the new constraint refuses.",
     "a look at what the running release writes", SAID),
    # Data
    ("truncate", "All rows go, and TRUNCATE locks the table against everybody.",
     "DELETE in batches, when the rows are to go", ALWAYS),
    ("delete-everything", "DELETE without a condition: all rows go.", "a WHERE; in batches", ALWAYS),
    ("update-everything", "One UPDATE of a large part of the table: its rows are locked until the end, and it bloats.",
     "UPDATE … WHERE id IN (SELECT id … LIMIT 1000), again until nothing is left; or from the app", SIZE),
    ("cascade", "CASCADE takes along what depends on it, whatever that is.", "name what is to go", SAID),
    ("drop-schema", "Everything in the schema goes.", "DROP each object that is to go", ALWAYS),
    ("drop-database", "The database goes.", "golive destroy", ALWAYS),
    ("drop-role", "DROP ROLE, DROP OWNED, REASSIGN OWNED and ALTER ROLE change who may connect and what they may do.",
     "by hand, apart from a deploy", ALWAYS),
    ("drop-extension", "All that the extension made goes: types, functions, indexes.", "by hand, after a look", ALWAYS),
    ("trigger-dropped", "What the trigger kept in order is no longer kept.",
     "a file of its own that begins with `-- golive: contract`", SAID),
    ("trigger-disabled", "Foreign keys, or what a trigger keeps in order, are not checked.",
     "leave them enabled", ALWAYS),
    ("sequence-restart", "Numbers that exist already may be given again: inserts of a running release fail.",
     "SELECT setval(…, (SELECT max(id) FROM …))", ALWAYS),
    # Sessions and what cannot be read
    ("lock-timeout", "The file sets its own lock_timeout: a blocked statement then holds up everybody behind it.",
     "leave it to golive; migrations.lock_timeout in golive.toml", ALWAYS),
    ("session-setting", "The rest of the file runs with another setting.", "without SET, or with a reason", SAID),
    ("server-setting", "A setting of the server, database or role changes for the running release, too.",
     "by hand, apart from a deploy", ALWAYS),
    ("opaque", "SQL that is put together when it runs: golive cannot see what it does.",
     "plain statements", ALWAYS),
    ("unreadable", "PostgreSQL's parser does not take it.", "correct it; or a statement of a newer PostgreSQL", SAID),
    ("own-transaction", "COMMIT or ROLLBACK inside the file ends golive's transaction.", "remove it", ALWAYS),
    ("contract-mark", "With this tool `-- golive: contract` has to be the first thing in the file.",
     "the statements after it in a file of their own", ALWAYS),
    ("contract-order", "This tool never runs what is older than its newest: the held file would be lost.",
     "rename the contract file so that it is the last", ALWAYS),
    ("allow-comment", "A comment `-- golive: allow` that cannot be followed.",
     "-- golive: allow RULE because REASON", ALWAYS),
)  # fmt: skip
RULES = {name: Rule(name, danger, instead, by) for name, danger, instead, by in _RULES}
