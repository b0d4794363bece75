"""The command line."""

import argparse
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from . import report
from .contestant import Bare, Contestant, Setup
from .peers import DjangoKnox, Express, FastApiUsers, Tutorial
from .postgres import Postgres
from .processes import layout
from .report import Result
from .scenarios import check, flood, growth, sign_in, size
from .tokenhouse import StaticKey, TokenhousePostgres, TokenhouseSqlite
from .workspace import BenchmarkError

# In the order of the tables.
TOKENS: tuple[Contestant, ...] = (TokenhouseSqlite(), TokenhousePostgres())
OURS: tuple[Contestant, ...] = (Bare(), StaticKey(), *TOKENS)
PEERS: tuple[Contestant, ...] = (Tutorial(), FastApiUsers(), DjangoKnox(), Express())

SCENARIOS = {
    "check": "token checks",
    "sign-in": "sign-ins with the right password",
    "flood": "token checks during a flood of wrong passwords",
    "growth": "the same work on databases of increasing size",
    "size": "program size, memory, start time",
    "all": "all of these",
    "report": "write BENCHMARKS.md and the plots from the saved results",
}

SIGN_IN_CLIENTS = 64
SIZES = (10_000, 100_000, 1_000_000)
LARGE = 10_000_000


def main() -> int:
    """Runs the scenario of the command line and returns the exit status."""
    # Exit through the `finally` blocks, which stop the servers.
    signal.signal(signal.SIGTERM, lambda *_signal: sys.exit(143))
    options = _parser().parse_args()
    cores = layout(options.cores)
    setup = Setup(options.rows, cores, Postgres(cores.servers), options.binary)
    try:
        _run(options, setup)
    except BenchmarkError as error:
        print(f"bench/run: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        setup.postgres.stop()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bench/run",
        description="Measures Tokenhouse and its alternatives.",
        epilog="scenarios: " + "; ".join(f"{name}: {what}" for name, what in SCENARIOS.items()),
    )
    parser.add_argument("scenario", nargs="?", default="check", choices=SCENARIOS)
    add = parser.add_argument
    add("--only", metavar="NAMES", help="contestants or prefixes of their names, comma-separated")
    add("--skip-peers", action="store_true", help="only Tokenhouse and the bare handler")
    add("--rounds", type=int, default=5, help="default: %(default)s")
    add("--seconds", type=float, help="length of a measurement; scenarios have defaults")
    add("--rows", type=int, default=1_000_000, help="users and tokens, default: %(default)s")
    add("--clients", type=_counts, default=[64, 256, 1000], metavar="N,...",
        help="flood: numbers of clients, default: 64,256,1000")
    add("--pause-ms", type=int, default=0,
        help="flood: delay of a client after a 429 or 503, default: %(default)s")
    add("--large", action="store_true", help=f"growth: also {LARGE:,} users")
    add("--cold-build", action="store_true", help="size: also time a clean build")
    add("--cores", choices=["apart", "all"], default="apart",
        help="servers and load generator on separate halves of the cores, or both on all")
    add("--binary", type=Path, help="measure this program instead of building one")
    add("--save", action="store_true", help="save the results; write BENCHMARKS.md and the plots")
    return parser


def _counts(text: str) -> list[int]:
    return [int(count) for count in text.split(",")]


def _run(options: argparse.Namespace, setup: Setup) -> None:
    if options.scenario == "report":
        report.write()
        return
    names = RUNNERS if options.scenario == "all" else [options.scenario]
    for name in names:
        result = RUNNERS[name](options, setup)
        print(f"\n{result.text()}", flush=True)
        if options.save:
            result.save()
    if options.save:
        report.write()


def _check(options: argparse.Namespace, setup: Setup) -> Result:
    contestants = select(options, [*OURS, *PEERS])
    prepare(setup, contestants)
    return check.run(setup, contestants, options.rounds, options.seconds or 5)


def _flood(options: argparse.Namespace, setup: Setup) -> Result:
    # Peers take part only when named: the scenario tests what Tokenhouse promises.
    contestants = select(options, [*TOKENS, *PEERS] if options.only else TOKENS)
    prepare(setup, contestants)
    return flood.run(setup, contestants, options.clients, options.seconds or 20, options.pause_ms)


def _sign_in(options: argparse.Namespace, setup: Setup) -> Result:
    contestants = select(options, [*TOKENS, *PEERS])
    prepare(setup, contestants)
    return sign_in.run(setup, contestants, SIGN_IN_CLIENTS, options.seconds or 30)


def _growth(options: argparse.Namespace, setup: Setup) -> Result:
    contestants = select(options, TOKENS)
    for contestant in contestants:
        contestant.build(setup)
    sizes = [size for size in SIZES if size <= options.rows]
    if options.large:
        sizes.append(LARGE)
    return growth.run(setup, contestants, sizes, options.seconds or 5)


def _size(options: argparse.Namespace, setup: Setup) -> Result:
    contestants = select(options, [*OURS, *PEERS])
    setup = replace(setup, rows=min(setup.rows, SIZES[0]))
    prepare(setup, contestants)
    return size.run(setup, contestants, options.cold_build)


RUNNERS = {
    "check": _check,
    "sign-in": _sign_in,
    "flood": _flood,
    "growth": _growth,
    "size": _size,
}


def select(options: argparse.Namespace, candidates: Sequence[Contestant]) -> list[Contestant]:
    """Returns the candidates that the options select."""
    if options.skip_peers:
        candidates = [each for each in candidates if each not in PEERS]
    if not options.only:
        return list(candidates)
    prefixes = tuple(options.only.split(","))
    selected = [each for each in candidates if each.name.startswith(prefixes)]
    if not selected:
        names = ", ".join(each.name for each in candidates)
        raise BenchmarkError(f"--only {options.only}: the contestants are {names}")
    return selected


def prepare(setup: Setup, contestants: list[Contestant]) -> None:
    """Builds and seeds every contestant before the first measurement."""
    for contestant in contestants:
        print(f"building {contestant.name} ...", flush=True)
        contestant.build(setup)
        contestant.seed(setup)
