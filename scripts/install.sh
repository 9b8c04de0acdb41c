#!/bin/sh
# Creates the virtual environment from a hash-locked set of requirements: install.sh PYTHON VENV SET
set -eu
python=$1 venv=$2 set=$3
fail() {
    echo "$1" >&2
    exit 1
}
command -v "$python" >/dev/null || fail "$python is not installed: install Python 3.10 to 3.13, or choose one: make PYTHON=python3.12 ..."
"$python" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' || fail \
    "$("$python" --version) is not supported: install Python 3.10 to 3.13, or choose one: make PYTHON=python3.12 ..."
"$python" -c 'import venv, ensurepip' 2>/dev/null || fail \
    "$("$python" --version) has no venv: install it (on Debian and Ubuntu: apt-get install python3-venv), then run the command again"
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
echo "Installing the $set requirements into $venv (once; takes one or two minutes)"
pip="$venv/bin/python -m pip --disable-pip-version-check install --no-deps"
# The lock is complete and pins every file by hash, so nothing needs to be resolved.
locked="--require-hashes --requirement requirements/$set.txt"
with_uv() { # uv is several times faster, but of pip's configuration it gets only the index
    $pip -qq --require-hashes --requirement requirements/installer.txt || return
    index=$("$venv/bin/python" -m pip config get global.index-url 2>/dev/null) || index=${PIP_INDEX_URL:-}
    [ -z "$index" ] || export UV_DEFAULT_INDEX="$index"
    "$venv/bin/uv" pip install --python "$venv/bin/python" --quiet --link-mode hardlink --compile-bytecode --no-deps $locked
}
with_pip() {
    { $pip $locked 2>&1 || echo "FAILED"; } | awk '
        { last[NR % 20] = $0 }
        /^Collecting / && ++n % 25 == 0 { printf "  %d packages\n", n; fflush() }
        /^Installing collected/ { print "  unpacking"; fflush() }
        /^FAILED$/ { for (i = 1; i <= 20; i++) print last[(NR + i) % 20]; exit 1 }'
}
with_uv 2>/dev/null || with_pip || fail "The requirements could not be installed; the lines above show the reason."
$pip -qq --no-build-isolation --editable .
touch "$venv/$set"
