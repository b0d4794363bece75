#!/usr/bin/env python3
"""Sends generated requests to a server and checks every response against the OpenAPI document.

    scripts/api-fuzz.py [--max-examples N] [--seed S] [--binary PATH]

Three runs with schemathesis: without a valid credential, signed in as an administrator, and /token
with RFC 6749's statuses. No response may be 5xx, or have an undocumented status, content type,
header or body. Invalid requests must be rejected, valid ones accepted, and guards enforced. The
first run installs schemathesis into target/venvs/schemathesis.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from support.server import ROOT, argument_parser, enter_venv, running

EMAIL = "schemathesis@example.com"

# The paths for which support/schemathesis_auth.py provides a credential.
GUARDED = "^/(users|admin|logout|verify|introspect|revoke|page|protected)"

# Valid bodies may still be rejected: JSON Schema cannot express existing domains, guessable passwords,
# the current password, the current ETag, scopes that a user holds, strings without U+0000, or times.
CONFIG = """
[[operations]]
include-name = "POST /register"
[operations.checks.positive_data_acceptance]
expected-statuses = ["2xx", 409, 422]

[[operations]]
include-path-regex = "^/(users/me|admin/)"
[operations.checks.positive_data_acceptance]
expected-statuses = ["2xx", 401, 403, 404, 409, 412, 422, 428]
"""


def run(name, base, options, *arguments, environment=None):
    """Runs schemathesis, and returns the number of requests and whether all checks passed."""
    print(f"==> {name}", flush=True)
    with tempfile.TemporaryDirectory(prefix="schemathesis-") as folder:
        report, config = Path(folder) / "report.json", Path(folder) / "schemathesis.toml"
        config.write_text(CONFIG)
        command = [
            Path(sys.prefix) / "bin" / "schemathesis",
            f"--config-file={config}",
            "run",
            f"{base}/openapi.json",
            # The document has no links, so there is no stateful phase.
            "--phases=examples,coverage,fuzzing",
            # In sequence: a sign-in for one request would end the token of another.
            "--workers=1",
            f"--max-examples={options.max_examples}",
            f"--seed={options.seed}",
            "--generation-database=none",
            "--continue-on-failure",
            "--no-color",
            "--report=json",
            f"--report-json-path={report}",
            *arguments,
        ]
        # In the temporary folder, since schemathesis writes files to its working directory.
        finished = subprocess.run(command, cwd=folder, env={**os.environ, **(environment or {})})
        cases = json.loads(report.read_text())["test_cases"] if report.exists() else {}
    return cases.get("generated", 0), finished.returncode == 0


def run_all(options):
    with running(options.binary) as base:
        yield run("without a credential", base, options, "--warnings=off")
    with tempfile.TemporaryDirectory(prefix="tokenhouse-") as folder:
        database = f"sqlite://{folder}/tokenhouse.db"
        with running(options.binary, DATABASE_URL=database) as base:
            environment = {
                "SCHEMATHESIS_HOOKS": "support.schemathesis_auth",
                "PYTHONPATH": str(ROOT / "scripts"),
                "TOKENHOUSE_BASE": base,
                "TOKENHOUSE_BINARY": str(options.binary.resolve()),
                "TOKENHOUSE_DATABASE": database,
                "TOKENHOUSE_EMAIL": EMAIL,
            }
            guarded = f"--include-path-regex={GUARDED}"
            # Warnings are off: most generated ids and users do not exist.
            yield run("signed in", base, options, guarded, "--warnings=off", environment=environment)
    with running(options.binary, TOKENHOUSE_OAUTH_STRICT_STATUS="true") as base:
        # Warnings are off: the 400 of a wrong password looks like that of an invalid form.
        yield run("strict statuses", base, options, "--include-path=/token", "--warnings=off")


def main():
    parser = argument_parser(__doc__)
    parser.add_argument("--max-examples", type=int, default=1000, help="per operation")
    parser.add_argument("--seed", type=int, default=1)
    results = list(run_all(parser.parse_args()))
    print(f"{sum(count for count, _ in results)} requests in {len(results)} runs")
    # A run without requests has tested nothing.
    sys.exit(0 if all(count > 0 and passed for count, passed in results) else 1)


enter_venv("schemathesis", ["schemathesis==4.32.5"])
main()
