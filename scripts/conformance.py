#!/usr/bin/env python3
"""Runs an independent conformance player against the release binary, on SQLite and on Postgres.

    scripts/conformance.py --player PATH [--only sqlite|postgres]

`cargo test` runs the same cases, more strictly, with its own player; this is a second opinion. PATH
is the player, differential.py, with contract.json in the same folder. Needs Postgres's initdb and
pg_ctl on the PATH or in Debian's folder.

Two cases always fail, register.errors.name-and-email and register.errors.mixed: with --relax
email-msg, the player expects every message to be about an e-mail address, including those of other
fields. The reference fails them too.
"""

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from support.postgres import postgres
from support.server import ROOT, running

BINARY = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release" / "tokenhouse"
SETTINGS = {
    "API_KEY_TOKEN": "SECRET_PASSWORD",
    "TOKENHOUSE_BCRYPT_COST": "12",
    "TOKENHOUSE_HASH_QUEUE_MS": "60000",
    "TOKENHOUSE_LIMITS": "off",
    "TOKENHOUSE_PASSWORD_MIN_LENGTH": "0",
    "TOKENHOUSE_PASSWORD_REFUSE_COMMON": "false",
}
RELAXED = ["--relax", "email-msg", "--relax", "json-error", "--forbid-secret-echo"]


@contextlib.contextmanager
def sqlite():
    with tempfile.TemporaryDirectory(prefix="tokenhouse-") as folder:
        yield f"sqlite://{folder}/tokenhouse.db"


def run_player(player, database_url):
    settings = {**SETTINGS, "DATABASE_URL": database_url}
    short = {**settings, "TOKENHOUSE_TOKEN_LIFETIME": "2"}
    with running(BINARY, **settings) as plain, running(BINARY, **short) as short_lived:
        command = [sys.executable, player, "--candidate", plain, "--candidate-short-ttl", short_lived]
        command += ["--cases", ROOT / "tests/data/conformance/cases.json"]
        command += ["--contract", player.with_name("contract.json"), *RELAXED]
        return subprocess.run(command).returncode == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--player", type=Path, required=True, help="differential.py")
    parser.add_argument("--only", choices=["sqlite", "postgres"])
    options = parser.parse_args()
    if not options.player.is_file():
        parser.error(f"{options.player} does not exist")
    subprocess.run(["cargo", "build", "--release", "--locked"], cwd=ROOT, check=True)
    passed = True
    for database in [sqlite, postgres]:
        if options.only in (None, database.__name__):
            print(f"==> {database.__name__}", flush=True)
            with database() as url:
                passed &= run_player(options.player, url)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
