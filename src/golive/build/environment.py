"""What a build sees of the world: a short environment made from nothing, and how package clients reach their index.

Run-time secrets cannot be in it because it is not derived from anything that holds them. The settings of pip and uv
(index, mirrors, certificates, proxy) are the user's own and are passed on; uv does not read pip's, so they are
translated.
"""

from __future__ import annotations

import configparser
import contextlib
import os
import re
import sys
import urllib.parse
from collections.abc import Iterable, Mapping
from pathlib import Path

from golive.secret import Mask, Secret

_CLIENT = re.compile(
    r"PIP_\w+|(HTTPS?|ALL|NO|FTP)_PROXY|SSL_CERT_(FILE|DIR)|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE|NETRC"
    r"|NODE_EXTRA_CA_CERTS|NPM_TOKEN|NODE_AUTH_TOKEN|YARN_NPM_\w+|YARN_HTTPS?_\w+"
    r"|NPM_CONFIG_(\w*REGISTRY|(HTTPS?_?)?PROXY|NO_?PROXY|CA(FILE)?|STRICT_SSL|OFFLINE|PREFER_OFFLINE|FETCH_\w+)"
    r"|GO(PROXY|NOPROXY|PRIVATE|SUMDB|NOSUMDB|NOSUMCHECK|INSECURE|AUTH|VCS)"
    r"|UV_((DEFAULT_|EXTRA_)?INDEX(_\w+)?|FIND_LINKS|NO_INDEX|OFFLINE|KEYRING_PROVIDER|INSECURE_HOST|NATIVE_TLS"
    r"|SYSTEM_CERTS|HTTP_\w+|REQUEST_TIMEOUT|CONFIG_FILE|CONCURRENT_\w+|EXCLUDE_NEWER)",
    re.IGNORECASE,
)
_PIP_TO_UV = {
    "PIP_INDEX_URL": "UV_DEFAULT_INDEX",
    "PIP_EXTRA_INDEX_URL": "UV_INDEX",
    "PIP_FIND_LINKS": "UV_FIND_LINKS",
    "PIP_NO_INDEX": "UV_NO_INDEX",
    "PIP_TRUSTED_HOST": "UV_INSECURE_HOST",
    "PIP_CERT": "SSL_CERT_FILE",
}
_OLD_NAMES = {"UV_DEFAULT_INDEX": "UV_INDEX_URL", "UV_INDEX": "UV_EXTRA_INDEX_URL"}
_SECRET_NAME = re.compile(r"PASSWORD|TOKEN|SECRET|CLIENT_CERT", re.IGNORECASE)
SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"


def client_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """The settings of package clients in a user's environment, pip's also under uv's names where uv has none."""
    found = {name: value for name, value in environ.items() if value and _CLIENT.fullmatch(name)}
    for theirs, ours in _PIP_TO_UV.items():
        if theirs in found and ours not in found and _OLD_NAMES.get(ours) not in found:
            found[ours] = _as_uv(theirs, found[theirs])
    return found


def pip_configuration(environ: Mapping[str, str]) -> dict[str, str]:
    """The index settings in the user's pip.conf as PIP_ variables; a file that pip cannot read is passed over.

    Read here, since `pip config list` takes 0.15 s of each cold build. Places and order are those of pip's manual,
    "Configuration files".
    """
    found: dict[str, str] = {}
    for file in _pip_files(environ):
        parser = configparser.RawConfigParser()
        with contextlib.suppress(OSError, UnicodeDecodeError, configparser.Error):
            parser.read(file)
        for section in ("global", "download", "install"):
            for key, value in parser.items(section) if parser.has_section(section) else ():
                name = "PIP_" + key.upper().replace("-", "_")
                if name in _PIP_TO_UV:
                    found[name] = " ".join(value.split())
    return found


def _pip_files(environ: Mapping[str, str]) -> list[Path]:
    """Later ones win."""
    own = environ.get("PIP_CONFIG_FILE")
    if own == os.devnull:
        return []
    home = Path(environ.get("HOME") or "/nonexistent")
    library = Path("Library/Application Support")
    if sys.platform == "darwin":
        machine = [Path("/") / library]
        user = home / library if (home / library / "pip").is_dir() else home / ".config"
    else:
        machine = [Path(folder) for folder in (environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":") if folder]
        user = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    files = [*(folder / "pip/pip.conf" for folder in reversed(machine)), Path("/etc/pip.conf")]
    if not own or not Path(own).exists():
        files += [home / ".pip/pip.conf", user / "pip/pip.conf"]
    return [*files, Path(sys.prefix) / "pip.conf", *([Path(own)] if own else [])]


def client_files(environ: Mapping[str, str]) -> dict[str, str]:
    """Where the user's own uv.toml and .netrc are, since a build has another HOME."""
    home = Path(environ.get("HOME", "/nonexistent"))
    config = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    found = {"XDG_CONFIG_HOME": str(config)} if (config / "uv/uv.toml").is_file() else {}
    return found | ({"NETRC": str(home / ".netrc")} if (home / ".netrc").is_file() else {})


def _as_uv(name: str, value: str) -> str:
    """pip parts several values by spaces, uv's find-links by commas; pip passes over folders that are not there."""
    if name == "PIP_FIND_LINKS":
        return ",".join(place for place in value.split() if "://" in place or Path(place).expanduser().is_dir())
    if name == "PIP_NO_INDEX":
        return "true" if value.lower() in ("1", "true", "yes", "on", "y", "t") else "false"
    return value


def credentials(settings: Mapping[str, str]) -> Mask:
    """A mask for the passwords in them: of URLs with a user, and of variables that are one."""
    return Mask(Secret(value) for value in _secret_parts(settings))


def _secret_parts(settings: Mapping[str, str]) -> Iterable[str]:
    for name, value in settings.items():
        if _SECRET_NAME.search(name) and not name.upper().startswith("PIP_CLIENT"):
            yield value
        for user_info in re.findall(r"://([^/@\s]+)@", value):
            user, _, password = user_info.partition(":")
            yield from {password or user, urllib.parse.unquote(password or user)}


def build_environment(
    declared: Mapping[str, str], *, settings: Mapping[str, str], home: Path, path: Iterable[Path] = ()
) -> dict[str, str]:
    """The whole environment of a build command.

    `declared` are the recipe's variables and those marked for the build; they win over everything but HOME.
    `home` is an empty folder of its own, `path` comes before the system's programs.
    """
    folders = ":".join([*map(str, path), SYSTEM_PATH])
    base = {"PATH": folders, "LANG": "C.UTF-8", "TMPDIR": str(home), "CI": "1", "NO_COLOR": "1"}
    return {**base, **settings, **declared, "HOME": str(home)}
