"""Files and folders of the benchmarks, build steps, and virtual environments."""

import os
import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).resolve().parent.parent
ROOT = BENCH.parent

# Everything that can be rebuilt: builds, virtual environments, databases, logs.
WORK = BENCH / "work"
DATA = WORK / "data"
LOGS = WORK / "logs"

# What a run with --save writes.
RESULTS = BENCH / "results"
PLOTS = BENCH / "plots"
REPORT = ROOT / "BENCHMARKS.md"

PEERS = BENCH / "peers"
MIGRATIONS = ROOT / "migrations"

# Build directory of bench/bare and bench/load, separate so that a server build does not block them.
HELPERS_TARGET = WORK / "cargo"


def server_target() -> Path:
    """Cargo's target directory for the server."""
    return Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()


class BenchmarkError(Exception):
    """A figure would be wrong or cannot be measured. The message is shown to the user."""


def run_logged(command: list[str], log: Path, **options) -> None:
    """Runs a build step. Its output is shown only when it fails."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as file:
        done = subprocess.run(
            command, stdout=file, stderr=subprocess.STDOUT, check=False, **options
        )
    if done.returncode != 0:
        tail = "\n".join(log.read_text().splitlines()[-30:])
        raise BenchmarkError(f"{' '.join(map(str, command))} failed, see {log}:\n{tail}")


def build_helper(crate: str) -> None:
    """Builds bench/bare or bench/load."""
    manifest = BENCH / crate / "Cargo.toml"
    command = ["cargo", "build", "--release", "--locked", "--manifest-path", str(manifest)]
    command += ["--target-dir", str(HELPERS_TARGET)]
    run_logged(command, LOGS / f"build-{crate}.log")


def venv_python(name: str, requirements: Path) -> Path:
    """Returns the interpreter of a virtual environment, created on first use."""
    venv = WORK / "venvs" / name
    required = requirements.read_text()
    # Written last, so that an interrupted or outdated installation is repeated.
    stamp = venv / "requirements.txt"
    if not stamp.exists() or stamp.read_text() != required:
        log = LOGS / f"venv-{name}.log"
        run_logged([sys.executable, "-m", "venv", "--clear", str(venv)], log)
        pip = [str(venv / "bin" / "python"), "-m", "pip", "install", "--quiet"]
        run_logged([*pip, "-r", str(requirements)], log)
        stamp.write_text(required)
    return venv / "bin" / "python"


def pinned_versions(requirements: Path, packages: tuple[str, ...]) -> dict[str, str]:
    """Returns the pinned versions of some packages."""
    pins = dict(
        line.split("==")
        for line in requirements.read_text().splitlines()
        if "==" in line and not line.startswith("#")
    )
    missing = [package for package in packages if package not in pins]
    if missing:
        raise BenchmarkError(f"{requirements} does not pin {', '.join(missing)}")
    return {package: pins[package] for package in packages}
