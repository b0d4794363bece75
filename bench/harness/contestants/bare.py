"""The floor: an actix-web handler that checks nothing."""

from pathlib import Path

from ..paths import BENCH, HELPERS_TARGET, LOGS
from ..people import user_json
from ..processes import run_logged
from ..setup import Setup
from .base import Command, Contestant, Server

PROGRAM = HELPERS_TARGET / "release" / "bench-bare"
BCRYPT_PROGRAM = HELPERS_TARGET / "release" / "bench-bcrypt"


def build_helper(crate: str) -> None:
    """Builds one of the harness's own crates."""
    manifest = BENCH / crate / "Cargo.toml"
    command = ["cargo", "build", "--release", "--locked", "--manifest-path", str(manifest)]
    command += ["--target-dir", str(HELPERS_TARGET)]
    run_logged(command, LOGS / f"build-{crate}.log")


class Bare(Contestant):
    """Answers everybody with the same user."""

    name = "bare"
    title = "bare actix-web handler"
    note = "the same bytes from memory, no check"

    def build(self, setup: Setup) -> None:
        build_helper("bare")

    def installed(self, setup: Setup) -> Path:
        return PROGRAM

    def command(self, setup: Setup, port: int, workers: int) -> Command:
        return Command([str(PROGRAM), str(port), str(workers), user_json(setup.rows)])

    def verify(self, setup: Setup, server: Server) -> None:
        """It refuses nobody, so there is nothing to tell apart."""
