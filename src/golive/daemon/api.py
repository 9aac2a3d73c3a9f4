"""The requests that clients send, typed. Unknown fields are refused, so that an older daemon never ignores one."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from golive.blueprint.models import DOMAIN_PATTERN, NAME_PATTERN
from golive.secret import Secret
from golive.state.records import Place

AppName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,30}$")]
ServiceName = Annotated[str, Field(pattern=NAME_PATTERN)]
Environment = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?$", max_length=100)]


class Call(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PlaceCall(Call):
    app: AppName
    environment: Environment = "production"

    @property
    def place(self) -> Place:
        return Place(self.app, self.environment)


class DeployCall(PlaceCall):
    kind: Literal["deploy"] = "deploy"
    checkout: str
    skip_build_env_check: bool = False
    """Variables are checked before the release starts, and not before the build too."""
    canary: bool | None = None
    """In place of the blueprint's `release.strategy`."""


class RollbackCall(PlaceCall):
    kind: Literal["rollback"]
    release: int | None = Field(None, ge=1, lt=2**31)
    despite_schema: bool = False
    """Although its code names what the schema no longer has."""


class MoveCall(PlaceCall):
    """A step of a move; the only one when none is named."""

    step: Literal["start", "compare", "cutover", "revert", "finish"]
    name: str | None = Field(None, max_length=100)
    delete_keys: bool = False


class RestartCall(PlaceCall):
    kind: Literal["restart"]
    services: tuple[ServiceName, ...] = ()


class ScaleCall(PlaceCall):
    service: ServiceName
    instances: int = Field(ge=0, le=100)


class TrafficCall(PlaceCall):
    """`percent` of new visitors go to `service`, which replaces another; evenly within `over` seconds. Without a
    service: to the canary that is under way, which goes on by its own steps when no percentage is said."""

    service: ServiceName | None = None
    percent: int | None = Field(None, ge=0, le=100)
    over: float | None = Field(None, gt=0, le=366 * 86400, allow_inf_nan=False)


class PurgeCall(PlaceCall):
    """Kept answers at a path, as clients ask for it, and below; all of them without one."""

    path: str | None = Field(None, pattern=r"^/[^?#\s\x00-\x1f]*$", max_length=4096)


class ServicesCall(PlaceCall):
    """To suspend or resume; all of them when none is named."""

    services: tuple[ServiceName, ...] = ()


class MaintenanceCall(ServicesCall):
    """`until` in seconds since 1970; `page` is HTML, `allow` are networks such as `10.0.0.0/8`."""

    until: float | None = Field(None, ge=0, lt=2**33, allow_inf_nan=False)
    message: str | None = Field(None, max_length=2000)
    page: str | None = Field(None, max_length=256 * 1024)
    allow: tuple[str, ...] = Field((), max_length=100)

    @field_validator("allow")
    @classmethod
    def _networks(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(str(ip_network(text, strict=False)) for text in given))


class VaultCall(Call):
    """Another key for the state: opened as before, by a passphrase, or by its file."""

    work: Literal["rotate", "passphrase", "file"]
    passphrase: Secret | None = None


class SetVariables(PlaceCall):
    values: dict[str, str]
    rotate: bool = False
    """The values before stay as NAME_PREVIOUS."""


class UnsetVariables(PlaceCall):
    names: tuple[str, ...]


class CompareCall(PlaceCall):
    """What `values`, or what holds in the environment `other`, would change; `absent`: also what they lack."""

    checkout: str | None = None
    values: dict[str, str] = {}
    other: Environment | None = None
    absent: bool = False


class ReadVariables(PlaceCall):
    """The values themselves; with `secrets` all of them."""

    checkout: str | None = None
    secrets: bool = False


class ExecCall(PlaceCall):
    """The environment of a service for a one-off command: `command` empty means a shell."""

    service: ServiceName | None = None
    command: tuple[str, ...] = ()


class EndDevCall(PlaceCall):
    """The end of a session of `golive dev`, by the name that it gave itself."""

    session: str = Field(max_length=100)


class DevCall(EndDevCall):
    """Resources, variables and routes for `golive dev`, as long as the answer is read. Ports are those of before."""

    checkout: str
    services: tuple[ServiceName, ...] = ()
    ports: dict[ServiceName, int] = {}
    grpc_ports: dict[ServiceName, int] = {}


class PlanCall(PlaceCall):
    checkout: str


class SecretsCall(PlaceCall):
    """Search a checkout for secrets; `history` all of it, `anew` also what was searched before."""

    checkout: str
    history: bool = False
    anew: bool = False


class MigrateCall(PlaceCall):
    """Run what is pending, for the live release."""


class RehearseCall(PlaceCall):
    """Run what is pending on a copy of the live database, and say what it took."""


class OutageCall(PlaceCall):
    """Stop the stores of a copy of the live release, and say what it answers meanwhile."""


class DatabaseCall(PlaceCall):
    """A resource of the live release; the first database when none is named."""

    resource: str | None = Field(None, max_length=100)


class MaintainCall(DatabaseCall):
    """`name` is a table, for reindex an index too; everything when none is named."""

    work: Literal["vacuum", "reindex"]
    name: str | None = Field(None, max_length=200)


class PromoteCall(DatabaseCall):
    """`replica` is its name or label; the one that is least behind when none is named."""

    replica: str | None = Field(None, max_length=100)
    force: bool = False


class BackupCall(PlaceCall):
    """A database of the live release, the first when none is named; a backup, the newest when none is."""

    resource: str | None = Field(None, max_length=100)
    id: str | None = Field(None, max_length=100)


class CreateBackupCall(BackupCall):
    """With `increment` of the last one, where that can be done."""

    increment: bool = False


class DumpCall(BackupCall):
    """A logical dump: made, listed, unsealed into golive's home, or restored to see whether it can be."""

    work: Literal["create", "list", "open", "drill"]


class RestoreCall(BackupCall):
    """To the backup `id`, to `at` (seconds since 1970), to before the last migrations, or as far as can be."""

    at: float | None = Field(None, ge=0, lt=2**33, allow_inf_nan=False)
    before_migration: bool = False


class CopyCall(PlaceCall):
    """A copy that a restore made or replaced, the newest when none is named."""

    copy_name: str | None = Field(None, max_length=100)


class KeyCall(Call):
    """Show the key that backups are sealed with; `add` another one, or say that it is `kept` elsewhere."""

    add: str | None = Field(None, max_length=200)
    kept: bool = False


class BranchCall(PlaceCall):
    """A branch by its label, or in full (`db@try-1`)."""

    name: str = Field(max_length=100)


class MakeBranchCall(BranchCall):
    """`expires` in seconds from now; None never. `resource`: the first PostgreSQL when none is named. Of the present,
    else of what the backups have: as it was `at` (seconds since the epoch), or the `backup` of that id."""

    resource: str | None = Field(None, max_length=100)
    expires: float | None = Field(None, gt=0, le=10 * 365 * 86400, allow_inf_nan=False)
    at: float | None = Field(None, ge=0, lt=2**33, allow_inf_nan=False)
    backup: str | None = Field(None, max_length=100)


class UpgradeCall(DatabaseCall):
    """To the major version `to`, or back where there is none. `rehearse` only tries it on a copy; with `force` back
    although something was written since."""

    to: int | None = Field(None, ge=10, le=50)
    rehearse: bool = False
    force: bool = False


class LintFile(Call):
    """SQL that somebody wants judged; the daemon opens no file for it."""

    name: str = Field(max_length=4096)
    text: str = Field(max_length=8 * 2**20)


class LintCall(PlaceCall):
    """Judge what is pending, or these files as if they were, against the live database and release."""

    files: list[LintFile] = Field([], max_length=1000)


class DomainsCall(PlaceCall):
    """Domains whose records are right now."""

    domains: tuple[str, ...] = Field((), max_length=1000)


class DomainCall(PlaceCall):
    """A domain of the live release, or the wildcard above one."""

    domain: str = Field(pattern=DOMAIN_PATTERN, max_length=253)


class BringCertificateCall(DomainCall):
    """Both in PEM, the chain's leaf first."""

    chain: str = Field(max_length=2**20)
    key: str = Field(max_length=2**16, repr=False)


class LogsCall(PlaceCall):
    service: ServiceName | None = None
    since: float | None = Field(None, ge=0, lt=2**33, allow_inf_nan=False)
    grep: str | None = None
    lines: int = Field(200, ge=0, le=100_000)
    follow: bool = False
    edge: bool = False
