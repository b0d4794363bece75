"""Virtual environments, made once for each list of packages."""

import sys
from pathlib import Path

from .failure import BenchmarkError
from .paths import LOGS, WORK
from .processes import run_logged


def python(name: str, requirements: Path) -> Path:
    """The interpreter of the environment with these packages, made unless it is there."""
    venv = WORK / "venvs" / name
    wanted = requirements.read_text()
    # Written last, so that an installation that broke off, or one of other versions, is redone.
    stamp = venv / "requirements.txt"
    if not stamp.exists() or stamp.read_text() != wanted:
        log = LOGS / f"venv-{name}.log"
        run_logged([sys.executable, "-m", "venv", "--clear", str(venv)], log)
        pip = [str(venv / "bin" / "python"), "-m", "pip", "install", "--quiet"]
        run_logged([*pip, "-r", str(requirements)], log)
        stamp.write_text(wanted)
    return venv / "bin" / "python"


def versions(requirements: Path, packages: tuple[str, ...]) -> dict[str, str]:
    """Of some packages, as they are pinned."""
    pins = dict(
        line.split("==")
        for line in requirements.read_text().splitlines()
        if "==" in line and not line.startswith("#")
    )
    missing = [package for package in packages if package not in pins]
    if missing:
        raise BenchmarkError(f"{requirements} does not pin {', '.join(missing)}")
    return {package: pins[package] for package in packages}
