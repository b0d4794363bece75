#!/usr/bin/env python3
"""Checks the OpenAPI document, and a server against it.

    scripts/openapi.py validate [--binary PATH]
    scripts/openapi.py fuzz [--max-examples N] [--seed S] [--binary PATH]

`validate`: the output of `tokenhouse openapi` must be valid OpenAPI 3.1, every example must match its
schema, and the paths must be those of src/http/routes/mod.rs.

`fuzz` sends generated requests in three runs with schemathesis: without a valid credential, signed in
as an administrator, and /token with RFC 6749's statuses. No response may be 5xx, or have an
undocumented status, content type, header or body. Invalid requests must be rejected, valid ones
accepted, and guards enforced.

The first runs install openapi-spec-validator into target/venvs/openapi and schemathesis into
target/venvs/schemathesis.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from support.server import ROOT, argument_parser, enter_venv, running

# In the route table but not in the document.
UNDOCUMENTED = {
    "/livez": "the same as /health/live",
    "/readyz": "the same as /health/ready",
    "/docs": "a page",
    "/docs/{file}": "files of the page",
    "/redoc": "a page",
    "/redoc/{file}": "files of the page",
    "/openapi.json": "the document itself",
}


def route_table():
    """Returns the paths of all `resource("/register", …)`, resolving constants. Methods are compared
    by tests/api/matrix."""
    source = (ROOT / "src" / "http" / "routes" / "mod.rs").read_text()
    constants = dict(re.findall(r'const (\w+): &str = "([^"]+)";', source))
    paths = re.findall(r'resource\(\s*("[^"]+"|[A-Z]+)[,)]', source)
    if len(paths) < 20:
        sys.exit("src/http/routes/mod.rs: found hardly any routes; has the format changed?")
    return {constants.get(path, path.strip('"')) for path in paths}


def compare_routes(document):
    table = route_table()
    required, documented = table - set(UNDOCUMENTED), set(document["paths"])
    for path in sorted(required - documented):
        yield f"{path}: in the route table but not in the document"
    for path in sorted(documented - required):
        yield f"{path}: in the document but not in the route table"
    for path in sorted(set(UNDOCUMENTED) - table):
        yield f"{path}: in this script but not in the route table"


def dangling_references(document):
    """Finds dangling references, on which the validator would crash."""
    schemas = document["components"]["schemas"]
    for reference in sorted(set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document)))):
        if reference not in schemas:
            yield f"{reference}: referenced but not in components/schemas"


def schema_errors(document):
    from openapi_spec_validator import OpenAPIV31SpecValidator

    for error in OpenAPIV31SpecValidator(document).iter_errors():
        yield f"{'/'.join(map(str, error.absolute_path))}: {error.message}"


def examples(document):
    """Yields every example with a name and its schema."""
    for name, schema in document["components"]["schemas"].items():
        for field, property in schema.get("properties", {}).items():
            if "example" in property:
                yield f"{name}.{field}", property["example"], property
    for path, item in document["paths"].items():
        for method, operation in item.items():
            for status, response in operation["responses"].items():
                for content in response.get("content", {}).values():
                    if "example" in content:
                        name = f"{method} {path} {status}"
                        yield name, content["example"], content["schema"]


def wrong_examples(document):
    from jsonschema import Draft202012Validator, FormatChecker

    for name, example, schema in examples(document):
        # With the components, so that references resolve.
        whole = {**schema, "components": document["components"]}
        checker = Draft202012Validator(whole, format_checker=FormatChecker())
        for error in checker.iter_errors(example):
            yield f"{name}: the example does not match: {error.message}"


def validate(options):
    """Validates the document and returns whether it is valid."""
    command = [options.binary, "openapi"]
    document = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    if not document["openapi"].startswith("3.1."):
        sys.exit(f"OpenAPI {document['openapi']}: 3.1 is required")
    problems = list(dangling_references(document)) or [
        *schema_errors(document),
        *wrong_examples(document),
        *compare_routes(document),
    ]
    for problem in problems:
        print(problem)
    if problems:
        return False
    operations = sum(len(item) for item in document["paths"].values())
    counts = [operations, len(document["components"]["schemas"])]
    counts.append(len(list(examples(document))))
    text = "valid OpenAPI {}: {} operations, {} schemas, {} examples"
    print(text.format(document["openapi"], *counts))
    return True


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


def run_schemathesis(name, base, options, *arguments, environment=None):
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
        yield run_schemathesis("without a credential", base, options, "--warnings=off")
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
            arguments = [guarded, "--warnings=off"]
            yield run_schemathesis("signed in", base, options, *arguments, environment=environment)
    with running(options.binary, TOKENHOUSE_OAUTH_STRICT_STATUS="true") as base:
        # Warnings are off: the 400 of a wrong password looks like that of an invalid form.
        yield run_schemathesis("strict statuses", base, options, "--include-path=/token", "--warnings=off")


def fuzz(options):
    """Runs schemathesis and returns whether all checks passed."""
    results = list(run_all(options))
    print(f"{sum(count for count, _ in results)} requests in {len(results)} runs")
    # A run without requests has tested nothing.
    return all(count > 0 and passed for count, passed in results)


def main():
    parser = argument_parser(__doc__)
    parser.add_argument("check", choices=["validate", "fuzz"])
    parser.add_argument("--max-examples", type=int, default=1000, help="fuzz: per operation")
    parser.add_argument("--seed", type=int, default=1, help="fuzz: default 1")
    options = parser.parse_args()
    if options.check == "validate":
        enter_venv("openapi", ["openapi-spec-validator==0.9.0"])
        passed = validate(options)
    else:
        enter_venv("schemathesis", ["schemathesis==4.32.5"])
        passed = fuzz(options)
    sys.exit(0 if passed else 1)


main()
