"""`[edge.shield]` of golive.toml: requests that no visitor makes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from golive.blueprint.fields import Model

NETWORK_PATTERN = r"^[0-9A-Fa-f.:]+(/\d{1,3})?$"
Network = Annotated[str, Field(pattern=NETWORK_PATTERN, max_length=64)]
OpenPath = Annotated[str, Field(pattern=r"^/[^?#\s\x00-\x1f]*$", max_length=200)]


class Shield(Model):
    """Stops, or only logs, what scanners and attack tools ask for. Bodies are not looked at."""

    mode: Literal["block", "log"] = Field(
        "block", description="log: everything passes, and the access log says what would have been stopped."
    )
    agents: bool = Field(True, description="Attack tools that say their name in User-Agent get 403.")
    block_agents: tuple[Annotated[str, Field(min_length=3, max_length=60)], ...] = Field(
        (), max_length=50, description="Further words of User-Agent that get 403, in any case of letters: `GPTBot`."
    )
    scanners: bool = Field(
        True, description="Paths that only scanners ask for (`/.env`, `/wp-login.php`) get 404 unless the app has them."
    )
    payloads: bool = Field(True, description="Marks of traversal, scripts, SQL and commands in path and query get 403.")
    allow: tuple[Network, ...] = Field(
        (), max_length=200, description="Only these addresses and networks reach the app, all others get 403."
    )
    deny: tuple[Network, ...] = Field(
        (), max_length=200, description="These addresses and networks get 403; stronger than `allow`."
    )
    exempt: tuple[OpenPath, ...] = Field(
        (),
        alias="except",
        max_length=50,
        description="Paths, and what is below them, where `agents`, `scanners` and `payloads` are not asked.",
    )

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)
