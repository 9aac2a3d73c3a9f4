"""The blueprint: frozen, typed models of `golive.toml`, every default in one place.

The models describe the *resolved* blueprint: detection has filled what the file left out (`resolve`), and each
field's default is the one that `golive config` prints. Field descriptions become the reference page and JSON Schema.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from golive.blueprint.acme import Acme
from golive.blueprint.backup_policy import BackupPolicy
from golive.blueprint.build_policy import BuildPolicy
from golive.blueprint.caching import CachedPath
from golive.blueprint.canary import Canary
from golive.blueprint.checks_policy import ChecksPolicy
from golive.blueprint.cors import Cors
from golive.blueprint.csp import Csp
from golive.blueprint.fields import AllowanceText, Duration, Model, RateText, Share, Size
from golive.blueprint.images import Images
from golive.blueprint.jwt import Jwt
from golive.blueprint.masking import Column, Masked
from golive.blueprint.moves import Move
from golive.blueprint.protect import Protect
from golive.blueprint.proxies import Proxies
from golive.blueprint.shards import ShardMap
from golive.blueprint.shield import Shield

NAME_PATTERN = r"^[a-z][a-z0-9-]{0,30}$"
VARIABLE_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]*$"
DOMAIN_PATTERN = r"^(\*\.)?[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$"
ROUTE_PATTERN = r"^/[^?#\s\x00-\x1f]*$"
PREFIX_PATTERN = r"^[A-Z][A-Z0-9_]*$"
PER_PATTERN = r"^(client|service|claim:[A-Za-z0-9_-]{1,60}|header:[A-Za-z][A-Za-z0-9-]{0,63})$"
TABLE_PATTERN = r"^[A-Za-z_][A-Za-z0-9_$-]{0,62}(\.[A-Za-z_][A-Za-z0-9_$-]{0,62})?$"
QUOTA_KEY_PATTERN = r"^(client|service|header:[A-Za-z][A-Za-z0-9-]{0,63})$"
Name = Annotated[str, Field(pattern=NAME_PATTERN)]
VariableName = Annotated[str, Field(pattern=VARIABLE_PATTERN)]
Domain = Annotated[str, Field(pattern=DOMAIN_PATTERN, max_length=253)]
RoutePath = Annotated[str, Field(pattern=ROUTE_PATTERN)]


class ServiceKind(StrEnum):
    WEB = "web"
    STATIC = "static"
    WORKER = "worker"
    CRON = "cron"


class Probe(Model):
    """One health probe. Exactly one of `path`, `tcp`, `grpc`, `command` is set. A bare string in the file is a path."""

    path: RoutePath | None = Field(None, description="HTTP path; 2xx passes. 3xx, 4xx and 5xx fail.")
    tcp: bool = Field(False, description="Pass when the port accepts a connection.")
    grpc: str | None = Field(
        None,
        max_length=200,
        description="The gRPC health service (`grpc.health.v1.Health`) on the service's gRPC port says SERVING for "
        "this service, such as `package.Service`; `true` asks about the whole server.",
    )
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

    min: int = Field(1, ge=0, le=100, description="Instances that always run.")
    max: int = Field(1, ge=1, le=100, description="Never more than this; `min` when only that is given.")
    cpu: Share | None = Field(None, description="Add an instance above this share of one core, on average.")


class Limits(Model):
    """Limits of each instance."""

    memory: Size | None = Field(None, description="Bytes; the instance is restarted when it passes this.")
    cpu: float | None = Field(None, gt=0, description="Cores, where the kernel allows a limit.")
    files: int = Field(16384, ge=64, description="Open files.")


class RateLimit(Model):
    """At the edge, a token bucket per key; refused requests get 429 with Retry-After."""

    limit: RateText = Field(description="Requests per time.")
    per: str = Field(
        "client",
        pattern=PER_PATTERN,
        description="client: per IP; service: all; `header:X-Api-Key`: per value, without one per client; `claim:sub`.",
    )
    path: RoutePath | None = Field(None, description="Only requests under this path; else the whole route.")
    burst: int | None = Field(None, ge=1, description="Requests allowed at once; the limit's count when left out.")


class Quota(Model):
    """Counted in a Redis of the app over calendar periods in UTC; refused requests get 429 with Retry-After."""

    limit: AllowanceText = Field(description="Requests in each `hour`, `day`, `week` (from Monday) or `month`.")
    per: str = Field(
        "client",
        pattern=QUOTA_KEY_PATTERN,
        description="client: per IP address (IPv6: per /64); `header:X-Api-Key`: per value of that header, without one "
        "per client; service: all together.",
    )
    path: RoutePath | None = Field(None, description="Only requests under this path; else the whole route.")
    when_away: Literal["open", "closed"] = Field(
        "open", description="While nothing can be counted: open lets requests pass, closed answers them with 503."
    )


class BuildRecipe(Model):
    """How the service's artifact is made."""

    builder: Literal["python", "node", "go", "static", "docker", "none"] = Field(
        "none", description="Kind of build; detected."
    )
    framework: str | None = Field(
        None, description="fastapi, starlette, flask, django; next, vite, …: chooses the start command."
    )
    python: str | None = Field(None, description="Python version specifier, e.g. `>=3.12`.")
    node: str | None = Field(None, description="Node.js version range as npm writes it, e.g. `>=20` or `22.x`.")
    go: str | None = Field(None, description="Go version specifier, e.g. `>=1.24`; from go.mod.")
    package_manager: Literal["npm", "pnpm", "yarn"] | None = Field(
        None, description="Node: who installs; from `packageManager` or the lock file."
    )
    package: str | None = Field(
        None, description="Go: the main package to build, e.g. `./cmd/server`, relative to the source."
    )
    workspace: str | None = Field(
        None, description="Root of the npm, pnpm, Go or uv workspace it belongs to, relative to golive.toml."
    )
    dependencies: str | None = Field(
        None,
        description="What is installed: uv.lock, pyproject.toml, requirements.txt, poetry.lock, Pipfile.lock, pdm.lock "
        "or a Node lock file, relative to the source, or to the workspace where there is one.",
    )
    extra: tuple[str, ...] = Field((), description="Requirements added by golive, e.g. a server when none is listed.")
    command: str | None = Field(None, description="Shell line run in the source before it is packed.")
    output: str | None = Field(
        None, description="What `command` makes: the folder that is served (static), the program (Go)."
    )
    dockerfile: str | None = Field(
        None, description="Build an image from this file, relative to the source, with podman or docker."
    )
    target: str | None = Field(None, description="Dockerfile: the stage to build; the last one when left out.")
    args: dict[VariableName, str] = Field({}, description="Dockerfile: values of its ARG lines. Never secrets.")
    env: dict[VariableName, str] = Field({}, description="Build-time environment. Never secrets.")


class Condition(Model):
    """What a request must have (`has`) or must not have (`missing`) for a rule to apply."""

    type: Literal["header", "cookie", "query", "host"] = Field(description="What is looked at.")
    key: str | None = Field(None, description="Name of the header, cookie or query parameter.")
    value: str | None = Field(
        None, description="Regular expression of the whole value; its presence is enough when left out."
    )


class Redirect(Model):
    """Paths that are answered with another address."""

    source: str = Field(
        description="Path pattern: `/blog/:slug`, `/docs/:path*`, `/old/(.*)`; an expression when it starts with `^`."
    )
    destination: str = Field(description="Path or URL; `:slug` and `$1` are what the source matched.")
    status: int = Field(308, ge=300, le=399, description="301 or 308: permanent; 302, 303 or 307: not.")
    has: tuple[Condition, ...] = Field((), description="Only requests with all of these.")
    missing: tuple[Condition, ...] = Field((), description="Only requests with none of these.")


class Rewrite(Model):
    """Paths that are answered by another path of the service, or of another service, without the client seeing it."""

    source: str = Field(description="Path pattern, as in a redirect.")
    destination: str = Field(
        description="Path. Parameters of the source are handed on in its query where it uses none of them."
    )
    has: tuple[Condition, ...] = Field((), description="Only requests with all of these.")
    missing: tuple[Condition, ...] = Field((), description="Only requests with none of these.")
    before_files: bool = Field(False, description="Static: even where a file would answer.")


class HeaderRule(Model):
    """Response headers for some paths."""

    source: str = Field(description="Path pattern, as in a redirect.")
    headers: dict[str, str] = Field(description="Added to the response; the last rule that matches wins.")
    has: tuple[Condition, ...] = Field((), description="Only requests with all of these.")
    missing: tuple[Condition, ...] = Field((), description="Only requests with none of these.")


class Grpc(Model):
    """A second port of a web service that speaks gRPC (HTTP/2 without TLS), given to it as `GRPC_PORT`.

    At the edge it is reached over TLS on the same domains, by gRPC and by gRPC-web.
    """

    route: tuple[RoutePath, ...] = Field(min_length=1, description="Prefixes it answers, such as `/package.Service`.")
    port: int | None = Field(None, ge=1, le=65535, description="A fixed one; golive chooses when left out.")


class Service(Model):
    """Something that answers or works."""

    kind: ServiceKind = Field(description="What it is; detected from the folder, cron from `schedule`.")
    source: str = Field(".", description="Folder of the service, relative to golive.toml.")
    build: BuildRecipe = Field(BuildRecipe(), description="How its artifact is made; detected.")
    command: str | None = Field(
        None, description="Shell line that starts it; $PORT is where it must listen. Detected for known frameworks."
    )
    dev: str | None = Field(
        None, description="Shell line that `golive dev` runs instead of what is detected; $PORT is where it listens."
    )
    port: int | None = Field(
        None, ge=1, le=65535, description="A fixed port of its own. golive chooses one per instance when left out."
    )
    route: tuple[RoutePath, ...] = Field((), description="Path prefixes it answers; the longest match wins.")
    grpc: Grpc | None = Field(None, description="A second port that speaks gRPC.")
    replaces: Name | None = Field(
        None,
        description="A service with the same route, of whose visitors this one gets what `golive traffic` gives it.",
    )
    strip_prefix: bool = Field(
        False,
        description="Remove the matched prefix before the service sees the path. Static: detected, true where the "
        "folder has no folder of that name.",
    )
    domains: tuple[Domain, ...] = Field((), description="Only on these domains; all of the app's when left out.")
    health: Health = Field(Health(), description="Probes; a bare string is the `ready` path.")
    scale: Scale = Field(Scale(), description="Instances; a bare number is both `min` and `max`.")
    limits: Limits = Field(Limits(), description="Memory, cores and open files of each instance.")
    rate_limit: tuple[RateLimit, ...] = Field((), description="At the edge; every rule whose path matches counts.")
    quota: tuple[Quota, ...] = Field((), description="By the hour to the month; every rule whose path matches counts.")
    cache: tuple[CachedPath, ...] = Field((), description="Answers that the edge keeps; the longest path counts.")
    jwt: Jwt | None = Field(None, description="Requests need a token that the edge has checked.")
    cors: Cors | None = Field(None, description="Pages of which other origins may read its answers.")
    csp: Csp | None = Field(None, description="Content-Security-Policy of its answers, in place of `[edge.csp]`.")
    timeout: Duration = Field(timedelta(0), description="Whole response; 0 means none (streams, uploads).")
    idle_timeout: Duration = Field(timedelta(minutes=5), description="No byte either way for this long ends it.")
    overlap: bool = Field(
        True, description="false: two releases may not run at once; requests are held while it changes over."
    )
    spa: bool = Field(False, description="Static: unknown paths without a suffix get index.html.")
    clean_urls: bool = Field(True, description="Static: /about serves about.html.")
    redirect_html: bool = Field(False, description="Redirect /about.html to /about and /index.html to /.")
    redirects: tuple[Redirect, ...] = Field((), description="By path; the first that matches answers.")
    rewrites: tuple[Rewrite, ...] = Field((), description="By path, after redirects; the first that matches counts.")
    headers: tuple[HeaderRule, ...] = Field((), description="Response headers by path; all that match add up.")
    trailing_slash: bool | None = Field(
        None, description="true: /about is redirected to /about/; false: the other way; left out: neither."
    )
    schedule: str | None = Field(None, description="Cron: five fields, or @hourly, @daily, @weekly.")
    timezone: str = Field("UTC", description="Cron: IANA zone of the schedule.")
    restart: Literal["always", "on-failure", "never"] = Field("always", description="When an instance exits.")
    stop_timeout: Duration = Field(timedelta(seconds=10), description="Between SIGTERM and SIGKILL.")
    env: dict[VariableName, str] = Field({}, description="Plain constants for this service only.")


class Pool(Model):
    """PgBouncer before a PostgreSQL that golive runs, where the machine has it; the app connects directly where not."""

    size: int = Field(25, ge=1, le=90, description="Connections to PostgreSQL, at most.")
    lifetime: Duration = Field(timedelta(minutes=5), description="A connection to PostgreSQL is renewed after it.")
    mode: Literal["transaction", "session"] = Field(
        "transaction", description="What of the app's holds a connection: one transaction, or its whole session."
    )
    clients: int = Field(1000, ge=1, le=50000, description="Connections of the app, at most.")


class Resource(Model):
    """A store that the app needs. With `url_from` it is somebody else's, by URL; else golive runs it."""

    engine: Literal["postgres", "redis"] = Field(description="What it is.")
    version: int | None = Field(None, ge=5, le=30, description="Major version; external: the oldest that serves.")
    url_from: VariableName | None = Field(None, description="External: the variable that holds its URL.")
    direct_from: VariableName | None = Field(
        None, description="External: the variable of the URL past its pooler, for migrations."
    )
    memory: Size | None = Field(None, description="Budget; tuned from the machine when left out.")
    eviction: Literal["noeviction", "allkeys-lru", "allkeys-lfu", "volatile-lru", "volatile-ttl"] = Field(
        "noeviction", description="Redis: what happens at the memory limit."
    )
    persistence: Literal["aof", "rdb", "none"] = Field("aof", description="Redis: what survives a kill.")
    extensions: tuple[str, ...] = Field((), description="PostgreSQL: created in the app's database.")
    checks: tuple[str, ...] = Field(
        (), description="PostgreSQL: queries that a restored backup has to answer with true in every row."
    )
    pool: Pool | None = Field(None, description="PostgreSQL: PgBouncer before it; `true` for the defaults.")
    replicas: int | None = Field(None, ge=0, le=5, description="PostgreSQL: standbys that serve DATABASE_REPLICA_URL.")
    mask: dict[Column, Masked] = Field(
        {}, description='PostgreSQL: columns that no branch shows, `"users.email" = "email"`.'
    )
    preview: Literal["branch", "empty"] = Field(
        "branch", description="PostgreSQL: what it begins with in a preview: production's as it is then, or nothing."
    )
    prefix: str | None = Field(
        None,
        pattern=PREFIX_PATTERN,
        description="Variable prefix, e.g. CACHE gives CACHE_URL; the first of an engine needs none.",
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

    type: VariableType = Field(VariableType.STRING, description="Lists are written comma-separated or as JSON.")
    required: bool = Field(True, description="A deploy stops when it has neither value nor default.")
    default: Any = Field(None, description="Used when no value is set. Refused for secrets.")
    values: tuple[str, ...] = Field((), description="enum: what is allowed.")
    example: str | None = Field(None, description="Shown when the value is missing.")
    description: str | None = Field(None, description="What it is for.")
    services: tuple[Name, ...] = Field((), alias="for", description="Services that get it; all when left out.")
    build: bool = Field(False, description="Also given to the build. Refused for secrets.")
    client: bool = Field(False, description="Ends up in a browser bundle. Refused for secrets.")
    generate: bool = Field(False, description="secret: made by golive, 32 random bytes, when it has no value.")

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Rehearsal(Model):
    """What is pending runs on a copy of the live database first; the deploy stops when it fails there."""

    longest_lock: Duration | None = Field(
        None, description="Stops too when a lock that reads or writes wait for is held longer; no limit when left out."
    )


class Migrations(Model):
    """The project's own schema migrations, run as a release step."""

    tool: Literal["sql", "prisma", "drizzle", "golang-migrate", "alembic", "django"] = Field(
        description="What they are written for; detected from `source`."
    )
    source: str = Field(
        description="Folder of numbered .sql, prisma/migrations, Drizzle's `out`; or that of alembic.ini, manage.py."
    )
    resource: Name = Field(description="The PostgreSQL resource they change.")
    service: Name | None = Field(None, description="Service whose environment the tool runs in (alembic, django).")
    table: str | None = Field(
        None,
        pattern=TABLE_PATTERN,
        description="Where drizzle or golang-migrate records, if not in its usual place: `table` or `schema.table`.",
    )
    lock_timeout: Duration = Field(timedelta(milliseconds=50), description="Per statement; then back off and retry.")
    retries: int = Field(8, ge=0, description="Tries after a lock timeout before the deploy is aborted.")
    timeout: Duration = Field(timedelta(minutes=10), description="For all of them.")
    rehearse: Rehearsal | None = Field(
        None, description="Before a deploy migrates: on a copy of the live database. `true` without a limit."
    )


class ReleasePolicy(Model):
    """How a release is made live, and how many are kept."""

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
    strategy: Literal["blue-green", "canary"] = Field(
        "blue-green",
        description="blue-green: all traffic moves at once; canary: bit by bit, and back when it is worse.",
    )
    canary: Canary = Field(Canary(), description="Steps of a canary, and what stops it.")
    require: tuple[str, ...] = Field(
        (),
        description="Checks or families of `golive check` that a new release has to pass, or traffic goes back.",
    )


class Hook(Model):
    """A command of the app's own, run once for a deployment: in the new release's files and environment, as its user
    and within its limits."""

    run: str = Field(description="Shell line.")
    service: Name | None = Field(
        None, description="Whose files, environment and limits it has; the only one that is not static when left out."
    )
    timeout: Duration = Field(timedelta(minutes=5), description="It is ended, and has failed, after this.")


class Hooks(Model):
    """Commands around a release. One that fails ends the list."""

    pre_deploy: tuple[Hook, ...] = Field(
        (), description="After migrations, before new instances start. A failure leaves the old release serving."
    )
    post_deploy: tuple[Hook, ...] = Field(
        (), description="When the new release is live and verified. A failure is told, and takes nothing back."
    )


class EdgePolicy(Model):
    """What the edge does for every service of the app."""

    https: bool = Field(True, description="Serve TLS and redirect HTTP to it.")
    acme: Acme | None = Field(
        Acme(),
        description="Certificates of an authority for public domains; false: none is asked. `golive domain ls` tells.",
    )
    hsts: Duration = Field(timedelta(days=365), description="Strict-Transport-Security max-age; 0 turns it off.")
    headers: dict[str, str] = Field({}, description="Response headers added or, with an empty value, not sent.")
    compression: bool = Field(True, description="zstd, brotli, gzip by Accept-Encoding.")
    quota_resource: Name | None = Field(
        None, description="The Redis in which quotas are counted; the first that keeps what it holds when left out."
    )
    redirect: dict[Domain, Domain] = Field(
        {}, description='Domains that only lead to another: `"www.shop.dev" = "shop.dev"`; path and query are kept.'
    )
    max_body: Size = Field(100 * 10**6, description="Request bodies above this get 413.")
    images: Images | None = Field(None, description="Pictures made smaller at `/_golive/image`; none when left out.")
    country: bool = Field(
        False, description="X-Country-Code and X-Region-Code for the services, by the GeoIP database in golive's home."
    )
    trusted_proxies: Proxies = Field(
        (), description="Networks of load balancers and CDNs: their X-Forwarded-For is believed."
    )
    cache_memory: Size = Field(32 * 10**6, description="Of answers that the edge keeps for the app.")
    access_log: bool = Field(True, description="One JSON line for every request.")
    csp: Csp | None = Field(None, description="Content-Security-Policy as lists, in place of the default.")
    shield: Shield | None = Field(None, description="Stops what only scanners and attack tools ask for.")


class AllowedSecret(Model):
    """Something that looks like a secret and may stay. Every key that is given has to fit."""

    fingerprint: str | None = Field(None, description="Of the token, as `golive secrets scan` shows it.")
    path: str | None = Field(None, description="Files, as a line of .gitignore says them.")
    rule: str | None = Field(None, description="Kind of token, as `golive secrets scan` names it.")
    because: str = Field(min_length=1, description="Why it may stay, for whoever reads this later.")

    @model_validator(mode="after")
    def _says_what(self) -> AllowedSecret:
        if not (self.fingerprint or self.path or self.rule):
            raise ValueError("needs `fingerprint`, `path` or `rule`")
        return self


class SecretsPolicy(Model):
    """The search for secrets before a deploy."""

    allow: tuple[AllowedSecret, ...] = Field((), description="What it finds and may stay where it is.")


class Blueprint(Model):
    """The resolved blueprint of one environment of an app."""

    name: Name = Field(description="The app's name; unique on a target.")
    environment: str = Field("production", description="Chosen on the command line, not in the file.")
    domains: tuple[Domain, ...] = Field((), description="Where the app answers; `<name>.localhost` when left out.")
    services: dict[Name, Service] = Field(min_length=1, description="What answers or works.")
    resources: dict[Name, Resource] = Field({}, description='Stores; `db = "postgres:17"` is the short form.')
    env: dict[VariableName, Variable] = Field({}, description="Variables; a bare value is a default of its own type.")
    migrations: Migrations | None = Field(None, description="Detected; a bare string is the source, false is none.")
    hooks: Hooks = Field(Hooks(), description="Commands of the app's own before and after a release goes live.")
    release: ReleasePolicy = Field(ReleasePolicy(), description="How a release is made live and kept.")
    backups: BackupPolicy = Field(BackupPolicy(), description="Of the databases that golive runs.")
    moves: dict[Name, Move] = Field({}, description="Keys of Redis that move to PostgreSQL, see `golive move`.")
    shards: dict[Name, ShardMap] = Field({}, description="Rows spread over several PostgreSQL, see `golive db shards`.")
    edge: EdgePolicy = Field(EdgePolicy(), description="What the edge does for every service.")
    protect: Protect | None = Field(None, description="Who is let in; everybody when left out. Mostly for previews.")
    build: BuildPolicy = Field(BuildPolicy(), description="Limits of builds.")
    secrets: SecretsPolicy = Field(SecretsPolicy(), description="What the search for secrets lets pass.")
    checks: ChecksPolicy = Field(ChecksPolicy(), description="What the production checklist lets pass and asks.")
