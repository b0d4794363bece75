#!/usr/bin/env python3
"""Validates the output of `tokenhouse openapi` and compares it with the route table.

    scripts/validate-openapi.py [--binary PATH]

The document must be valid OpenAPI 3.1, every example must match its schema, and the paths must be
those of src/http/routes/mod.rs. The first run installs openapi-spec-validator into
target/venvs/openapi.
"""

import json
import re
import subprocess
import sys

from support.server import ROOT, argument_parser, enter_venv

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


def validate(document):
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


def main():
    options = argument_parser(__doc__).parse_args()
    command = [options.binary, "openapi"]
    document = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    if not document["openapi"].startswith("3.1."):
        sys.exit(f"OpenAPI {document['openapi']}: 3.1 is required")
    problems = list(dangling_references(document)) or [
        *validate(document),
        *wrong_examples(document),
        *compare_routes(document),
    ]
    for problem in problems:
        print(problem)
    if problems:
        sys.exit(1)
    operations = sum(len(item) for item in document["paths"].values())
    counts = [operations, len(document["components"]["schemas"])]
    counts.append(len(list(examples(document))))
    print("valid OpenAPI {}: {} operations, {} schemas, {} examples".format(document["openapi"], *counts))


enter_venv("openapi", ["openapi-spec-validator==0.9.0"])
main()
