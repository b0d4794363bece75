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
import glob
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

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


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextlib.contextmanager
def sqlite():
    with tempfile.TemporaryDirectory(prefix="tokenhouse-") as folder:
        yield f"sqlite://{folder}/tokenhouse.db"


@contextlib.contextmanager
def postgres():
    debian = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda p: -int(p.split("/")[4]))
    path = os.pathsep.join([os.environ["PATH"], *debian])
    initdb, pg_ctl = shutil.which("initdb", path=path), shutil.which("pg_ctl", path=path)
    if not (initdb and pg_ctl):
        sys.exit("initdb and pg_ctl are missing: apt-get install postgresql")
    # Postgres refuses to run as root.
    account = {"user": "postgres", "group": "postgres"} if os.getuid() == 0 else {}
    with tempfile.TemporaryDirectory(prefix="tokenhouse-") as folder:
        if account:
            shutil.chown(folder, **account)
        quiet = {"cwd": folder, "stdout": subprocess.DEVNULL, "check": True, **account}
        data, port = f"{folder}/data", free_port()
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories=."
        subprocess.run([initdb, "-D", data, "-U", "tokenhouse", "-A", "trust", "-E", "UTF8"], **quiet)
        subprocess.run([pg_ctl, "-D", data, "-o", options, "-l", f"{folder}/log", "-w", "start"], **quiet)
        try:
            yield f"postgres://tokenhouse@127.0.0.1:{port}/postgres"
        finally:
            subprocess.run([pg_ctl, "-D", data, "-m", "immediate", "-w", "stop"], **quiet)


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
