#!/usr/bin/env python3
"""Generates clients/js/api.d.ts, the types of the routes, from the OpenAPI document.

    scripts/js-types.py [--check] [--binary PATH]

With --check it writes nothing, and fails if the file is out of date. Fails for anything in the
document that it does not know, rather than write a type that is wrong. Needs no packages.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator

from support.server import ROOT, argument_parser

TYPES = ROOT / "clients" / "js" / "api.d.ts"
HEAD = """\
// Generated from the OpenAPI document by scripts/js-types.py: do not edit.

"""
TAIL = """
export type Route = keyof Routes;

type Needed<T> = { [K in keyof T]-?: {} extends Pick<T, K> ? never : K }[keyof T];

/** The arguments of a route. They may be omitted if none is required. */
export type Input<R extends Route> = [Needed<Routes[R]["input"]>] extends [never]
  ? [input?: Routes[R]["input"]]
  : [input: Routes[R]["input"]];

/** The JSON of a successful response. */
export type Response<R extends Route> = Routes[R]["response"];
"""
BODIES = {"application/json": "body", "application/x-www-form-urlencoded": "form"}
PRIMITIVES = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean", "null": "null"}
# Restrictions, and texts for people, which are no part of a type.
IGNORED = {"default", "description", "example", "format", "pattern"}
IGNORED |= {"maximum", "minimum", "maxLength", "minLength", "maxItems", "minItems"}


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    command = [options.binary, "openapi"]
    # With mail, so that its routes are described.
    settings = {"TOKENHOUSE_MAIL": "log", "TOKENHOUSE_PUBLIC_URL": "https://auth.example"}
    environment = {**os.environ, **settings}
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment)
    document = json.loads(printed.stdout)
    types = HEAD + "\n".join([*schemas(document), *routes(document)]) + "\n" + TAIL
    if not options.check:
        TYPES.write_text(types)
    elif not TYPES.exists() or TYPES.read_text() != types:
        sys.exit(f"{TYPES.relative_to(ROOT)} is out of date: run scripts/js-types.py")


def schemas(document: dict) -> Iterator[str]:
    yield "export interface Schemas {"
    for name, schema in sorted(document["components"]["schemas"].items()):
        yield from comment(schema.get("description"), "  ")
        yield f"  {name}: {type_of(schema, '  ')};"
    yield "}\n"


def routes(document: dict) -> Iterator[str]:
    yield "export interface Routes {"
    for path, item in sorted(document["paths"].items()):
        for method, operation in item.items():
            yield from comment(operation.get("description") or operation.get("summary"), "  ")
            yield f'  "{method.upper()} {path}": {{'
            yield f"    input: {input_of(operation)};"
            yield f"    response: {response_of(operation)};"
            yield "  };"
    yield "}"


def input_of(operation: dict) -> str:
    """The parameters, grouped as in `path: { id: number }`, and the body."""
    groups: dict[str, list[dict]] = {}
    for parameter in operation.get("parameters", []):
        groups.setdefault(parameter["in"], []).append(parameter)
    members = []
    for place, parameters in groups.items():
        properties = {parameter["name"]: parameter["schema"] for parameter in parameters}
        required = [parameter["name"] for parameter in parameters if parameter.get("required")]
        schema = {"type": "object", "properties": properties, "required": required}
        name = {"header": "headers"}.get(place, place)
        members.append(f"{name}{'' if required else '?'}: {type_of(schema, '    ')}")
    body = operation.get("requestBody", {"content": {}})
    for media_type, content in body["content"].items():
        optional = "" if body.get("required") else "?"
        members.append(f"{BODIES[media_type]}{optional}: {type_of(content['schema'], '    ')}")
    return f"{{ {'; '.join(members)} }}" if members else "{}"


def response_of(operation: dict) -> str:
    """The JSON of the responses with 2xx."""
    found = set()
    for status, response in operation["responses"].items():
        if status.startswith("2"):
            content = response.get("content", {})
            schema = content.get("application/json", {}).get("schema")
            # Text, such as that of the metrics, is not JSON.
            found.add(type_of(schema, "    ") if schema else "undefined")
    return " | ".join(sorted(found))


def type_of(schema: dict, indent: str) -> str:
    unknown = set(schema) - IGNORED - {"type", "properties", "required", "items", "$ref", "oneOf", "allOf", "enum"}
    if unknown:
        sys.exit(f"the generator does not know {sorted(unknown)}")
    if "$ref" in schema:
        return f'Schemas["{schema["$ref"].rpartition("/")[2]}"]'
    if "oneOf" in schema:
        return " | ".join(type_of(option, indent) for option in schema["oneOf"])
    if "allOf" in schema:
        return " & ".join(type_of(part, indent) for part in schema["allOf"])
    if "enum" in schema:
        return " | ".join(json.dumps(value) for value in schema["enum"])
    if "type" not in schema:
        return "unknown"
    names = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return " | ".join(named(name, schema, indent) for name in names)


def named(name: str, schema: dict, indent: str) -> str:
    if name == "array":
        return f"Array<{type_of(schema['items'], indent)}>"
    if name != "object":
        return PRIMITIVES[name]
    if "properties" not in schema:
        return "Record<string, unknown>"
    return "\n".join(["{", *properties(schema, indent + "  "), f"{indent}}}"])


def properties(schema: dict, indent: str) -> Iterator[str]:
    for name, member in schema["properties"].items():
        yield from comment(member.get("description"), indent)
        key = name if name.isidentifier() else json.dumps(name)
        optional = "" if name in schema.get("required", []) else "?"
        yield f"{indent}{key}{optional}: {type_of(member, indent)};"


def comment(text: str | None, indent: str) -> Iterator[str]:
    if text:
        yield f"{indent}/** {text.replace('*/', '* /')} */".replace("\n", f"\n{indent} * ").replace(" * \n", " *\n")


main()
