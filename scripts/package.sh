#!/usr/bin/env bash
# Packages for installing without Rust, in target/packages. Usage:
#   scripts/package.sh deb|tarball|image|all   builds it, with the release binary
#   scripts/package.sh test [deb|tarball|image]  installs what was built and runs it (as root on Debian)
# BINARY=no packages the existing target/dist/tokenhouse, and STAGED=yes also uses what the last run
# has prepared. Needs Debian 12 or later, python3 and, for the image, buildah; cargo-deb is installed if
# it is missing. Equal commits give equal packages (of the image, equal layers).
set -euo pipefail
cd "$(dirname "$0")/.."

# TLS to Postgres and passkeys, since users of a package cannot add them.
features=passkeys,postgres-tls
# The oldest glibc on which the binary runs: Debian 12, Ubuntu 22.04, RHEL 9 and later.
max_glibc=2.34

packages=target/packages
stage=$packages/stage
binary=target/dist/tokenhouse
version=$(sed -n 's/^version = "\(.*\)"/\1/p;T;q' Cargo.toml)
architecture=$(dpkg --print-architecture)
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH

fail() {
    echo "package.sh: $*" >&2
    exit 1
}

# Everything that the packages have in common: the binary, and what it prints.
prepare() {
    local needed
    if [ "${STAGED:-}" = yes ]; then
        return
    fi
    if [ "${BINARY:-}" != no ]; then
        scripts/release.sh build --features "$features"
    fi
    [ -x "$binary" ] || fail "$binary: does not exist"
    needed=$(objdump -T "$binary" | grep -o 'GLIBC_[0-9.]*' | sed 's/GLIBC_//' | sort -V | tail -n 1)
    if [ "$(printf '%s\n' "$needed" "$max_glibc" | sort -V | tail -n 1)" != "$max_glibc" ]; then
        fail "$binary needs glibc $needed; expected at most $max_glibc: build on Debian 12"
    fi
    rm -rf "$stage"
    mkdir -p "$stage/completions"
    "$binary" man "$stage/man"
    "$binary" completions bash >"$stage/completions/tokenhouse.bash"
    "$binary" completions zsh >"$stage/completions/_tokenhouse"
    "$binary" completions fish >"$stage/completions/tokenhouse.fish"
    scripts/sbom.py --features "$features" --output "$stage/tokenhouse.cdx.json" \
        --licences "$stage/THIRD-PARTY.txt"
    gzip -9nk "$stage/tokenhouse.cdx.json" "$stage/THIRD-PARTY.txt"
    cat >"$stage/changelog" <<CHANGELOG
tokenhouse ($version-1) unstable; urgency=medium

  * See CHANGELOG.md in the sources.

 -- The Tokenhouse contributors <maintainers@tokenhouse.invalid>  $(date -uRd "@$SOURCE_DATE_EPOCH")
CHANGELOG
}

deb() {
    if ! cargo deb --version >/dev/null 2>&1; then
        cargo install --locked cargo-deb@3.8.0
    fi
    cargo deb --no-build --no-strip --locked --output "$packages/" >/dev/null
    sum "tokenhouse_$version-1_$architecture.deb"
}

# One folder with the binary and everything else; deploy/README.md says how to install it.
tarball() {
    local name folder
    name=tokenhouse-$version-linux-$(uname -m)
    folder=$packages/$name
    rm -rf "$folder"
    mkdir "$folder"
    cp -R "$binary" "$stage/man" "$stage/completions" deploy/systemd .env.example CHANGELOG.md \
        LICENSE-MIT LICENSE-APACHE "$stage/THIRD-PARTY.txt" "$stage/tokenhouse.cdx.json" "$folder/"
    pack "$folder" | gzip -9n >"$packages/$name.tar.gz"
    rm -rf "$folder"
    sum "$name.tar.gz"
}

# FOLDER: prints it as a tar archive with fixed order, owners, modes and times.
pack() {
    tar --create --directory "$(dirname "$1")" --sort=name --mtime="@$SOURCE_DATE_EPOCH" \
        --owner=0 --group=0 --numeric-owner --mode=go=rX,u+rw,a-s "$(basename "$1")"
}

# The binary and the libraries that it needs from this machine's Debian packages, with their licences
# and, for scanners, versions. No shell.
image() {
    local context=$packages/image root=$packages/image/root library package name store
    command -v buildah >/dev/null || fail "buildah is missing: apt-get install buildah"
    rm -rf "$context"
    mkdir -p "$root"/{data,etc/ssl/certs,tmp,usr/local/bin,usr/share/doc,var/lib/dpkg/status.d}
    chmod 1777 "$root/tmp"
    install -m 755 "$binary" "$root/usr/local/bin/tokenhouse"
    for library in $(ldd "$binary" | grep -o '/[^ ]*'); do
        install -D "$(realpath "$library")" "$root$library"
        # Debian 12 records the path without /usr, later versions with it.
        { dpkg -S "$library" || dpkg -S "/usr$library"; } 2>/dev/null | cut -d : -f 1
    done | cat - <(echo ca-certificates) | sort -u >"$context/packages"
    while read -r package; do
        install -D -m 644 "/usr/share/doc/$package/copyright" "$root/usr/share/doc/$package/copyright"
        dpkg-query --status "$package" >"$root/var/lib/dpkg/status.d/$package"
    done <"$context/packages"
    install -D -m 644 -t "$root/usr/share/doc/tokenhouse" LICENSE-MIT LICENSE-APACHE \
        "$stage/THIRD-PARTY.txt" "$stage/tokenhouse.cdx.json"
    cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
    cp /etc/debian_version "$root/etc/"
    cp -L /etc/os-release "$root/etc/"
    echo 'hosts: files dns' >"$root/etc/nsswitch.conf"
    echo 'tokenhouse:x:65532:65532::/data:/usr/sbin/nologin' >"$root/etc/passwd"
    echo 'tokenhouse:x:65532:' >"$root/etc/group"

    name=tokenhouse-$version-$architecture.image.tar
    store=(--root "$PWD/$packages/store" --runroot "$PWD/$packages/run" --storage-driver vfs)
    # Docker's format has the health check, which OCI's lacks. Docker and Podman read both.
    buildah "${store[@]}" build --quiet --format docker --isolation chroot \
        --timestamp "$SOURCE_DATE_EPOCH" --label "org.opencontainers.image.version=$version" \
        --label "org.opencontainers.image.revision=$(git rev-parse HEAD)" \
        --tag "tokenhouse:$version" --file deploy/docker/Dockerfile "$context" >/dev/null
    rm -f "$packages/$name" "$packages/$name.gz"
    buildah "${store[@]}" push --quiet "tokenhouse:$version" "docker-archive:$packages/$name:tokenhouse:$version"
    gzip -9n "$packages/$name"
    rm -rf "$packages/store" "$packages/run"
    sum "$name.gz"
}

# FILE: writes its checksum next to it.
sum() {
    (cd "$packages" && sha256sum "$1" >"$1.sha256")
    echo "$packages/$1: $(wc -c <"$packages/$1") bytes"
}

mkdir -p "$packages"
case ${1:-} in
deb | tarball | image)
    prepare
    "$1"
    ;;
all)
    prepare
    deb
    tarball
    image
    cp "$stage/tokenhouse.cdx.json" "$packages/tokenhouse-$version-$(uname -m).cdx.json"
    sum "tokenhouse-$version-$(uname -m).cdx.json"
    ;;
test) exec scripts/package-test.sh "${@:2}" ;;
*)
    sed -n '2,/^set/s/^# \?//p' "$0" >&2
    exit 2
    ;;
esac
