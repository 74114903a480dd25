#!/bin/sh
# Installs gitdeploy into .venv beside this file. Needs git 2.29 or newer and Python 3.11 or newer.
#
#   ./install.sh                 install: .venv/bin/gitdeploy
#   ./install.sh demo [--once]   install, then the main job in front of you: push, preview, promote, roll back
#   ./install.sh test [ARG …]    install with what the tests need, then all checks and tests (ARGs go to pytest)
#   ./install.sh system          as root, on a server: user, service, OpenSSH, Caddy
set -eu

OLDEST_GIT=2.29
OLDEST_PYTHON=3.11
SYSTEM_HOME=/var/lib/gitdeploy
SYSTEM_VENV=/opt/gitdeploy
LOG='' POLICY=''

main() {
    cd "$(dirname "$0")"
    case "${1:-}" in
        "") install_here "" && say "Ready: .venv/bin/gitdeploy --help, or see it work: ./install.sh demo" ;;
        demo) shift; install_here ""; clean_up; exec .venv/bin/gitdeploy demo "$@" ;;
        test) shift; run_tests "$@" ;;
        system) install_system ;;
        -h | --help | help) sed -n '2,7s/^# \{0,1\}//p' install.sh ;;
        *) fail "There is no '$1' here." "Say: ./install.sh [demo|test|system]" ;;
    esac
}

# ---- what is needed --------------------------------------------------------------------------------------------

need_git() {
    command -v git >/dev/null 2>&1 || fail "git is not installed." "Install it ($(how_to_get git)), then run this again."
    version=$(git --version | sed -n 's/^git version \([0-9][0-9]*\)\.\([0-9][0-9]*\).*/\1 \2/p')
    # shellcheck disable=SC2086  # two words: major and minor
    set -- ${version:-0 0}
    if [ "$1" -lt 2 ] || { [ "$1" -eq 2 ] && [ "$2" -lt 29 ]; }; then
        fail "git $1.$2 is too old: $OLDEST_GIT or newer is needed." "Install a newer git ($(how_to_get git)), then run this again."
    fi
}

# Sets PYTHON to the interpreter itself: a shim on PATH (pyenv, asdf) costs 50 ms at every start.
find_python() {
    PYTHON='' found='' bare=''
    for name in python3 python3.14 python3.13 python3.12 python3.11; do
        said=$("$name" -c 'import sys; print(sys.executable, "%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue
        [ -n "$found" ] || found=$said
        real=${said% *}
        "$real" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue
        if "$real" -c 'import ensurepip, venv' 2>/dev/null; then
            PYTHON=$real
            return
        fi
        [ -n "$bare" ] || bare=$said
    done
    if [ -n "$bare" ]; then
        get_venv_module "$bare"
    elif [ -n "$found" ]; then
        fail "Python ${found##* } (${found% *}) is too old: $OLDEST_PYTHON or newer is needed." "$(newer_python)"
    else
        fail "Python is not installed." "$(newer_python)"
    fi
}

# Debian and Ubuntu keep the venv module in a package of its own.
get_venv_module() {
    PYTHON=${1% *}
    case "$PYTHON" in
        /usr/bin/*) package="python${1##* }-venv" ;;
        *) fail "$PYTHON was built without its venv module." "Use a complete Python: https://www.python.org/downloads/" ;;
    esac
    if may_apt; then
        apt_install "$package"
    else
        fail "The venv module of $PYTHON is missing." "Install it: sudo apt-get install $package"
    fi
    "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null ||
        fail "The venv module of $PYTHON is still missing." "Install it by hand: apt-get install $package"
}

newer_python() {
    echo "Debian 12, Ubuntu 24.04 and newer: apt-get install python3 python3-venv. Elsewhere: https://www.python.org/downloads/"
}

how_to_get() {
    if command -v apt-get >/dev/null 2>&1; then
        echo "apt-get install $1"
    elif command -v dnf >/dev/null 2>&1; then
        echo "dnf install $1"
    else
        echo "with your system's package manager"
    fi
}

# ---- install ---------------------------------------------------------------------------------------------------

# install_here EXTRA: the package with the optional dependencies EXTRA ("" or "test"). Quick when nothing changed:
# the stamp in .venv says for which Python, folder and pyproject.toml it was made.
install_here() {
    need_git
    [ -w . ] || fail "$PWD cannot be written by $(id -un)." "Run this as its owner, or clone it to a folder of your own."
    if [ -f ".venv/installed-$(stamp test)" ] || [ -f ".venv/installed-$(stamp "$1")" ]; then
        .venv/bin/python -c '' 2>/dev/null && return
    fi
    find_python
    progress "Installing gitdeploy into $PWD/.venv"
    if ! .venv/bin/python -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        quietly "$PYTHON" -m venv --clear .venv || pip_failed "The folder .venv could not be made."
    fi
    pip_install .venv/bin/python -e ".${1:+[$1]}"
    rm -f .venv/installed-*
    : >".venv/installed-$(stamp "$1")"
    progress_done
}

stamp() {
    echo "$1-$({ cat pyproject.toml; echo "$PWD"; } | cksum | tr -d ' ')"
}

# pip_install PYTHON WHAT …: quiet; what pip says is shown when it fails.
pip_install() {
    python=$1
    shift
    export PIP_RETRIES=2
    quietly "$python" -m pip install --quiet --no-input --disable-pip-version-check "$@" ||
        pip_failed "pip could not install gitdeploy."
}

pip_failed() {
    if grep -Eq 'NewConnectionError|ConnectTimeout|ReadTimeout|Temporary failure|unreachable|Connection refused|ProxyError' "$LOG"; then
        fail "pip cannot reach the package index." \
            "Check the network; behind a proxy set HTTPS_PROXY, with an index of your own PIP_INDEX_URL. Then run this again."
    elif grep -q 'No space left' "$LOG"; then
        fail "The disk is full." "Free about 300 MB, then run this again."
    fi
    fail "$1" "Mend what it says above, then run this again."
}

# ---- packages of the system ------------------------------------------------------------------------------------

may_apt() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1
}

# Installs packages; a daemon that came with them is neither started nor enabled.
apt_install() {
    progress "Installing $*"
    POLICY=/usr/sbin/policy-rc.d
    if [ -e $POLICY ]; then
        POLICY=
    else
        printf '#!/bin/sh\nexit 101\n' >$POLICY
        chmod 755 $POLICY
    fi
    export DEBIAN_FRONTEND=noninteractive
    quietly apt-get update -q &&
        quietly apt-get install -qy --no-install-recommends "$@" ||
        fail "apt-get could not install $*." "Mend what it says above, then run this again."
    clean_up
    for unit in caddy ssh; do
        case " $* " in
            *" $unit "* | *" open$unit-server "*) if have_systemd; then systemctl disable --quiet $unit; fi ;;
        esac
    done
    progress_done
}

have_systemd() {
    [ -d /run/systemd/system ]
}

# missing PROGRAM:PACKAGE …: the packages of the programs that are not there.
missing() {
    for one in "$@"; do
        PATH="$PATH:/usr/sbin" command -v "${one%%:*}" >/dev/null 2>&1 || echo "${one#*:}"
    done | tr '\n' ' '
}

# ---- test ------------------------------------------------------------------------------------------------------

run_tests() {
    need_git
    packages=$(missing caddy:caddy bwrap:bubblewrap sshd:openssh-server ssh:openssh-client hugo:hugo mkdocs:mkdocs \
        jekyll:jekyll wrk:wrk curl:curl npm:nodejs\ npm pg_ctlcluster:postgresql mariadbd:mariadb-server \
        systemd-nspawn:systemd-container debootstrap:debootstrap chromium:chromium dockerd:docker.io \
        docker-registry:docker-registry iptables:iptables busybox:busybox-static)
    if [ -n "$packages" ] && may_apt; then
        # shellcheck disable=SC2086  # a list of words
        apt_install $packages
    elif [ -n "$packages" ]; then
        say "Not installed: ${packages% }. The tests that need them will FAIL; as root this script installs them."
    fi
    install_here test
    scripts/check
    clean_up
    exec .venv/bin/python -m pytest -n 4 --dist worksteal "$@"
}

# ---- system ----------------------------------------------------------------------------------------------------

install_system() {
    [ "$(id -u)" = 0 ] || fail "A system install needs root." "Run: sudo ./install.sh system. For yourself alone, ./install.sh is enough."
    need_git
    find_python
    packages=$(missing caddy:caddy bwrap:bubblewrap sshd:openssh-server)
    if [ -n "$packages" ]; then
        may_apt || fail "Not installed: ${packages% }." "Install them with your package manager, then run this again."
        # shellcheck disable=SC2086
        apt_install $packages
    fi
    if have_systemd && [ ! -e /usr/lib/systemd/user/dbus.socket ] && may_apt; then
        apt_install dbus-user-session # gitdeploy's own systemd, which runs the apps, is reached by it
    fi
    make_users
    progress "Installing gitdeploy into $SYSTEM_VENV"
    [ -x $SYSTEM_VENV/bin/pip ] || quietly "$PYTHON" -m venv $SYSTEM_VENV || pip_failed "$SYSTEM_VENV could not be made."
    pip_install $SYSTEM_VENV/bin/python --upgrade .
    ln -sf $SYSTEM_VENV/bin/gitdeploy /usr/local/bin/gitdeploy
    progress_done
    write_sshd_config
    write_service
}

# `git` is a second name of the user gitdeploy (same uid), so that git@host owns what gitdeploy owns.
make_users() {
    id gitdeploy >/dev/null 2>&1 ||
        useradd --system --user-group --home-dir $SYSTEM_HOME --shell /bin/sh --password '*' gitdeploy
    install -d -o gitdeploy -g gitdeploy -m 750 $SYSTEM_HOME
    if ! id git >/dev/null 2>&1; then
        useradd --system --non-unique --uid "$(id -u gitdeploy)" --gid gitdeploy --no-create-home \
            --home-dir $SYSTEM_HOME --shell /bin/sh --password '*' git
    elif [ "$(id -u git)" != "$(id -u gitdeploy)" ]; then
        say "There is another user 'git' here already: push to ssh://gitdeploy@<host>/<site>.git instead of git@."
    fi
}

write_sshd_config() {
    [ -d /etc/ssh/sshd_config.d ] || { say "No /etc/ssh/sshd_config.d: pushes over SSH are not set up."; return; }
    names=gitdeploy
    [ "$(id -u git)" != "$(id -u gitdeploy)" ] || names=git,gitdeploy
    cat >/etc/ssh/sshd_config.d/gitdeploy.conf <<END
# Written by gitdeploy's install.sh. The keys are those of: gitdeploy key add
Match User $names
    AuthorizedKeysFile $SYSTEM_HOME/keys/authorized_keys
    AuthenticationMethods publickey
    AcceptEnv GIT_PROTOCOL
    DisableForwarding yes
    PermitTTY no
Match all
END
    mkdir -p /run/sshd
    if ! quietly /usr/sbin/sshd -t; then
        rm -f /etc/ssh/sshd_config.d/gitdeploy.conf
        fail "sshd does not accept its settings with those for gitdeploy, which were removed again." \
            "Mend what it says above, then run this again."
    fi
}

write_service() {
    if [ ! -e /etc/default/gitdeploy ]; then
        cat >/etc/default/gitdeploy <<END
# Where gitdeploy listens. LISTEN is git over HTTP and the API, without TLS: keep it on this machine, or put a
# proxy with TLS before it. EDGE is where visitors come in.
# EDGE_TLS is where they come in over HTTPS, such as 0.0.0.0:443; empty: no HTTPS.
LISTEN=127.0.0.1:8470
EDGE=$(edge_address)
EDGE_TLS=
END
    fi
    . /etc/default/gitdeploy
    [ ! -d /etc/systemd/system ] || write_unit >/etc/systemd/system/gitdeploy.service
    if have_systemd; then
        quietly loginctl enable-linger gitdeploy ||
            say "The user gitdeploy has no systemd of its own: apps will run as plain processes (gitdeploy doctor)."
        systemctl daemon-reload
        systemctl enable --quiet gitdeploy
        systemctl restart gitdeploy
        systemctl enable --quiet --now ssh 2>/dev/null || true
        systemctl reload ssh 2>/dev/null || true
        await_server
        say "gitdeploy is running (systemctl status gitdeploy); sites are served at $EDGE."
    else
        say "systemd does not run here. Start gitdeploy, and sshd, by hand:"
        say "  runuser -u gitdeploy -- gitdeploy --home $SYSTEM_HOME serve --listen $LISTEN --edge $EDGE &"
    fi
    say "Sites answer as <site>.<domain>: set domain in $SYSTEM_HOME/server.toml. Then, as root:"
    say "  gitdeploy site create blog"
    say "  gitdeploy access grant ana maintainer --site blog"
    say "  gitdeploy key add ana ana.pub"
    say "and Ana pushes to ssh://git@<host>/blog.git"
}

await_server() {
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        ! quietly $SYSTEM_VENV/bin/gitdeploy --home $SYSTEM_HOME site list || return 0
        sleep 1
    done
    fail "gitdeploy did not start." "See: journalctl -u gitdeploy"
}

write_unit() {
    cat <<END
# Written by gitdeploy's install.sh; change it with: systemctl edit gitdeploy
[Unit]
Description=gitdeploy, a push-to-deploy git server
# Apps are units of the user's own systemd.
Wants=user@$(id -u gitdeploy).service
After=network.target user@$(id -u gitdeploy).service

[Service]
Type=exec
User=gitdeploy
Group=gitdeploy
EnvironmentFile=/etc/default/gitdeploy
ExecStart=$SYSTEM_VENV/bin/gitdeploy --home $SYSTEM_HOME serve --listen \${LISTEN} --edge \${EDGE} --edge-tls \${EDGE_TLS}
Restart=always
RestartSec=1
# The edge is started by the daemon and serves on when the daemon stops, crashes or is upgraded.
KillMode=process
TimeoutStopSec=90
# Builds get control groups of their own beside the daemon's.
Delegate=yes
$(systemctl --version 2>/dev/null | awk 'NR == 1 && $2 >= 254 { print "DelegateSubgroup=daemon" }')

[Install]
WantedBy=multi-user.target
END
}

# Port 80 where it is free and may be opened to gitdeploy, else 8480. Not by a capability of the service:
# bubblewrap, which isolates builds, refuses to run with one.
edge_address() {
    if "$PYTHON" -c 'import socket; socket.create_connection(("127.0.0.1", 80), 1)' 2>/dev/null; then
        echo 127.0.0.1:8480
    elif sysctl -qw net.ipv4.ip_unprivileged_port_start=80 2>/dev/null; then
        echo "net.ipv4.ip_unprivileged_port_start = 80" >/etc/sysctl.d/60-gitdeploy.conf
        echo 0.0.0.0:80
    else
        echo 0.0.0.0:8480
    fi
}

# ---- what is said ----------------------------------------------------------------------------------------------

say() {
    echo "$*"
}

progress() {
    began=$(date +%s)
    printf '%s … ' "$*"
}

progress_done() {
    echo "done ($(($(date +%s) - began)) s)"
}

# Runs a command; what it said is shown when it fails and `fail` follows.
quietly() {
    LOG=${LOG:-$(mktemp)}
    "$@" >"$LOG" 2>&1 </dev/null || return
    : >"$LOG"
}

# fail SENTENCE NEXT-STEP
fail() {
    if [ -s "${LOG:-/dev/null}" ]; then
        echo
        tail -n 20 "$LOG" | sed 's/^/    /' >&2
    fi
    printf 'install.sh: %s\n  %s\n' "$1" "$2" >&2
    exit 1
}

clean_up() {
    rm -f ${LOG:+"$LOG"} ${POLICY:+"$POLICY"}
    LOG='' POLICY=''
}

trap clean_up EXIT
main "$@"
