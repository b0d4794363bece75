#!/usr/bin/env python3
"""Runs the tests in clients/python/tests: those of the example app, and those of the pytest plugin.

    scripts/python-tests.py [--binary PATH] [ARGUMENTS OF PYTEST]

Every process of pytest starts its own server. The first run installs pytest, pytest-xdist and FastAPI
into target/venvs/python-tests.
"""

import os
import subprocess
import sys

from support.server import ROOT, argument_parser, enter_venv

CLIENT = ROOT / "clients" / "python"


def main() -> None:
    parser = argument_parser(__doc__)
    options, arguments = parser.parse_known_args()
    if not options.binary.exists():
        sys.exit(f"{options.binary} does not exist: build it, or pass --binary")
    environment = {
        **os.environ,
        "TEST_TOKENHOUSE_BINARY": str(options.binary.resolve()),
        "PYTHONPATH": str(CLIENT),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
    sys.exit(subprocess.run(command, cwd=CLIENT / "tests", env=environment).returncode)


enter_venv("python-tests", ["fastapi==0.165.0", "httpx2==2.16.2", "pytest==9.2.0", "pytest-xdist==3.8.0"])
main()
