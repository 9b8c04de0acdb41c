#!/bin/sh
# Makes the virtual environment from a hash-locked set of requirements: install.sh PYTHON VENV SET
set -eu
python=$1 venv=$2 set=$3
fail() {
    echo "$1" >&2
    exit 1
}
command -v "$python" >/dev/null || fail "$python is not installed: install Python 3.10 to 3.13, or name one: make PYTHON=python3.12 ..."
"$python" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' || fail \
    "$("$python" --version) is not supported: install Python 3.10 to 3.13, or name one: make PYTHON=python3.12 ..."
"$python" -c 'import venv, ensurepip' 2>/dev/null || fail \
    "$("$python" --version) has no venv: install it (on Debian and Ubuntu: apt-get install python3-venv), then try again"
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
echo "Installing the $set requirements into $venv (a minute or two, once)"
pip="$venv/bin/python -m pip --disable-pip-version-check install --no-deps --no-compile"
# The lock is complete and every file in it is pinned by hash, so there is nothing to resolve.
{
    $pip --require-hashes --requirement "requirements/$set.txt" 2>&1 || echo "FAILED"
} | awk '
    { last[NR % 20] = $0 }
    /^Collecting / && ++n % 25 == 0 { printf "  %d packages\n", n; fflush() }
    /^Installing collected/ { print "  unpacking"; fflush() }
    /^FAILED$/ { for (i = 1; i <= 20; i++) print last[(NR + i) % 20]; exit 1 }' || fail \
    "The requirements could not be installed; the lines above say why."
$pip -qq --no-build-isolation --editable .
# Twice as fast as pip's own compilation where there is more than one core; files that a package ships for other
# Pythons do not compile, which is no matter.
"$venv/bin/python" -m compileall -q -j 0 "$venv/lib" >/dev/null 2>&1 || true
touch "$venv/$set"
