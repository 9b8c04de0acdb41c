#!/bin/sh
# Locks what pyproject.toml allows: every version with its hashes, for every supported Python, without index addresses.
# Needs uv on the PATH. Each larger set is constrained by the smaller one, so that all agree.
set -eu
cd "$(dirname "$0")/../requirements"
lock() {
    output=$1
    shift
    uv pip compile ../pyproject.toml --quiet --universal --python-version 3.10 --generate-hashes --no-strip-extras \
        --no-emit-index-url --no-header --no-annotate --output-file "$output" "$@"
}
lock base.txt
lock shop.txt --extra shop --extra checkout --constraints base.txt
lock dev.txt --extra shop --extra checkout --extra dev --constraints shop.txt
lock production.txt --extra production --constraints dev.txt
# What builds our wheel in the image, and nothing that it needs.
echo "hatchling>=1.27" | uv pip compile - --quiet --universal --python-version 3.10 --generate-hashes --no-emit-index-url \
    --no-header --no-annotate --constraints dev.txt --output-file build.txt
# What installs the others.
echo "uv>=0.9" | uv pip compile - --quiet --universal --python-version 3.10 --generate-hashes --no-emit-index-url \
    --no-header --no-annotate --output-file installer.txt
# A fresh machine has no compiler: all comes as wheels, but a package of pure Python that never had one.
for python in 3.10 3.11 3.12 3.13; do
    for set in dev production; do
        uv pip install --dry-run --quiet --python-version $python --target "$(mktemp -d)" --no-deps --require-hashes \
            --only-binary :all: --no-binary pypd --requirement $set.txt || {
            echo "requirements/$set.txt can't be installed without a compiler on Python $python: set limits in pyproject.toml" >&2
            exit 1
        }
    done
done
