#!/usr/bin/env bash
# Builds the last commit twice, with different source, Cargo home and target folders and without a
# network, and compares the binaries. Takes two release builds; needs the crates in Cargo's home
# (`cargo fetch --locked`) and Linux's `unshare`.
set -euo pipefail
cd "$(dirname "$0")/.."

work=$(pwd -P)/target/reproducible
cargo_home=${CARGO_HOME:-$HOME/.cargo}
commit=$(git rev-parse HEAD)
rm -rf "$work"
trap 'rm -rf "$work/one" "$work/two"' EXIT

if ! unshare --map-root-user --net true; then
    echo "reproducible-build: unshare(1) may not disable the network" >&2
    exit 1
fi

build() {
    local folder=$work/$1
    mkdir -p "$folder/$2" "$folder/$3"
    git archive "$commit" | tar -x -C "$folder/$2"
    # The same crates under another path.
    ln -s "$cargo_home/registry" "$folder/$3/registry"
    env CARGO_HOME="$folder/$3" CARGO_TARGET_DIR="$folder/built" \
        unshare --map-root-user --net nice "$folder/$2/scripts/build-release.sh" --offline --quiet
    mv "$folder/built/release/tokenhouse" "$work/tokenhouse.$1"
    rm -rf "$folder"
}

build one checkout cargo-home
build two a/nested/checkout cargo
sha256sum "$work"/tokenhouse.*
if ! cmp "$work/tokenhouse.one" "$work/tokenhouse.two"; then
    echo "reproducible-build: the two builds differ" >&2
    exit 1
fi
echo "both builds are identical"
