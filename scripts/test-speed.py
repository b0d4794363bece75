#!/usr/bin/env python3
"""Measures 200 tests with a sign-in each: of the example app in clients/python with a real server, and
of an app that hashes with bcrypt at cost 12, as the tutorial does.

    scripts/test-speed.py [--binary PATH] [--rounds N]

Prints the median of the seconds that pytest takes. The first run installs FastAPI, pytest and bcrypt
into target/venvs/test-speed.
"""

import os
import statistics
import subprocess
import sys
import time

from support.server import ROOT, argument_parser, enter_venv

TESTS = ROOT / "scripts" / "support" / "test_speed"
PLUGIN = ["-p", "pytest_tokenhouse"]


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    environment = {
        **os.environ,
        "TEST_TOKENHOUSE_BINARY": str(options.binary.resolve()),
        "PYTHONPATH": str(ROOT / "clients" / "python"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    for name, plugin in (("tokenhouse", PLUGIN), ("tutorial", [])):
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *plugin]
        rounds = []
        for _ in range(options.rounds):
            start = time.monotonic()
            subprocess.run([*command, TESTS / f"test_{name}.py"], cwd=TESTS, env=environment, check=True)
            rounds.append(time.monotonic() - start)
        print(f"{name}: {statistics.median(rounds):.1f} s of {[round(took, 1) for took in rounds]}")


enter_venv(
    "test-speed",
    [
        "bcrypt==5.0.0",
        "fastapi==0.165.0",
        "httpx2==2.16.2",
        "pytest==9.2.0",
        "python-multipart==0.0.20",
    ],
)
main()
