# Shortcuts. `just` lists them; CONTRIBUTING.md explains the longer ones. `.ci/run` is what CI runs.

# List the commands
[private]
default:
    @just --list

# Build the program and all tests
build:
    cargo build --workspace --all-targets --locked

# Run the development server on http://127.0.0.1:8000, with cheap password hashes
run *ARGS:
    API_KEY_TOKEN="${API_KEY_TOKEN:-development-key}" TOKENHOUSE_BCRYPT_COST=4 cargo run --locked -- {{ ARGS }}

# Run all tests, on SQLite and Postgres
test:
    cargo test --workspace --locked

# Run the API tests whose names contain NAME
test-one NAME:
    cargo test --package tokenhouse --test api --locked -- {{ NAME }}

# Check formatting and lints
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --locked -- -D warnings

# Run everything that must pass before a merge
ci:
    .ci/run

# Build and open the documentation of the library
doc:
    cargo doc --package tokenhouse --no-deps --features remote --locked --open

# Measure speed: `just bench check --only bare,tokenhouse --rounds 1`
bench *ARGS:
    bench/run {{ ARGS }}

# Check correctness under failures: `just reliability history --database sqlite --kills`
reliability *ARGS:
    cargo run --release --locked --package reliability -- {{ ARGS }}

# Fuzz the parsers with mutated seeds: TARGET is form, json, credential, ... or empty for all
fuzz TARGET="":
    TOKENHOUSE_FUZZ_INPUTS=1000000 cargo test --release --package tokenhouse --test fuzz --locked -- {{ TARGET }}

# Build the release binary reproducibly, and its bill of materials
release:
    scripts/release.sh build
    scripts/sbom.py --output target/dist/tokenhouse.cdx.json

# Build the .deb, the tarball and the image
packages:
    scripts/package.sh all

# Check that the packages for crates.io contain all that they need
package:
    cargo package --workspace --exclude test-support --exclude reliability --exclude bench-bare --exclude bench-load --locked
