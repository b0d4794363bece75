#!/usr/bin/env bash
# Builds a reproducible release binary, independent of the paths of the sources, Cargo's home and the
# toolchain: without paths, times and symbols. Passes arguments to cargo. Prints the SHA-256.
set -euo pipefail
cd "$(dirname "$0")/.."

root=$(pwd -P)
cargo_home=${CARGO_HOME:-$HOME/.cargo}
target=${CARGO_TARGET_DIR:-$root/target}
# With rust-src installed, panics in generic code of the standard library contain its path.
library=$(rustc --print sysroot)/lib/rustlib/src/rust
compiler=$(rustc --version --verbose | sed -n 's/^commit-hash: //p')

# If several prefixes match, rustc and gcc use the last one.
prefixes=("$cargo_home=/cargo" "$root=/tokenhouse" "$target=/target")
flags="--remap-path-prefix=$library=/rustc/$compiler"
c_flags=
for prefix in "${prefixes[@]}"; do
    flags+=$'\x1f'"--remap-path-prefix=$prefix"
    c_flags+=" -ffile-prefix-map=$prefix"
done

export CARGO_ENCODED_RUSTFLAGS=$flags CFLAGS=$c_flags CARGO_INCREMENTAL=0
# For __DATE__ and __TIME__ in C.
export SOURCE_DATE_EPOCH=0
# ThinLTO numbers local symbols differently in each build, and the build id depends on the symbols.
export CARGO_PROFILE_RELEASE_STRIP=symbols
cargo build --release --locked --bin tokenhouse "$@"
sha256sum "$target/release/tokenhouse"
