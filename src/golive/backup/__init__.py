"""Backups of databases: taken by PostgreSQL's own programs, sealed, catalogued, and restored into a new folder."""
