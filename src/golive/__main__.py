"""`golive` and `python -m golive`. Asking for the version imports nothing else."""

from __future__ import annotations

import sys


def main() -> None:
    if sys.argv[1:] in (["--version"], ["-V"]):
        from golive import __version__

        sys.stdout.write(f"golive {__version__}\n")
        return
    from golive.cli.main import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
