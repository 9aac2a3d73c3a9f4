"""The blueprint: frozen, typed models of `golive.toml`, every default in one place.

The models describe the *resolved* blueprint: detection has filled what the file left out (`resolve`), and each
field's default is the one that `golive config` prints. Field descriptions become the reference page and JSON Schema.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema

from golive.units import Rate, duration, size


def _duration_text(value: timedelta) -> str:
    seconds = value.total_seconds()
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        if seconds >= length and seconds % length == 0:
            return f"{seconds / length:.0f}{unit}"
    return f"{seconds * 1000:.0f}ms"


Duration = Annotated[
    timedelta,
    BeforeValidator(duration),
    PlainSerializer(_duration_text),
    WithJsonSchema({"type": ["string", "number"], "examples": ["250ms", "30s", "5m", "1h30m"]}),
]
Size = Annotated[
    int, BeforeValidator(size), WithJsonSchema({"type": ["string", "integer"], "examples": ["512MB", "1.5GiB"]})
]
RateText = Annotated[
    Rate,
    BeforeValidator(lambda v: v if isinstance(v, Rate) else Rate.parse(v)),
    PlainSerializer(str),
    WithJsonSchema({"type": "string", "examples": ["100/min", "5/day"]}),
]


def _percent(value: Any) -> Any:
    if isinstance(value, str) and value.strip().endswith("%"):
        return float(value.strip()[:-1]) / 100
    return value


Share = Annotated[
    float,
    BeforeValidator(_percent),
    Field(gt=0, le=1),
    PlainSerializer(lambda v: f"{v:.0%}"),
    WithJsonSchema({"type": ["string", "number"], "examples": ["70%", 0.7]}),
]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,30}$")]
VariableName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
Domain = Annotated[str, Field(pattern=r"^(\*\.)?[a-z0-9-]+(\.[a-z0-9-]+)*$")]
RoutePath = Annotated[str, Field(pattern=r"^/[^?#\s]*$")]


class Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


class ServiceKind(StrEnum):
    WEB = "web"
    STATIC = "static"
    WORKER = "worker"
    CRON = "cron"


class Probe(Model):
    """One health probe. Exactly one of `path`, `tcp`, `command` is set. A bare string in the file is a path."""

    path: RoutePath | None = Field(None, description="HTTP path; 2xx passes. 3xx, 4xx and 5xx fail.")
    tcp: bool = Field(False, description="Pass when the port accepts a connection.")
    command: str | None = Field(None, description="Shell line run in the service's environment; exit 0 passes.")
    interval: Duration = Field(timedelta(seconds=10), description="Between two probes of a running instance.")
    timeout: Duration = Field(timedelta(seconds=5), description="An answer later than this fails.")
    failures: int = Field(3, ge=1, description="Failures in a row before it counts.")


class Health(Model):
    """Probes of a service. Nothing set: a web service is probed by TCP."""

    startup: Probe | None = Field(None, description="Has to pass once before `ready` and `live` are asked.")
    ready: Probe | None = Field(None, description="May take traffic.")
    live: Probe | None = Field(None, description="Failing means restart.")


class Scale(Model):
    """How many instances. A bare number in the file sets `min` and `max`."""

    min: int = Field(1, ge=0, le=100)
    max: int = Field(1, ge=1, le=100)
    cpu: Share | None = Field(None, description="Add an instance above this share of one core, on average.")


class Limits(Model):
    """Limits of each instance."""

    memory: Size | None = Field(None, description="Bytes; the instance is restarted when it passes this.")
    cpu: float | None = Field(None, gt=0, description="Cores, where the kernel allows a limit.")
    files: int = Field(16384, ge=64, description="Open files.")


class RateLimit(Model):
    """At the edge, a token bucket per key; refused requests get 429 with Retry-After."""

    limit: RateText
    per: Literal["client", "service"] = Field("client", description="client: per IP address; service: all together.")
    path: RoutePath | None = Field(None, description="Only requests under this path; else the whole route.")
    burst: int | None = Field(None, ge=1, description="Requests allowed at once; the limit's count when left out.")


class BuildRecipe(Model):
    """How the service's artifact is made."""

    builder: Literal["python", "static", "none"] = "none"
    framework: str | None = Field(None, description="fastapi, starlette, flask, django: chooses the start command.")
    python: str | None = Field(None, description="Python version specifier, e.g. `>=3.12`.")
    dependencies: str | None = Field(
        None, description="What is installed: uv.lock, pyproject.toml or requirements.txt, relative to the source."
    )
    extra: tuple[str, ...] = Field((), description="Requirements added by golive, e.g. a server when none is listed.")
    command: str | None = Field(None, description="Shell line run in the source before it is packed.")
    output: str | None = Field(None, description="Folder that `command` makes and that is served (static).")
    env: dict[VariableName, str] = Field({}, description="Build-time environment. Never secrets.")


class Service(Model):
    """Something that answers or works."""

    kind: ServiceKind
    source: str = Field(".", description="Folder of the service, relative to golive.toml.")
    build: BuildRecipe = BuildRecipe()
    command: str | None = Field(
        None, description="Shell line that starts it; $PORT is where it must listen. Detected for known frameworks."
    )
    port: int | None = Field(
        None, ge=1, le=65535, description="A fixed port of its own. golive chooses one per instance when left out."
    )
    route: tuple[RoutePath, ...] = Field((), description="Path prefixes it answers; the longest match wins.")
    strip_prefix: bool = Field(False, description="Remove the matched prefix before the service sees the path.")
    domains: tuple[Domain, ...] = Field((), description="Only on these domains; all of the app's when left out.")
    health: Health = Health()
    scale: Scale = Scale()
    limits: Limits = Limits()
    rate_limit: tuple[RateLimit, ...] = ()
    timeout: Duration = Field(timedelta(0), description="Whole response; 0 means none (streams, uploads).")
    idle_timeout: Duration = Field(timedelta(minutes=5), description="No byte either way for this long ends it.")
    overlap: bool = Field(
        True, description="false: two releases may not run at once; requests are held while it changes over."
    )
    spa: bool = Field(False, description="Static: unknown paths without a suffix get index.html.")
    clean_urls: bool = Field(True, description="Static: /about serves about.html.")
    schedule: str | None = Field(None, description="Cron: five fields, or @hourly, @daily, @weekly.")
    timezone: str = Field("UTC", description="Cron: IANA zone of the schedule.")
    restart: Literal["always", "on-failure", "never"] = "always"
    stop_timeout: Duration = Field(timedelta(seconds=10), description="Between SIGTERM and SIGKILL.")
    env: dict[VariableName, str] = Field({}, description="Plain constants for this service only.")


class Resource(Model):
    """A store that the app needs. With `url_from` it is somebody else's, by URL; else golive runs it."""

    engine: Literal["postgres", "redis"]
    version: int | None = Field(None, ge=5, le=30, description="Major version; the best available when left out.")
    url_from: VariableName | None = Field(None, description="External: the variable that holds its URL.")
    memory: Size | None = Field(None, description="Budget; tuned from the machine when left out.")
    eviction: Literal["noeviction", "allkeys-lru", "allkeys-lfu", "volatile-lru", "volatile-ttl"] = Field(
        "noeviction", description="Redis: what happens at the memory limit."
    )
    persistence: Literal["aof", "rdb", "none"] = Field("aof", description="Redis: what survives a kill.")
    extensions: tuple[str, ...] = Field((), description="PostgreSQL: created in the app's database.")
    prefix: str | None = Field(
        None, description="Variable prefix, e.g. CACHE gives CACHE_URL; the first of an engine needs none."
    )


class VariableType(StrEnum):
    STRING = "string"
    SECRET = "secret"  # noqa: S105
    INT = "int"
    FLOAT = "float"
    BOOL = "bool"
    URL = "url"
    ENUM = "enum"
    EMAIL = "email"
    JSON = "json"
    STRINGS = "string[]"
    INTS = "int[]"
    URLS = "url[]"


class Variable(Model):
    """One environment variable, declared."""

    type: VariableType = VariableType.STRING
    required: bool = Field(True, description="A deploy stops when it has neither value nor default.")
    default: Any = None
    values: tuple[str, ...] = Field((), description="enum: what is allowed.")
    example: str | None = None
    description: str | None = None
    services: tuple[Name, ...] = Field((), alias="for", description="Services that get it; all when left out.")
    build: bool = Field(False, description="Also given to the build. Refused for secrets.")
    client: bool = Field(False, description="Ends up in a browser bundle. Refused for secrets.")
    generate: bool = Field(False, description="secret: made by golive, 32 random bytes, when it has no value.")

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Migrations(Model):
    """The project's own schema migrations, run as a release step."""

    tool: Literal["sql", "alembic"]
    source: str = Field(description="Folder of numbered .sql files, or the folder of alembic.ini; from golive.toml.")
    resource: Name = Field(description="The PostgreSQL resource they change.")
    service: Name | None = Field(None, description="Service whose environment the tool runs in (alembic).")
    lock_timeout: Duration = Field(timedelta(milliseconds=200), description="Per statement; then back off and retry.")
    retries: int = Field(8, ge=0, description="Tries after a lock timeout before the deploy is aborted.")
    timeout: Duration = Field(timedelta(minutes=10), description="For all of them.")


class ReleasePolicy(Model):
    keep: int = Field(5, ge=1, le=100, description="Releases kept for rollback.")
    keep_warm: Duration = Field(
        timedelta(minutes=10), description="The previous release's instances stay this long for an instant rollback."
    )
    drain: Duration = Field(
        timedelta(minutes=2), description="Longest an open request, WebSocket or stream keeps its old instance."
    )
    ready_timeout: Duration = Field(timedelta(seconds=60), description="To become ready; else the deploy is undone.")
    stable: Duration = Field(timedelta(seconds=0.5), description="Readiness must hold this long before traffic moves.")
    verify: Duration = Field(timedelta(seconds=0.5), description="Probe requests go on this long after the switch.")


class EdgePolicy(Model):
    https: bool = Field(True, description="Serve TLS and redirect HTTP to it.")
    hsts: Duration = Field(timedelta(days=365), description="Strict-Transport-Security max-age; 0 turns it off.")
    headers: dict[str, str] = Field({}, description="Response headers added or, with an empty value, not sent.")
    compression: bool = Field(True, description="zstd, brotli, gzip by Accept-Encoding.")
    max_body: Size = Field(100 * 10**6, description="Request bodies above this get 413.")
    access_log: bool = True


class BuildPolicy(Model):
    memory: Size | None = Field(None, description="Limit for a build; half of the machine's when left out.")
    timeout: Duration = timedelta(minutes=20)
    disk: Size = Field(10 * 10**9, description="Budget for artifacts and layers no kept release needs.")


class Blueprint(Model):
    """The resolved blueprint of one environment of an app."""

    name: Name
    environment: str = "production"
    domains: tuple[Domain, ...] = Field((), description="Where the app answers; `<name>.localhost` when left out.")
    services: dict[Name, Service]
    resources: dict[Name, Resource] = {}
    env: dict[VariableName, Variable] = {}
    migrations: Migrations | None = None
    release: ReleasePolicy = ReleasePolicy()
    edge: EdgePolicy = EdgePolicy()
    build: BuildPolicy = BuildPolicy()
