# Sourced by scripts/test and scripts/bench: need_packages installs the Debian packages that are missing.

# Where this is not root on Debian, nothing is done: the caller says what it goes without.
need_packages() {
    missing=
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    echo "installing Debian packages:$missing" >&2

    (
        # No service may start: tests run their own servers, on their own ports, in their own directories.
        policy=/usr/sbin/policy-rc.d
        if [ ! -e $policy ]; then
            trap 'rm -f $policy' EXIT
            printf '#!/bin/sh\nexit 101\n' >$policy
            chmod +x $policy
        fi
        mkdir -p /etc/postgresql-common/createcluster.d
        echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.d/golive.conf

        export DEBIAN_FRONTEND=noninteractive
        # shellcheck disable=SC2086 # a list of names
        apt-get install -y -q --no-install-recommends $missing >/dev/null 2>&1 || {
            apt-get update -q >/dev/null
            apt-get install -y -q --no-install-recommends $missing >/dev/null
        }
    )
}

can_install() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null
}
