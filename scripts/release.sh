#!/usr/bin/env bash
# Releases, and the assets in them. Usage:
#   scripts/release.sh build [CARGO ARGUMENTS]
#   scripts/release.sh compare
#   scripts/release.sh pack-redoc
#   scripts/release.sh pack-swagger-ui
set -euo pipefail
cd "$(dirname "$0")/.."

# Builds a reproducible release binary, independent of the paths of the sources, Cargo's home and the
# toolchain: without paths, times and symbols. Passes arguments to cargo. Prints the SHA-256.
build() {
    local root cargo_home target library compiler prefixes flags c_flags prefix
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
    export CARGO_PROFILE_DIST_STRIP=symbols
    cargo build --profile dist --locked --bin tokenhouse "$@"
    sha256sum "$target/dist/tokenhouse"
}

# Builds the last commit in a folder of its own: NAME CHECKOUT CARGO_HOME.
build_copy() {
    local folder=$work/$1 described
    mkdir -p "$folder/$2" "$folder/$3"
    git archive "$commit" | tar -x -C "$folder/$2"
    # The same crates under another path.
    ln -s "$cargo_home/registry" "$folder/$3/registry"
    # The archive does not name its commit.
    described=$(git log -1 --format='%H %cs' "$commit" | sed -E 's/^(.{7})[^ ]*/\1/')
    env BUILD_COMMIT="$described" CARGO_HOME="$folder/$3" CARGO_TARGET_DIR="$folder/built" \
        unshare --map-root-user --net nice "$folder/$2/scripts/release.sh" build --offline --quiet
    mv "$folder/built/dist/tokenhouse" "$work/tokenhouse.$1"
    rm -rf "$folder"
}

# Builds the last commit twice, with different source, Cargo home and target folders and without a
# network, and compares the binaries. Takes two release builds; needs the crates in Cargo's home
# (`cargo fetch --locked`) and Linux's `unshare`.
compare() {
    work=$(pwd -P)/target/reproducible
    cargo_home=${CARGO_HOME:-$HOME/.cargo}
    commit=$(git rev-parse HEAD)
    rm -rf "$work"
    trap 'rm -rf "$work/one" "$work/two"' EXIT

    if ! unshare --map-root-user --net true; then
        echo "release.sh: unshare(1) may not disable the network" >&2
        exit 1
    fi

    build_copy one checkout cargo-home
    build_copy two a/nested/checkout cargo
    sha256sum "$work"/tokenhouse.*
    if ! cmp "$work/tokenhouse.one" "$work/tokenhouse.two"; then
        echo "release.sh: the two builds differ" >&2
        exit 1
    fi
    echo "both builds are identical"
}

# NAME VERSION: unpacks an npm package into $folder/package. Needs npm.
unpack() {
    folder=$(mktemp -d)
    trap 'rm -r "$folder"' EXIT
    npm pack "$1@$2" --silent --pack-destination "$folder" >/dev/null
    tar -xzf "$folder/$1-$2.tgz" -C "$folder"
}

# Writes src/http/assets/redoc.standalone.js.gz from the npm package, reproducibly.
pack_redoc() {
    local version bundle_sha256 logo empty_image bundle count
    version=2.5.4
    bundle_sha256=dcaf76612bc4a3fbcc923a8966dee2f6146a5f32e5ce1b6f02dd60cbbf89500b

    # Redoc fetches a logo from its vendor's host. An empty image replaces it; scripts/browser-test.py
    # checks that nothing else is fetched.
    logo='https://cdn.redoc.ly/redoc/logo-mini.svg'
    empty_image="data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' width='0' height='0'/%3E"

    unpack redoc "$version"
    bundle=$folder/package/bundles/redoc.standalone.js
    echo "$bundle_sha256  $bundle" | sha256sum --check --quiet

    count=$(grep -o "$logo" "$bundle" | wc -l)
    if [ "$count" -ne 1 ]; then
        echo "$logo: occurs $count times in the bundle instead of once" >&2
        exit 1
    fi
    sed "s|$logo|$empty_image|" "$bundle" | gzip -9n >src/http/assets/redoc.standalone.js.gz
    echo "redoc $version: $(wc -c <src/http/assets/redoc.standalone.js.gz) bytes"
}

# Writes the files of Swagger UI in src/http/assets from the npm package, reproducibly.
pack_swagger_ui() {
    local swagger_version assets file
    swagger_version=5.32.6
    assets=src/http/assets
    unpack swagger-ui-dist "$swagger_version"
    (cd "$folder/package" && sha256sum --check --quiet) <<'FILES'
4b5a9b35a1adf37f00d39c0bae23cdb37007e2946240ef035137cc85b4d55349  swagger-ui-bundle.js
ca238f7d7c2cf4480c1e77a9c3b9da915ab216e96ffd354e69076560c650c6de  swagger-ui.css
f3546c5b74b44eac7de5b4193a641b4f23365470c109b490c566bac0de446745  oauth2-redirect.html
a5c8a34e09e49737382cc5019446eec7c3db3461963fc5bfe448361d3c5549e9  oauth2-redirect.js
3ed612f41e050ca5e7000cad6f1cbe7e7da39f65fca99c02e99e6591056e5837  favicon-32x32.png
FILES
    gzip -9n <"$folder/package/swagger-ui-bundle.js" >$assets/swagger-ui-bundle.js.gz
    gzip -9n <"$folder/package/swagger-ui.css" >$assets/swagger-ui.css.gz
    for file in oauth2-redirect.html oauth2-redirect.js favicon-32x32.png; do
        cp "$folder/package/$file" "$assets/swagger-$file"
    done
    echo "swagger-ui $swagger_version: $(cat $assets/swagger-ui* | wc -c) bytes compressed"
}

case ${1:-} in
build) build "${@:2}" ;;
compare) compare ;;
pack-redoc) pack_redoc ;;
pack-swagger-ui) pack_swagger_ui ;;
*)
    sed -n '2,/^set/s/^# \?//p' "$0" >&2
    exit 2
    ;;
esac
