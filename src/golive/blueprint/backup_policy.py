"""`[backups]`: where the databases of an app are backed up to, when, and how long that is kept."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from golive.blueprint.fields import Duration, Model, Size

FOLDER_FOR, BUCKET_FOR = timedelta(days=7), timedelta(days=30)
"""How long backups are kept where nothing is said, in a folder and in S3."""


class BackupPolicy(Model):
    """Backups of the databases that golive runs."""

    enabled: bool | None = Field(
        None, description="Whether there are any; when left out, everywhere but in `development` and previews."
    )
    to: str | None = Field(
        None,
        pattern=r"^(/|s3://).+$",
        max_length=1000,
        description="A folder such as `/mnt/backups`, or `s3://bucket/folder`; when left out, a folder in GOLIVE_HOME, "
        "which is lost with its disk.",
    )
    schedule: str = Field("0 2 * * *", description="Cron: when a base backup is taken; writes are received always.")
    increments: str = Field(
        "never",
        description="Cron: when an increment of the last one is taken: the blocks that changed since. From PostgreSQL "
        "17 on; `never`.",
    )
    drill: str = Field("0 4 * * 0", description="Cron: when the newest backup is restored to prove it; `never`.")
    timezone: str = Field("UTC", description="IANA zone of the schedules.")
    keep: int = Field(
        7,
        ge=1,
        le=1000,
        description="So many backups are kept, however old they are; one with its increments counts once.",
    )
    keep_for: Duration | None = Field(
        None, description="Younger ones are kept too; 7d in a folder and 30d in S3 when left out."
    )
    budget: Size | None = Field(
        None, description="Most that backups and received writes may take in a folder; half of the disk when left out."
    )

    rto: Duration = Field(
        timedelta(minutes=15), description="The most that `golive recover` may take on an empty machine; it says so."
    )

    def wanted(self, environment: str) -> bool:
        if self.enabled is not None:
            return self.enabled
        return environment != "development" and environment.split("/", maxsplit=1)[0] != "preview"

    @property
    def age(self) -> timedelta:
        """From which on a backup may go."""
        if self.keep_for is not None:
            return self.keep_for
        return BUCKET_FOR if (self.to or "").startswith("s3://") else FOLDER_FOR
