"""Why what other platforms' files say has no place in golive.toml, and what to do instead; one wording for all."""

from __future__ import annotations

from collections.abc import Mapping

from golive.importers.ledger import Node

Reasons = Mapping[str, tuple[str, str]]

DOCKERFILE = (
    "golive builds from the source, and from a Dockerfile only when golive.toml says so",
    "nothing when the service is detected; else services.<name>.build.dockerfile, which needs podman or docker",
)
IMAGE = (
    "golive runs the checkout's own code, no container images",
    "run it elsewhere and give its address as a variable",
)
REGION = ("golive runs where it is installed", "nothing")
PLAN = ("the machine is yours: there are no plans", "nothing, or services.<name>.limits")
DISK = ("golive gives services no disks of their own", "keep data in a resource, or in a folder outside the checkout")
DEPLOYS = ("deploys happen when `golive up` is run", "nothing")
PREVIEWS = ("previews are environments of their own", "[environments.preview]")
NETWORK = ("services reach each other on loopback; there are no networks to name", "nothing")
ABOUT = ("describes the app on the platform's own pages", "nothing")
INSTALL = ("golive installs what the lock file says", "services.<name>.build.command, when more is needed")
SLEEP = ("golive does not put services to sleep", "services.<name>.scale")
ELSEWHERE = (
    "is another server's to answer, and golive's edge asks only the services of this app",
    "a service of this checkout with `route`, a redirect, or a service of your own that asks it",
)
FRAMEWORK = ("golive detects the framework from the checkout", "services.<name>.build.framework")
FIRST = ("golive runs no command for the first release only", "`golive run` after the first `golive up`")


def lose_known(node: Node, reasons: Reasons) -> None:
    """List every entry of the table that has a known reason."""
    for key, reason in reasons.items():
        if child := node.get(key):
            child.lose(*reason)
