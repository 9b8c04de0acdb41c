#!/bin/sh
# Locks the dependencies in pyproject.toml with hashes, for every supported Python, without index addresses. Needs uv on the
# PATH. Each larger set is constrained by the smaller one, so that all sets have the same versions.
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
# The build backend of our wheel, for the image.
echo "hatchling>=1.27" | uv pip compile - --quiet --universal --python-version 3.10 --generate-hashes --no-emit-index-url \
    --no-header --no-annotate --constraints dev.txt --output-file build.txt
# uv, which installs the other sets.
echo "uv>=0.9" | uv pip compile - --quiet --universal --python-version 3.10 --generate-hashes --no-emit-index-url \
    --no-header --no-annotate --output-file installer.txt
# A new machine has no compiler: all packages must be wheels.
for python in 3.10 3.11 3.12 3.13; do
    for set in dev production; do
        uv pip install --dry-run --quiet --python-version $python --target "$(mktemp -d)" --no-deps --require-hashes \
            --only-binary :all: --requirement $set.txt || {
            echo "requirements/$set.txt cannot be installed without a compiler on Python $python: limit versions in pyproject.toml" >&2
            exit 1
        }
    done
done
