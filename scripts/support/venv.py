"""Virtual environments for the scripts that need packages from PyPI."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def enter(name, packages):
    """Runs the calling script again inside target/venvs/<name>, made on the first run, with
    exactly these packages asked for. Returns inside it."""
    venv = ROOT / "target" / "venvs" / name
    if Path(sys.prefix).resolve() == venv.resolve():
        return
    python = venv / "bin" / "python"
    # Written last, so that an installation that broke off, or one of other versions, is redone.
    stamp = venv / "packages.txt"
    wanted = "\n".join(packages)
    if not stamp.exists() or stamp.read_text() != wanted:
        subprocess.run([sys.executable, "-m", "venv", "--clear", venv], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
        stamp.write_text(wanted)
    os.execv(python, [python, *sys.argv])
