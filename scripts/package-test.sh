#!/usr/bin/env bash
# Installs the packages of scripts/package.sh and runs them: the .deb with dpkg in a Debian of its own
# (debootstrap, chroot), the tarball in an empty folder, the image with runc, as its user on a read-only
# root. In each, a user registers and signs in. Usage, as root on Debian 12 or later:
#   scripts/package.sh test [deb|tarball|image]
# Installs what it needs from Debian. Prints how long each took from nothing to the first token.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=$PWD/target/packages
work=$packages/test
version=$(sed -n 's/^version = "\(.*\)"/\1/p;T;q' Cargo.toml)
port=${PORT:-18742}
url=http://127.0.0.1:$port
key=static-key-of-the-test
# So that other work on the machine does not delay sign-ins.
priority=TOKENHOUSE_HASH_LOW_PRIORITY=false

fail() {
    echo "package-test.sh: $*" >&2
    exit 1
}

need() {
    local program=$1 package=${2:-$1}
    command -v "$program" >/dev/null ||
        apt-get install --yes --no-install-recommends "$package" >/dev/null
}

# START SERVER: waits until the server is ready, registers a user and signs in. Prints the seconds since
# START.
first_token() {
    local start=$1 server=$2 token
    until curl -fso /dev/null "$url/health/ready"; do
        kill -0 "$server" || fail "the server does not start: $(tail -n 3 "$work"/*.log)"
        sleep 0.1
    done
    curl -fsS "$url/register" -H 'Content-Type: application/json' -d '{"name": "Ada Lovelace",
        "surname": "", "email": "ada@example.com", "website": "", "password": "mulberry-Tram-71"}' >/dev/null
    token=$(curl -fsS "$url/token" -d username=ada@example.com -d password=mulberry-Tram-71 | cut -d '"' -f 4)
    curl -fsS "$url/users/me" -H "Authorization: Bearer $token" | grep -q ada@example.com
    curl -fsS "$url/protected" -H "Token: $key" >/dev/null
    awk -v start="$start" -v now="$(date +%s.%N)" 'BEGIN { printf "%.1f s\n", now - start }'
}

# Sends SIGTERM to the server on the port, and waits until it has ended.
stop() {
    kill -TERM "$1"
    wait "$1" || [ $? -eq "${2:-0}" ] || fail "the server ended with an error"
    ! curl -fso /dev/null "$url/health/live" || fail "another server listens on port $port"
}

verify_sum() {
    (cd "$packages" && sha256sum --check --quiet "$1.sha256") || fail "$1: wrong checksum"
}

# Whether packaging the same binary again gives the same bytes; of an image, the same layers, since
# buildah writes a random host name into its configuration.
verify_reproducible() {
    local before
    before=$(content "$2")
    STAGED=yes scripts/package.sh "$1" >/dev/null
    [ "$before" = "$(content "$2")" ] || fail "$2: differs when built again"
}

content() {
    case $1 in
    *.image.tar.gz) gunzip -c "$packages/$1" | tar --extract --to-stdout manifest.json | grep -o '"Layers":.*' ;;
    *) cat "$packages/$1.sha256" ;;
    esac
}

unmount() {
    for folder in "$work/debian/proc" "$work/debian/dev"; do
        ! mountpoint -q "$folder" || umount "$folder"
    done
}

test_deb() {
    local file debian start server pages
    file=$(basename "$packages"/tokenhouse_*.deb)
    debian=$work/debian
    need debootstrap
    need lintian
    verify_sum "$file"
    lintian --fail-on error "$packages/$file"

    trap unmount EXIT
    mkdir -p "$work"
    if [ ! -d "$packages/bookworm" ]; then
        rm -rf "$packages/bookworm.new"
        debootstrap --variant=minbase bookworm "$packages/bookworm.new" >"$work/debootstrap.log"
        mv "$packages/bookworm.new" "$packages/bookworm"
    fi
    unmount
    rm -rf "$debian"
    cp -a "$packages/bookworm" "$debian"
    mount --bind /proc "$debian/proc"
    mount --bind /dev "$debian/dev"
    cp "$packages/$file" "$debian/root/"
    inside() { chroot "$debian" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C "$@"; }

    start=$(date +%s.%N)
    inside dpkg --install "/root/$file"
    inside tokenhouse --version | grep -q "$version"
    [ "$(stat -c %a "$debian/etc/tokenhouse/env")" = 640 ] || fail "env: wrong mode"
    [ "$(inside stat -c %U:%G /etc/tokenhouse/env)" = root:tokenhouse ] || fail "env: wrong owner"
    [ "$(inside stat -c %U:%a /var/lib/tokenhouse)" = tokenhouse:700 ] || fail "database folder: wrong mode"
    ! grep -qE '^(API_KEY_TOKEN|TOKENHOUSE_AUDIT_KEY)=' "$debian/etc/tokenhouse/env" || fail "env: a secret"
    pages=("$debian"/usr/share/man/man1/tokenhouse*.1.gz)
    [ "${#pages[@]}" -gt 30 ] || fail "only ${#pages[@]} man pages"
    ! man --warnings -l "${pages[0]}" 2>&1 >/dev/null | grep . || fail "${pages[0]}: warnings"
    inside bash -c '. /usr/share/bash-completion/completions/tokenhouse && complete -p tokenhouse' >/dev/null
    for asset in share/zsh/vendor-completions/_tokenhouse share/fish/vendor_completions.d/tokenhouse.fish \
        share/doc/tokenhouse/copyright share/doc/tokenhouse/THIRD-PARTY.txt.gz; do
        [ -s "$debian/usr/$asset" ] || fail "no /usr/$asset"
    done
    # Among this machine's units, as the Debian inside has none.
    sed "s,^ExecStart=,&$debian/usr/bin/," "$debian/usr/lib/systemd/system/tokenhouse.service" \
        >"$work/tokenhouse.service"
    ! systemd-analyze verify --man=no "$work/tokenhouse.service" 2>&1 | grep . || fail "the unit is invalid"

    # As the unit starts it: with its variables, the settings and its user. The operator adds a key.
    echo "API_KEY_TOKEN=$key" >>"$debian/etc/tokenhouse/env"
    mapfile -t variables < <(sed -n 's/^Environment=//p' "$debian/usr/lib/systemd/system/tokenhouse.service")
    mapfile -t settings < <(grep -E '^[A-Z]' "$debian/etc/tokenhouse/env")
    chroot --userspec=tokenhouse:tokenhouse "$debian" /usr/bin/env -i --chdir=/var/lib/tokenhouse \
        PATH=/usr/bin "${variables[@]}" "${settings[@]}" TOKENHOUSE_BIND="127.0.0.1:$port" \
        "$priority" tokenhouse serve >"$work/deb.log" 2>&1 &
    server=$!
    echo ".deb, from dpkg --install to the first token: $(first_token "$start" "$server")"
    # Commands, as the same user, with the same settings.
    inside runuser -u tokenhouse -- tokenhouse --env-file /etc/tokenhouse/env user list | grep -q ada@example.com
    stop "$server"

    # An upgrade keeps the settings and the database; so does a removal.
    inside dpkg --install "/root/$file" >/dev/null
    grep -q "$key" "$debian/etc/tokenhouse/env"
    inside apt-get -o Dpkg::Use-Pty=0 --yes remove tokenhouse >/dev/null
    [ ! -e "$debian/usr/bin/tokenhouse" ] || fail "the program remains"
    grep -q "$key" "$debian/etc/tokenhouse/env"
    inside dpkg --install "/root/$file" >/dev/null
    inside runuser -u tokenhouse -- tokenhouse --env-file /etc/tokenhouse/env user list | grep -q ada@example.com
    # A purge removes the settings, with the secrets, and keeps the accounts.
    inside apt-get -o Dpkg::Use-Pty=0 --yes purge tokenhouse >/dev/null
    [ ! -e "$debian/etc/tokenhouse" ] || fail "/etc/tokenhouse remains after a purge"
    [ -s "$debian/var/lib/tokenhouse/tokenhouse.db" ] || fail "the database is gone"
    [ -z "$(inside dpkg-query -W -f '${Status}' tokenhouse 2>/dev/null)" ] || fail "the package remains"
    unmount
    rm -rf "$debian"
    verify_reproducible deb "$file"
}

test_tarball() {
    local file folder start server
    file=tokenhouse-$version-linux-$(uname -m).tar.gz
    folder=$work/tarball
    rm -rf "$folder"
    mkdir -p "$folder/run"
    start=$(date +%s.%N)
    verify_sum "$file"
    tar -xzf "$packages/$file" --strip-components=1 -C "$folder"
    (cd "$folder/run" && exec env -i API_KEY_TOKEN="$key" TOKENHOUSE_BIND="127.0.0.1:$port" \
        "$priority" ../tokenhouse) >"$work/tarball.log" 2>&1 &
    server=$!
    echo "tarball, from the archive to the first token: $(first_token "$start" "$server")"
    stop "$server"
    for part in man/tokenhouse.1 completions/_tokenhouse systemd/tokenhouse.service systemd/env \
        THIRD-PARTY.txt tokenhouse.cdx.json LICENSE-MIT LICENSE-APACHE; do
        [ -s "$folder/$part" ] || fail "$file: no $part"
    done
    rm -rf "$folder"
    verify_reproducible tarball "$file"
}

test_image() {
    local file start server store state=$work/state
    file=$(basename "$packages"/tokenhouse-*.image.tar.gz)
    need buildah
    need umoci
    need runc
    rm -rf "$work/image" "$work/data" "$state"
    mkdir -p "$work/image"
    install -d -o 65532 -g 65532 "$work/data"
    start=$(date +%s.%N)
    verify_sum "$file"
    gunzip -c "$packages/$file" >"$work/image/archive"
    store=(buildah --root "$work/image/store" --runroot "$work/image/run" --storage-driver vfs)
    "${store[@]}" pull --quiet "docker-archive:$work/image/archive" >/dev/null
    "${store[@]}" inspect --type image "tokenhouse:$version" >"$work/image/inspect"
    "${store[@]}" push --quiet "tokenhouse:$version" "oci:$work/image/oci:latest"
    umoci unpack --image "$work/image/oci:latest" "$work/image/bundle"
    # Docker's and Podman's options: --read-only, --cap-drop all, --volume data:/data, --network host.
    python3 - "$work/image/bundle/config.json" "$work/data" "$port" "$key" "$priority" <<'PYTHON'
import json, sys
path, data, port, key, priority = sys.argv[1:]
config = json.load(open(path))
process, linux = config["process"], config["linux"]
assert process["user"]["uid"] == 65532, process["user"]
config["root"]["readonly"] = True
process.update(terminal=False, noNewPrivileges=True)
process["capabilities"] = {kind: [] for kind in process["capabilities"]}
process["env"] += [f"TOKENHOUSE_BIND=127.0.0.1:{port}", f"API_KEY_TOKEN={key}", priority]
volume = {"destination": "/data", "type": "bind", "source": data, "options": ["bind", "rw"]}
config["mounts"] = [m for m in config["mounts"] if m["destination"] not in ("/data", "/sys/fs/cgroup")]
config["mounts"].append(volume)
linux["namespaces"] = [space for space in linux["namespaces"] if space["type"] != "network"]
json.dump(config, open(path, "w"))
PYTHON
    runc --root "$state" run --bundle "$work/image/bundle" tokenhouse-test >"$work/image.log" 2>&1 &
    server=$!
    echo "image, from the archive to the first token: $(first_token "$start" "$server")"
    grep -q '"healthcheck"' "$work/image/inspect" || fail "$file: no health check"
    runc --root "$state" exec tokenhouse-test /usr/local/bin/tokenhouse healthcheck
    runc --root "$state" exec tokenhouse-test /usr/local/bin/tokenhouse user list | grep -q ada@example.com
    ! runc --root "$state" exec tokenhouse-test /bin/sh -c true 2>/dev/null || fail "$file: has a shell"
    [ -s "$work/data/tokenhouse.db" ] || fail "$file: no database in the volume"
    runc --root "$state" kill tokenhouse-test TERM
    wait "$server" || fail "the container ended with an error"
    rm -rf "$work/image" "$work/data"
    verify_reproducible image "$file"
}

[ "$(id -u)" -eq 0 ] || fail "must run as root"
need curl
kinds=("$@")
[ $# -gt 0 ] || kinds=(deb tarball image)
for kind in "${kinds[@]}"; do
    "test_$kind"
    echo "$kind: passed"
done
