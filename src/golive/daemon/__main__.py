"""`python -m golive.daemon`: the daemon without the command line, which would stay in its memory.

An error goes to stderr as one line of JSON, for the command that started it.
"""

from __future__ import annotations

import json
import sys

from golive.daemon.main import run
from golive.errors import GoliveError
from golive.home import Home
from golive.secret import Secret
from golive.system import passphrase


def main() -> int:
    if passphrase.HANDED in sys.argv[1:]:
        line = sys.stdin.buffer.readline().removesuffix(b"\n")
        passphrase.hand_over(Secret(line.decode()))  # as it was sent, whatever the locale says of text
    try:
        run(Home.default())
    except GoliveError as error:
        sys.stderr.write(json.dumps(error.to_json()) + "\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
