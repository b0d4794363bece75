#!/usr/bin/env bash
# Writes src/http/assets/redoc.standalone.js.gz from the npm package, reproducibly. Needs npm.
set -euo pipefail
cd "$(dirname "$0")/.."

version=2.5.4
bundle_sha256=dcaf76612bc4a3fbcc923a8966dee2f6146a5f32e5ce1b6f02dd60cbbf89500b

# Redoc fetches a logo from its vendor's host. An empty image replaces it; scripts/browser-test.py checks
# that nothing else is fetched.
logo='https://cdn.redoc.ly/redoc/logo-mini.svg'
empty_image="data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' width='0' height='0'/%3E"

folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
npm pack "redoc@$version" --silent --pack-destination "$folder" >/dev/null
tar -xzf "$folder/redoc-$version.tgz" -C "$folder"
bundle=$folder/package/bundles/redoc.standalone.js
echo "$bundle_sha256  $bundle" | sha256sum --check --quiet

count=$(grep -o "$logo" "$bundle" | wc -l)
if [ "$count" -ne 1 ]; then
    echo "$logo: occurs $count times in the bundle instead of once" >&2
    exit 1
fi
sed "s|$logo|$empty_image|" "$bundle" | gzip -9n >src/http/assets/redoc.standalone.js.gz
echo "redoc $version: $(wc -c <src/http/assets/redoc.standalone.js.gz) bytes"
