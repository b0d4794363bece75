"""Programs of Debian that scripts need."""

import fcntl
import os
import shutil
import subprocess
import sys
from typing import NoReturn


def program(name: str, package: str) -> str:
    """Returns the path of a program, installing Debian's package if possible."""
    return shutil.which(name) or (install(package) and shutil.which(name)) or missing(package)


def install(package: str) -> bool:
    """Installs a package of Debian, and returns whether that is possible here."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return False
    quiet = ["--quiet", "--quiet", "--yes", "--no-install-recommends"]
    # Of two installations at once, also of two scripts, one would fail.
    with open(__file__) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for command in (["apt-get", "update", "--quiet"], ["apt-get", "install", *quiet, package]):
            subprocess.run(command, check=True, stdout=sys.stderr)
    return True


def missing(package: str) -> NoReturn:
    sys.exit(f"install {package} first")
