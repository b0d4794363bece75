#!/usr/bin/env python3
"""Compares `tokenhouse hash` and `tokenhouse verify` with passlib 1.7.4 in both directions.

    scripts/fuzz-passlib.py [--binary PATH] [--rounds N] [--seconds S] [--seed N]

A round takes one password: passlib and the program hash it, then both verify it, unchanged and
slightly changed, against either hash and a damaged one. All results must be equal, including the kind
of error. Prints the differences; the exit status is 1 if there are any. The first run installs passlib
into target/venvs/passlib.

Hashes with NUL are not tested, since a command line cannot contain them. Bytes on standard input have
no type: valid UTF-8 (including surrogates) is passed to passlib as str, everything else as bytes.
"""

import collections
import concurrent.futures
import os
import random
import subprocess
import sys
import time
import warnings

from support.server import argument_parser, enter_venv

enter_venv("passlib", ["passlib==1.7.4", "bcrypt==4.0.1"])

from passlib import exc  # noqa: E402
from passlib.context import CryptContext  # noqa: E402
from passlib.hash import bcrypt  # noqa: E402

# passlib warns about each hash whose padding bits it clears.
warnings.simplefilter("ignore", exc.PasslibHashWarning)

CONTEXT = CryptContext(schemes=["bcrypt"])
# The first match counts: all of them are ValueErrors.
ERRORS = [
    (exc.UnknownHashError, "unknown-hash"),
    (exc.PasswordSizeError, "password-size"),
    (exc.PasswordValueError, "password-nul"),
    (UnicodeEncodeError, "not-utf8"),
    (ValueError, "malformed-hash"),
]
ALPHABET = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
IDENTS = ["2", "2a", "2b", "2y"]
MAX_COST = 8
MAX_PRINTED = 40
ROUNDS_PER_TASK = 25

ASCII = [chr(code) for code in range(1, 128)]
POOLS = [ASCII, ASCII, [chr(code) for code in range(0x80, 0x800)], list("é€😀\u0301\ufeff\uffff")]


def random_char(rng):
    if rng.random() < 0.05:
        code = rng.randrange(1, 0x110000)
        return "x" if 0xD800 <= code <= 0xDFFF else chr(code)
    return rng.choice(rng.choice(POOLS))


def random_length(rng):
    """Mostly near one of the limits."""
    near = rng.choice([0, 8, 8, 20, 72, 72, 72, 255, 1024, 1366, 2048, 4096])
    return max(0, near + rng.randrange(-4, 5))


def random_password(rng):
    """Bytes, mostly UTF-8."""
    length = random_length(rng)
    if rng.random() < 0.15:
        password = rng.randbytes(length).replace(b"\0", b"\1")
    elif rng.random() < 0.5:
        password = "".join(random_char(rng) for _ in range(length)).encode()
    else:
        char = random_char(rng).encode()
        password = (char * (length // len(char) + 1))[: length + rng.randrange(4)]
    return corrupt(rng, password)


def corrupt(rng, password):
    """Occasionally inserts something that passlib rejects."""
    at = rng.randrange(len(password) + 1)
    if rng.random() < 0.04:
        password = password[:at] + b"\0" + password[at:]
    if rng.random() < 0.04:
        surrogate = chr(rng.randrange(0xD800, 0xE000)).encode("utf-8", "surrogatepass")
        password = password[:at] + surrogate + password[at:]
    return password


def changed(rng, password):
    """A different password, often by a byte near the 72nd."""
    at = min(rng.choice([rng.randrange(len(password) + 1), 70, 71, 72]), len(password))
    byte = rng.randbytes(1) if rng.random() < 0.9 else b"\0"
    return rng.choice(
        [
            password[:at] + byte + password[at:],
            password[:at] + byte + password[at + 1 :],
            password[:at] + password[at + 1 :],
            password[:72],
            password[:71],
            password + password,
            b"",
        ]
    )


def as_python(password):
    """Converts the bytes to what passlib receives."""
    try:
        return password.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return password


def damaged(rng, hash):
    """The hash with a change that may or may not matter."""
    at = rng.randrange(len(hash) + 1)
    salt_end, head = len(hash) - 32, len(hash) - 56
    char = rng.choice([rng.choice(ALPHABET), rng.choice(ALPHABET), rng.choice("$=+-_ \n\u00e9\uff11\u0661")])
    cost = rng.choice(["04", "05", "4", "004", "+4", "00", "03", "32", "99", "0x", "", " 4", "\uff10\uff14", "4_"])
    ident = rng.choice([*IDENTS, "2x", "2z", "2A", "", "2bb", "1", "6"])
    return rng.choice(
        [
            hash[:at] + char + hash[at:],
            hash[:at] + char + hash[at + 1 :],
            hash[:at] + hash[at + 1 :],
            hash[:at],
            hash[:-1] + rng.choice(ALPHABET),
            hash[:salt_end] + rng.choice(ALPHABET) + hash[salt_end + 1 :],
            hash[:-31],
            hash[: head] + cost + hash[head + 2 :],
            "$" + ident + "$" + hash.split("$", 2)[2],
            hash + rng.choice([" ", "\n", "$", ".", hash]),
            rng.choice([" ", "\n", "$", "\ufeff"]) + hash,
        ]
    )


def is_too_expensive(hash):
    """Whether the damage has raised the cost."""
    field = hash.split("$", 3)[2] if hash.count("$") > 2 else ""
    return field.isdecimal() and MAX_COST < int(field) <= 31


def error_name(error):
    return next("error: " + name for kind, name in ERRORS if isinstance(error, kind))


def passlib_verifies(password, hash):
    try:
        return "true" if CONTEXT.verify(as_python(password), hash) else "false"
    except ValueError as error:
        return error_name(error)


def passlib_hashes(rng, password):
    ident, cost = rng.choice(IDENTS), rng.choice([4, 4, 4, 4, 4, 4, 5, 6])
    try:
        return bcrypt.using(ident=ident, rounds=cost).hash(as_python(password))
    except ValueError as error:
        return error_name(error)


class Program:
    EXITS = {"true": 0, "false": 1, "error": 2}

    def __init__(self, binary):
        self.binary = binary

    def run(self, password, *arguments):
        process = subprocess.run([self.binary, *arguments], input=password, capture_output=True)
        result = process.stdout.decode()
        expected = self.EXITS.get(result.strip().split(":")[0], 0)
        if process.returncode != expected or result.count("\n") != 1 or process.stderr:
            return f"{result!r}, exit {process.returncode}, {process.stderr!r}"
        return result.rstrip("\n")

    def verifies(self, password, hash):
        return self.run(password, "verify", "--", hash)

    def hashes(self, password):
        return self.run(password, "hash", "--cost", "4")


class Comparison:
    """The comparisons of one task."""

    def __init__(self, program, seed):
        self.program = program
        self.rng = random.Random(seed)
        self.counts = collections.Counter()
        self.differences = []

    def compare(self, kind, password, hash, ours, theirs):
        result = theirs if theirs.startswith(("true", "false", "error")) else "hash"
        self.counts[f"{kind}, {result}"] += 1
        if ours != theirs:
            self.differences.append(f"{kind}: {password!r} {hash!r}: {ours}, passlib {theirs}")

    def verify(self, kind, password, hash):
        if "\0" in hash or is_too_expensive(hash):
            return
        ours = self.program.verifies(password, hash)
        self.compare(kind, password, hash, ours, passlib_verifies(password, hash))

    def round(self):
        rng = self.rng
        password = random_password(rng)
        theirs, ours = passlib_hashes(rng, password), self.program.hashes(password)
        if theirs.startswith("error") or ours.startswith("error"):
            self.compare("hash", password, None, ours, theirs)
            hash = bcrypt.using(rounds=4).hash("x")
        else:
            # The salts differ, so the hashes do too: each program must verify the other's.
            form = "hash" if len(ours) == 60 and ours.startswith("$2b$04$") else ours
            self.compare("hash", password, None, form, "hash")
            self.verify("our hash", password, ours)
            self.verify("our hash, other password", changed(rng, password), ours)
            hash = theirs
        self.verify("their hash", password, hash)
        self.verify("their hash, other password", changed(rng, password), hash)
        self.verify("damaged hash", password, damaged(rng, hash))
        self.verify("damaged hash, other password", random_password(rng), damaged(rng, hash))


def task(program, seed, deadline):
    comparison = Comparison(program, seed)
    for _ in range(ROUNDS_PER_TASK):
        if time.monotonic() < deadline:
            comparison.round()
    return comparison


def main():
    parser = argument_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=5_000, help="default: %(default)s")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after this time")
    parser.add_argument("--seed", type=int, default=None, help="default: random")
    options = parser.parse_args()
    seed = random.randrange(10**9) if options.seed is None else options.seed
    print(f"seed {seed}")

    program, deadline = Program(options.binary.resolve()), time.monotonic() + options.seconds
    seeds = [f"{seed}/{number}" for number in range(-(-options.rounds // ROUNDS_PER_TASK))]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        tasks = list(pool.map(lambda each: task(program, each, deadline), seeds))

    counts = sum((each.counts for each in tasks), collections.Counter())
    differences = [text for each in tasks for text in each.differences]
    for kind, count in sorted(counts.items()):
        print(f"{count:8} {kind}")
    for difference in differences[:MAX_PRINTED]:
        print(difference)
    print(f"{counts.total()} results compared, {len(differences)} differ")
    return 1 if differences or not counts else 0


if __name__ == "__main__":
    sys.exit(main())
