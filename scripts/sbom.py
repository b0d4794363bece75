#!/usr/bin/env python3
"""Writes the software bill of materials of the release binary as CycloneDX 1.6 JSON.

    scripts/sbom.py [--output FILE] [--licences FILE] [--features F,F] [--validate]

Lists every crate of the build for this platform and these features, with version, licence, checksum
and dependencies. Crates that are needed only to build have the scope "excluded". The C and JavaScript
code that crates bundle is listed too, which cargo-cyclonedx cannot do. The output depends only on
Cargo.lock. `--licences` also writes the licence texts of everything in the binary, which packages
must contain. `--validate` checks it against the CycloneDX schema, with a package that the first run
installs into target/venvs/cyclonedx.
"""

import argparse
import hashlib
import json
import re
import subprocess
import sys
import tomllib
import uuid
from pathlib import Path
from typing import Any

from support.server import ROOT, enter_venv

PACKAGE = "tokenhouse"

Crate = tuple[str, str]
Component = dict[str, Any]


def cargo(*arguments: str) -> str:
    command = ["cargo", *arguments, "--locked"]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def tree(edges: str, features: str) -> dict[Crate, set[Crate]]:
    """Returns the dependency graph, starting with our own crate."""
    lines = cargo(
        "tree", "--package", PACKAGE, "--features", features,
        "--edges", edges, "--prefix", "depth", "--format", " {p}",
    )
    graph: dict[Crate, set[Crate]] = {}
    path: list[Crate] = []
    for line in lines.splitlines():
        depth, name, version = line.split()[:3]
        crate = (name, version.removeprefix("v"))
        path[int(depth):] = [crate]
        graph.setdefault(crate, set())
        if len(path) > 1:
            graph[path[-2]].add(crate)
    return graph


def purl(crate: Crate) -> str:
    # A plus sign, as in 0.3.14+libpq-18.6, must be escaped in a URL.
    return f"pkg:cargo/{crate[0]}@{crate[1].replace('+', '%2B')}"


def checksums() -> dict[Crate, str]:
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text())
    return {
        (package["name"], package["version"]): package["checksum"]
        for package in lock["package"]
        if "checksum" in package
    }


def manifests(features: str) -> dict[Crate, dict[str, Any]]:
    metadata = cargo("metadata", "--format-version=1", "--features", features)
    packages = json.loads(metadata)["packages"]
    return {(package["name"], package["version"]): package for package in packages}


def component(crate: Crate, manifest: dict[str, Any], checksum: str | None) -> Component:
    described: Component = {
        "type": "library",
        "bom-ref": purl(crate),
        "name": crate[0],
        "version": crate[1],
        "purl": purl(crate),
    }
    if manifest["license"]:
        # "MIT/Apache-2.0" is the notation before SPDX expressions.
        expression = manifest["license"].replace("/", " OR ")
        described["licenses"] = [{"expression": expression}]
    if checksum:
        described["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    if manifest["repository"]:
        described["externalReferences"] = [{"type": "vcs", "url": manifest["repository"]}]
    return described


def bundled(name: str, version: str, expression: str) -> Component:
    reference = f"pkg:generic/{name}@{version}"
    return {
        "type": "library",
        "bom-ref": reference,
        "name": name,
        "version": version,
        "purl": reference,
        "licenses": [{"expression": expression}],
    }


def first(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    if not found:
        sys.exit(f"sbom: no version matches {pattern!r}")
    return found[1]


def bundled_components(crate: Crate, manifest: dict[str, Any]) -> list[Component]:
    """Returns the code in other languages that a crate adds to the binary."""
    folder = Path(manifest["manifest_path"]).parent
    match crate[0]:
        case "libsqlite3-sys":
            header = (folder / "sqlite3" / "sqlite3.h").read_text()
            version = first(r'#define SQLITE_VERSION\s+"([\d.]+)"', header)
            return [bundled("sqlite", version, "blessing")]
        case "pq-src":
            return [bundled("libpq", first(r"\+libpq-([\d.]+)", crate[1]), "PostgreSQL")]
        case "openssl-src":
            return [bundled("openssl", first(r"\+([\d.]+)", crate[1]), "Apache-2.0")]
        case "tokenhouse":
            pack = (ROOT / "scripts" / "release.sh").read_text()
            return [
                bundled("redoc", first(r" version=([\d.]+)", pack), "MIT"),
                bundled("swagger-ui", first(r"swagger_version=([\d.]+)", pack), "Apache-2.0"),
            ]
        case _:
            return []


def bill(features: str) -> dict[str, Any]:
    graph = tree("normal,build", features)
    linked = tree("normal,no-proc-macro", features)
    sums, packages = checksums(), manifests(features)
    own = next(iter(graph))
    components, dependencies = [], []
    for crate in sorted(graph):
        parts = bundled_components(crate, packages[crate])
        described = component(crate, packages[crate], sums.get(crate))
        if crate == own:
            main = described | {"type": "application"}
        else:
            described["scope"] = "required" if crate in linked else "excluded"
            components.append(described)
        # C code is in the binary, though the crate that bundles it may be needed only to build.
        components += [part | {"scope": "required"} for part in parts]
        needed = sorted([purl(other) for other in graph[crate]] + [p["bom-ref"] for p in parts])
        dependencies.append({"ref": purl(crate), "dependsOn": needed})
        dependencies += [{"ref": part["bom-ref"], "dependsOn": []} for part in parts]
    digest = hashlib.sha256((ROOT / "Cargo.lock").read_bytes() + features.encode()).hexdigest()
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, purl(own) + digest)}",
        "version": 1,
        "metadata": {"component": main},
        "components": components,
        "dependencies": dependencies,
    }


LICENCE_FILE = re.compile(r"(LICEN[CS]E|COPYING|COPYRIGHT|NOTICE|UNLICENSE)", re.IGNORECASE)


def licence_texts(folder: Path) -> list[str]:
    """Returns the licence files of a crate, also of the C code in it."""
    files = [*folder.glob("*"), *folder.glob("*/*")]
    found = [file for file in files if LICENCE_FILE.match(file.name) and file.is_file()]
    return [file.read_text(errors="replace").strip() for file in sorted(found)]


def licences(features: str) -> str:
    """Returns the licence texts of the crates in the binary, each text once, and our notices."""
    packages = manifests(features)
    linked = tree("normal,no-proc-macro", features)
    # Their code is in the binary, though these crates are needed only to build.
    code = {"libsqlite3-sys", "pq-src", "openssl-src"}
    linked_too = [crate for crate in tree("normal,build", features) if crate[0] in code]
    users: dict[str, list[str]] = {}
    for crate in sorted({*linked, *linked_too}):
        if packages[crate]["source"] is None:
            continue  # Our own crates.
        folder = Path(packages[crate]["manifest_path"]).parent
        for text in licence_texts(folder) or ["(The package contains no licence text.)"]:
            name = f"{crate[0]} {crate[1]} ({packages[crate]['license']})"
            users.setdefault(text, []).append(name)
    line = "-" * 80
    parts = [f"{line}\n{chr(10).join(names)}\n{line}\n\n{text}\n" for text, names in users.items()]
    start = "The licences of the crates in Tokenhouse, and of the standard library of Rust (MIT OR Apache-2.0).\n"
    return "\n".join([start, *parts, (ROOT / "NOTICES.md").read_text()])


def validate(text: str) -> str | None:
    """Returns the violation of the schema, if any."""
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    return None if error is None else str(error)


def problems(bom: dict[str, Any]) -> list[str]:
    """Checks what a schema cannot express."""
    listed = [bom["metadata"]["component"], *bom["components"]]
    references = [part["bom-ref"] for part in listed]
    found = [f"{ref}: listed twice" for ref in set(references) if references.count(ref) > 1]
    named = {ref for entry in bom["dependencies"] for ref in [entry["ref"], *entry["dependsOn"]]}
    found += [f"{ref}: required but not listed" for ref in named - set(references)]
    found += [f"{ref}: listed but not required" for ref in set(references) - named]
    found += [f"{part['bom-ref']}: has no licence" for part in listed if "licenses" not in part]
    return sorted(found)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, help="default: standard output")
    parser.add_argument("--licences", type=Path, help="also write the licence texts to this file")
    parser.add_argument("--features", default="", help="the features of the build, as for cargo")
    parser.add_argument("--validate", action="store_true", help="also validate against the schema")
    args = parser.parse_args()
    if args.validate:
        enter_venv("cyclonedx", ["cyclonedx-python-lib[json-validation]==11.12.0"])
    bom = bill(args.features)
    text = json.dumps(bom, indent=2) + "\n"
    found = problems(bom)
    if args.validate and (error := validate(text)):
        found.append(error)
    if args.output:
        args.output.write_text(text)
    else:
        print(text, end="")
    if args.licences:
        args.licences.write_text(licences(args.features))
    in_binary = sum(part["scope"] == "required" for part in bom["components"])
    print(f"{len(bom['components'])} components, {in_binary} in the binary", file=sys.stderr)
    for problem in found:
        print(f"sbom: {problem}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
