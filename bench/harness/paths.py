"""Where everything is."""

import os
from pathlib import Path

BENCH = Path(__file__).resolve().parent.parent
ROOT = BENCH.parent

# All that is made and not kept: builds, virtual environments, databases, logs.
WORK = BENCH / "work"
DATA = WORK / "data"
LOGS = WORK / "logs"

# All that is kept: what was measured, and what is made of it.
RESULTS = BENCH / "results"
PLOTS = BENCH / "plots"
REPORT = ROOT / "BENCHMARKS.md"

LUA = BENCH / "lua"
PEERS = BENCH / "peers"
MIGRATIONS = ROOT / "migrations"

# Of the two small crates, so that their builds do not wait for a build of the server.
HELPERS_TARGET = WORK / "cargo"


def server_target() -> Path:
    """Where cargo puts the server."""
    return Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
