"""The command line."""

import argparse
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from . import report
from .contestants import OURS, PEERS, TOKENS, Contestant
from .failure import BenchmarkError
from .machine import layout
from .results import Result
from .scenarios import check, flood, growth, sign_in, size
from .setup import Postgres, Setup

SCENARIOS = {
    "check": "token checks of everybody",
    "sign-in": "sign-ins with the right password",
    "flood": "token checks while wrong passwords pour in",
    "growth": "the same work on ever larger databases",
    "size": "programs, memory, time to start",
    "all": "all of these",
    "report": "BENCHMARKS.md and the plots anew from what was kept with --save",
}

SIGN_IN_CLIENTS = 64
SIZES = (10_000, 100_000, 1_000_000)
LARGE = 10_000_000


def main() -> int:
    """Runs what is asked for; returns the exit status."""
    # So that a run that is told to end ends its servers first.
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
        description="Measures Tokenhouse and what people use in its place.",
        epilog="scenarios: " + "; ".join(f"{name}: {what}" for name, what in SCENARIOS.items()),
    )
    parser.add_argument("scenario", nargs="?", default="check", choices=SCENARIOS)
    add = parser.add_argument
    add("--only", metavar="NAMES", help="contestants, by commas, or how their names begin")
    add("--skip-peers", action="store_true", help="only Tokenhouse and the bare handler")
    add("--rounds", type=int, default=5, help="default: %(default)s")
    add("--seconds", type=float, help="of each measurement; each scenario has its own default")
    add("--rows", type=int, default=1_000_000, help="users and tokens, default: %(default)s")
    add("--clients", type=_counts, default=[64, 256, 1000], metavar="N,...",
        help="flood: how many clients, default: 64,256,1000")
    add("--pause-ms", type=int, default=0,
        help="flood: what a client waits after a 429 or 503, default: %(default)s")
    add("--large", action="store_true", help=f"growth: {LARGE:,} users too")
    add("--cold-build", action="store_true", help="size: time a build from nothing too")
    add("--cores", choices=["apart", "all"], default="apart",
        help="servers and load generator on half of the cores each, or on all")
    add("--binary", type=Path, help="a tokenhouse to measure in place of building one")
    add("--save", action="store_true", help="keep the figures; write BENCHMARKS.md and the plots")
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
    contestants = chosen(options, [*OURS, *PEERS])
    prepare(setup, contestants)
    return check.run(setup, contestants, options.rounds, options.seconds or 5)


def _flood(options: argparse.Namespace, setup: Setup) -> Result:
    # Peers only when they are named: the scenario is about what Tokenhouse promises.
    contestants = chosen(options, [*TOKENS, *PEERS] if options.only else TOKENS)
    prepare(setup, contestants)
    return flood.run(setup, contestants, options.clients, options.seconds or 20, options.pause_ms)


def _sign_in(options: argparse.Namespace, setup: Setup) -> Result:
    contestants = chosen(options, [*TOKENS, *PEERS])
    prepare(setup, contestants)
    return sign_in.run(setup, contestants, SIGN_IN_CLIENTS, options.seconds or 30)


def _growth(options: argparse.Namespace, setup: Setup) -> Result:
    contestants = chosen(options, TOKENS)
    for contestant in contestants:
        contestant.build(setup)
    sizes = [size for size in SIZES if size <= options.rows]
    if options.large:
        sizes.append(LARGE)
    return growth.run(setup, contestants, sizes, options.seconds or 5)


def _size(options: argparse.Namespace, setup: Setup) -> Result:
    contestants = chosen(options, [*OURS, *PEERS])
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


def chosen(options: argparse.Namespace, candidates: Sequence[Contestant]) -> list[Contestant]:
    """Those among the candidates whom the options leave."""
    if options.skip_peers:
        candidates = [each for each in candidates if each not in PEERS]
    if not options.only:
        return list(candidates)
    starts = tuple(options.only.split(","))
    found = [each for each in candidates if each.name.startswith(starts)]
    if not found:
        names = ", ".join(each.name for each in candidates)
        raise BenchmarkError(f"--only {options.only}: there are {names}")
    return found


def prepare(setup: Setup, contestants: list[Contestant]) -> None:
    """Builds and fills everything before anything is measured."""
    for contestant in contestants:
        print(f"building {contestant.name} ...", flush=True)
        contestant.build(setup)
        contestant.seed(setup)
