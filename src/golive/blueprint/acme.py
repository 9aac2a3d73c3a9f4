"""`[edge] acme` of golive.toml: who signs the certificates of public domains."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, model_validator

from golive.blueprint.fields import Duration, Model

Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
Server = Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]+(:[0-9]{1,5})?$", max_length=260)]
Resolver = Annotated[str, Field(pattern=r"^[0-9]{1,3}(\.[0-9]{1,3}){3}(:[0-9]{1,5})?$")]
Directory = Annotated[str, Field(pattern=r"^https://[^\s]+$", max_length=500)]


class Dns(Model):
    """Names are shown to the authority by TXT records (DNS-01): for wildcards, and where port 80 does not lead here.

    Made by a program of yours (`hook`), or sent to the zone's primary name server (`server`, RFC 2136).
    """

    hook: tuple[str, ...] = Field(
        (), description="Program, by its whole path, and its arguments; called with `add` or `remove`, name and value."
    )
    variables: tuple[Variable, ...] = Field((), description="hook: variables of the environment that it gets.")
    server: Server | None = Field(None, description="Primary name server that takes updates, `host` or `host:port`.")
    key: str | None = Field(None, max_length=255, description="server: name of the TSIG key.")
    secret_from: Variable | None = Field(None, description="server: variable with the key's secret, in base64.")
    algorithm: Literal["hmac-sha256", "hmac-sha384", "hmac-sha512"] = Field(
        "hmac-sha256", description="server: of the TSIG key."
    )
    timeout: Duration = Field(timedelta(minutes=2), description="Until every name server of the zone has a record.")
    resolver: Resolver | None = Field(
        None, description="Asked who the name servers are; this machine's resolver when left out."
    )

    @model_validator(mode="after")
    def _one_way(self) -> Dns:
        if bool(self.hook) == bool(self.server):
            raise ValueError("needs `hook` or `server`, and not both")
        if self.hook and not self.hook[0].startswith("/"):
            raise ValueError("`hook` begins with the whole path of a program")
        if self.server and not (self.key and self.secret_from):
            raise ValueError("`server` needs `key` and `secret_from`: nobody takes updates that are not signed")
        return self


class Account(Model):
    """An account that an authority made beforehand and binds golive's to (RFC 8555 7.3.4), as ZeroSSL and Google do."""

    key_id: str = Field(min_length=1, max_length=500, description="What the authority calls it.")
    secret_from: Variable = Field(description="Variable with its HMAC key, in base64url.")


class Acme(Model):
    """Certificates by ACME (RFC 8555), answered over HTTP or by DNS. Names known here alone get the local CA's."""

    email: str | None = Field(
        None, pattern=r"^[^@\s]+@[^@\s]+$", description="Where the authority writes to, should it have to."
    )
    staging: bool = Field(False, description="Let's Encrypt's staging: no browser trusts it, and its limits are high.")
    directory: Directory | None = Field(None, description="Another authority's directory; Let's Encrypt's else.")
    fallback: tuple[Directory, ...] = Field(
        (), description="Directories asked, in this order, when the first authority is away or refuses for a while."
    )
    ca_file: str | None = Field(
        None, pattern=r"^/", description="PEM file on golive's machine that vouches for a directory of your own."
    )
    accounts: dict[Directory, Account] = Field(
        {}, description="By directory: accounts that were made beforehand, for authorities that ask for one."
    )
    dns: Dns | None = Field(None, description="Show names by DNS records instead of over HTTP, see below.")

    def variables(self) -> frozenset[str]:
        """Names of those that are for getting certificates."""
        dns = (*self.dns.variables, self.dns.secret_from) if self.dns else ()
        return frozenset(name for name in (*dns, *(a.secret_from for a in self.accounts.values())) if name)
