# Sourced by ./golive and the scripts: find_python prints the interpreter to build the environment with.

find_python() {
    # Root prefers an interpreter that other users can read as well: apps run under their own user.
    system='/usr/bin/python3 /usr/local/bin/python3'
    names='python3 python3.14 python3.13 python3.12 python3.11'
    homebrew='/opt/homebrew/bin/python3'
    if [ "$(id -u)" = 0 ]; then
        candidates="$system $names $homebrew"
    else
        candidates="$names $system $homebrew"
    fi
    for candidate in ${GOLIVE_PYTHON:-$candidates}; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    echo "golive: Python 3.11 or newer is needed and was not found on this machine." >&2
    if command -v apt-get >/dev/null; then
        echo "  hint: sudo apt-get install -y python3 python3-venv   (Debian 12, Ubuntu 24.04 or newer)" >&2
    else
        echo "  hint: install it (brew install python, dnf install python3.12 …) or set GOLIVE_PYTHON to one" >&2
    fi
    exit 1
}
