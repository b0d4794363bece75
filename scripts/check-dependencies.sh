#!/usr/bin/env bash
# Rejects dependencies with known vulnerabilities or incompatible licences. Works offline, from
# Cargo.lock, so that CI needs no further tool; `cargo deny check` (deny.toml) also uses the advisory
# database.
set -euo pipefail
cd "$(dirname "$0")/.."

# The first versions without the advisories.
floors="
actix-http 3.18.11 RUSTSEC-2021-0081 and later fixes of request smuggling
bcrypt     0.19.2  RUSTSEC-2026-0199
bytes      1.11.1  RUSTSEC-2026-0007
chrono     0.4.20  RUSTSEC-2020-0159
diesel     2.3.10  RUSTSEC-2024-0365 RUSTSEC-2026-0111 RUSTSEC-2026-0136 RUSTSEC-2026-0172
hyper      0.14.10 RUSTSEC-2021-0020 RUSTSEC-2021-0078 RUSTSEC-2021-0079
idna       1.0.3   RUSTSEC-2024-0421
libsqlite3-sys 0.38.2 SQLite before 3.51.3 can corrupt its write-ahead log
mio        0.8.11  RUSTSEC-2024-0019
rand       0.10.1  RUSTSEC-2026-0097
ring       0.17.12 RUSTSEC-2025-0009
rustls     0.23.46 RUSTSEC-2024-0336 RUSTSEC-2024-0399 RUSTSEC-2026-0285 RUSTSEC-2026-0346 to -0349
rustls-webpki 0.103.13 RUSTSEC-2026-0049 RUSTSEC-2026-0098 RUSTSEC-2026-0099 RUSTSEC-2026-0104
slab       0.4.11  RUSTSEC-2025-0047
smallvec   1.6.1   RUSTSEC-2021-0003
time       0.3.47  RUSTSEC-2026-0009
tokio      1.44.2  RUSTSEC-2025-0023
tokio-postgres 0.7.18 RUSTSEC-2026-0178
tracing-subscriber 0.3.20 RUSTSEC-2025-0055
"
# Banned in every version, as in deny.toml.
banned="
h2 RUSTSEC-2026-0258, RUSTSEC-2024-0332; we do not support HTTP/2
"
# Licences that must not be the only option.
copyleft='GPL'

problems=0
report() {
    echo "$*" >&2
    problems=$((problems + 1))
}

# For all features and platforms, one line each: name version licence.
packages=$(cargo tree --locked --workspace --all-features --target all --edges normal,build,dev --prefix none \
    --format '{p}|{l}' | sed -e 's/ (\*)$//' -e '/^$/d' |
    awk -F'|' '{split($1, package, " "); print package[1], substr(package[2], 2), $2}' | sort -u)

is_below() {
    [ "$1" != "$2" ] && [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]
}

while read -r name floor reason; do
    [ -n "$name" ] || continue
    while read -r _ version _; do
        if is_below "$version" "$floor"; then
            report "$name $version: at least $floor is required ($reason)"
        fi
    done < <(grep "^$name " <<<"$packages")
done <<<"$floors"

while read -r name reason; do
    [ -n "$name" ] || continue
    if grep -q "^$name " <<<"$packages"; then
        report "$name: banned ($reason); see cargo tree --invert $name"
    fi
done <<<"$banned"

while read -r name version licence; do
    if [ -z "$licence" ]; then
        report "$name $version: has no licence"
    elif ! tr -d '()' <<<"$licence" | sed 's, OR \|/,\n,g' | grep -qv "$copyleft"; then
        report "$name $version: $licence is incompatible"
    fi
done <<<"$packages"

if [ "$problems" -gt 0 ]; then
    echo "$problems problem(s) with dependencies" >&2
    exit 1
fi
echo "$(wc -l <<<"$packages") packages: no problems"
