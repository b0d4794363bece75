#!/usr/bin/env python3
"""Compares crates/email-address with pydantic's EmailStr on generated addresses.

Each address must be valid for both or for neither, and have the same normal form. Prints the
differences; the exit status is 1 if there are any.

    scripts/fuzz-email.py [--count N] [--seed S] [--binary PATH]

The first run installs pydantic into target/venvs/pydantic. Without --binary it builds the
example normalise_email.

Not counted as differences: addresses with characters that Unicode 18 and this Python's unicodedata
classify differently, that is code points assigned later (Cn in Python) and the four of RECLASSIFIED
below. The Rust crates and the idna package use Unicode 18; only the general category, bidi class and
NFC of Python itself are older.
"""

import argparse
import collections
import itertools
import json
import os
import random
import re
import subprocess
import sys
import unicodedata
from pathlib import Path

from support.server import ROOT, enter_venv

PACKAGES = ["pydantic==2.14.3", "email-validator==2.4.0", "idna==3.20"]
BATCH = 20_000
MAX_PRINTED = 40

# Marks that Unicode moved from the bidi class NSM to L after version 15.1.
RECLASSIFIED = set("\u1b3a\u1b3c\u1b42\U0001171e")


def build_example():
    command = ["cargo", "build", "--release", "--quiet", "--package", "pydantic-email"]
    command += ["--example", "normalise_email"]
    subprocess.run(command, cwd=ROOT, check=True)
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    return target / "release" / "examples" / "normalise_email"


def code_points():
    """Groups characters by category and bidi class, so that rare kinds are as frequent as common ones."""
    kinds = collections.defaultdict(list)
    for code in range(0x110000):
        if not 0xD800 <= code <= 0xDFFF:
            char = chr(code)
            kinds[unicodedata.category(char), unicodedata.bidirectional(char)].append(char)
    return list(kinds.values())


def scripts():
    """Alphabets whose letters can be combined, so that many labels are valid."""
    ranges = ["az", "az", "az", "09", "àÿ", "\u0391\u03c9", "\u0410\u044f", "\u05d0\u05ea"]
    ranges += ["\u0621\u064a", "\u0660\u0669", "\u06f0\u06f9", "\u0905\u0939", "\u093a\u094f"]
    ranges += ["\u3041\u3096", "\u30a1\u30ff", "\u4e00\u4fff", "\uac00\uacff", "\u1100\u11ff"]
    ranges += ["\u0300\u036f", "\uff01\uff5e", "\u0e01\u0e3a", "\u10a0\u10ff", "\u13a0\u13ff"]
    return [[chr(code) for code in range(ord(r[0]), ord(r[1]) + 1)] for r in ranges]


KINDS = code_points()
SCRIPTS = scripts()
ATEXT = "abcxyzABCXYZ0189!#$%&'*+-/=?^_`{|}~"
NASTY = (
    "\u00df\u03c2\u1e9e\u0130\u0131\u017f\u212a\u00b7\u0375\u05f3\u05f4\u30fb\u200c\u200d\u00ad\u034f"
    "\u3002\uff0e\uff61\u2024\u2025\ufe19\ufe52\u2488\uff20\ufe6b\u037e\u1fef\u226e\u0338\u0640\u3007"
    "\u06fd\u0f0b\u302e\u115f\u3164\ufe0f\u0345\u00a0\u2028\u2029\x85\x1c\x1f\x00\x7f\t\n\r\ufeff\ufffd"
)
SPECIAL = " .@<>\"'()[]\\,:;-_+=/%\t"
TLDS = ["com", "de", "co.uk", "COM", "museum", "test", "local", "localhost", "invalid", "arpa"]
TLDS += ["onion", "example", "123", "c0m", "com1", "1com", "xn--p1ai", "XN--P1AI", "рф", "中国", "c"]
TLDS += ["xn--fiqs8s", "مصر", "xn--wgbh1c", "קום", "xn--9dbq2a", "Test", "x.ONION", "-com", "com-"]
ROLES = ["info", "INFO", "Sales", "wWw", "postmaster", "abuse", "uucp", "in\uff46o", "\uff49nfo", "infos"]
NAMES = ["", "Bob", "Bob B.", '"Bob"', '"a" b', '"', '""', '"a"b"', "a\tb", "Zoë", "a,b", "e\u0301", "(c)"]


class Generator:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def any_char(self):
        roll = self.random.random()
        if roll < 0.3:
            return self.random.choice(self.random.choice(KINDS))
        if roll < 0.5:
            return self.uniform_char()
        if roll < 0.7:
            return self.random.choice(NASTY)
        if roll < 0.85:
            return self.random.choice(SPECIAL)
        return self.random.choice(self.random.choice(SCRIPTS))

    def uniform_char(self):
        code = self.random.randrange(0x110000 - 0x800)
        return chr(code if code < 0xD800 else code + 0x800)

    def length(self):
        """Mostly short, often near the limits of 63 and 64."""
        if self.random.random() < 0.9:
            return self.random.randint(1, 8)
        return self.random.choice([1, 2, 3, 30, 57, 58, 59, 60, 61, 62, 63, 64, 65, 120])

    def run_of(self, alphabet):
        return "".join(self.random.choices(alphabet, k=self.length()))

    def local(self):
        roll = self.random.random()
        if roll < 0.1:
            return self.random.choice(ROLES)
        if roll < 0.5:
            return ".".join(self.run_of(ATEXT) for _ in range(self.random.randint(1, 3)))
        if roll < 0.6:
            return '"' + self.run_of(ATEXT + SPECIAL) + '"'
        if roll < 0.7:
            return "".join(self.uniform_char() for _ in range(self.random.randint(1, 3)))
        return self.mutate(self.run_of(self.random.choice(SCRIPTS)))

    def label(self):
        roll = self.random.random()
        if roll < 0.25:
            return self.run_of("abcxyzABC019-")
        if roll < 0.5:
            return self.run_of(self.random.choice(SCRIPTS))
        if roll < 0.6:
            return self.run_of(self.random.choice(SCRIPTS)) + self.run_of(self.random.choice(SCRIPTS))
        if roll < 0.7:
            return self.mutate(self.run_of(self.random.choice(SCRIPTS)))
        if roll < 0.75:
            return self.contextual()
        if roll < 0.8:
            return "".join(self.uniform_char() for _ in range(self.random.randint(1, 3)))
        if roll < 0.85:
            prefix = self.random.choice(["xn--", "XN--", "xn-", "ab--", "ｘn--", "xn--xn--"])
            return prefix + self.run_of("abcxyz019-")
        return self.a_label()

    def contextual(self):
        """Characters with a contextual rule (RFC 5892 appendix A), in valid and invalid contexts."""
        around = ["l", "a", "α", "א", "ア", "中", "हि", "क्", "ب", "ـ", "٣", "۳", "1", ""]
        middle = self.random.choice("\u00b7\u0375\u05f3\u05f4\u30fb\u200c\u200d\u0660\u06f0\u0640")
        return self.random.choice(around) + middle + self.random.choice(around)

    def a_label(self):
        """A Punycode label, sometimes damaged."""
        text = self.contextual() if self.random.random() < 0.2 else self.run_of(self.random.choice(SCRIPTS))
        if self.random.random() < 0.3:
            text = self.mutate(text)
        encoded = "xn--" + text.encode("punycode").decode("ascii")
        roll = self.random.random()
        if roll < 0.1:
            return encoded.upper()
        if roll < 0.2:
            at = self.random.randrange(len(encoded) + 1)
            return encoded[:at] + self.random.choice("abz09-") + encoded[at:]
        if roll < 0.25:
            return encoded[:-1]
        return encoded

    def domain(self):
        labels = [self.label() for _ in range(self.random.choice([1, 1, 1, 1, 2, 3, 4]))]
        if self.random.random() < 0.9:
            labels.append(self.random.choice(TLDS[:5] if self.random.random() < 0.6 else TLDS))
        dot = self.random.choice("\u3002\uff0e\uff61") if self.random.random() < 0.05 else "."
        return dot.join(labels)

    def long_address(self):
        """An address around the limits of 254 octets, or 253 in the domain."""
        size = self.random.randint(245, 258)
        label = self.random.choice(["a" * 60, "b" * 63, "ü" * 20, "中" * 15, "ａ" * 40])
        domain = ".".join([label] * self.random.randint(1, 5) + ["com"])
        filler = self.random.choice(["a", "a", "é", "e\u0301", "中", "\U00020000"])
        if self.random.random() < 0.3:
            return "a@" + ("c." * 200)[: max(2, size - len(domain))] + domain
        missing = size - len(domain.encode()) - 1
        return filler * max(1, missing // len(filler.encode())) + "@" + domain

    def mutate(self, text):
        chars = list(text)
        for _ in range(self.random.choice([1, 1, 1, 2, 3])):
            at = self.random.randrange(len(chars) + 1)
            roll = self.random.random()
            if roll < 0.5:
                chars.insert(at, self.any_char())
            elif roll < 0.8 and at < len(chars):
                chars[at] = self.any_char()
            elif roll < 0.9 and at < len(chars):
                del chars[at]
            elif at < len(chars):
                chars.insert(at, chars[at])
        return "".join(chars)

    def address(self):
        if self.random.random() < 0.03:
            return self.long_address()
        text = self.local() + "@" + self.domain()
        roll = self.random.random()
        if roll < 0.12:
            name = self.random.choice(NAMES)
            name = self.mutate(name) if self.random.random() < 0.4 else name
            text = name + self.random.choice(["", " ", "\u2003", "\x1f"]) + "<" + text + ">"
            text = self.mutate(text) if self.random.random() < 0.2 else text
        elif roll < 0.15:
            text = self.random.choice([" ", "\x1c", "\u3000", "\u200b"]) + text + " "
        elif roll < 0.16:
            text += " " * self.random.randint(max(0, 2040 - len(text)), max(0, 2050 - len(text)))
        elif roll < 0.26:
            text = self.mutate(text)
        return text

    def addresses(self):
        """Yields addresses without repetition within a hundred thousand."""
        seen = set()
        while True:
            text = self.address()
            if text not in seen:
                seen.add(text)
                yield text
            if len(seen) > 100_000:
                seen.clear()


def expected(text):
    from pydantic.networks import validate_email
    from pydantic_core import PydanticCustomError

    try:
        return validate_email(text)[1]
    except PydanticCustomError:
        return None


def is_too_new(text):
    """Whether this Python and Unicode 18 may classify `text`, or its A-labels, differently."""
    # U+3002 is the only other period that NFKC keeps.
    for label in re.split("[.@\u3002]", unicodedata.normalize("NFKC", text).lower()):
        if label.startswith("xn--"):
            try:
                text += label.rstrip(">\t ")[4:].encode("ascii").decode("punycode")
            except UnicodeError:
                pass
    return any(c in RECLASSIFIED or unicodedata.category(c) == "Cn" for c in text)


def actual(binary, batch):
    lines = "".join(json.dumps(text) + "\n" for text in batch)
    process = subprocess.run([binary], input=lines, stdout=subprocess.PIPE, encoding="utf-8", check=True)
    results = [json.loads(line) for line in process.stdout.splitlines()]
    if len(results) != len(batch):
        raise SystemExit(f"{len(batch)} addresses gave {len(results)} results")
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=300_000, help="addresses to compare (default 300000)")
    parser.add_argument("--seed", type=int, default=None, help="default: random")
    parser.add_argument("--binary", type=Path, help="an existing build of normalise_email")
    arguments = parser.parse_args()
    seed = random.SystemRandom().getrandbits(32) if arguments.seed is None else arguments.seed
    binary = arguments.binary or build_example()

    counts = collections.Counter()
    addresses = itertools.islice(Generator(seed).addresses(), arguments.count)
    while batch := list(itertools.islice(addresses, BATCH)):
        for text, result in zip(batch, actual(binary, batch)):
            reference = expected(text)
            counts["compared"] += 1
            counts["valid"] += reference is not None
            if result.get("email") == reference:
                continue
            if is_too_new(text):
                counts["too new"] += 1
                continue
            counts["different"] += 1
            if counts["different"] <= MAX_PRINTED:
                print(f"{ascii(text)}: pydantic {ascii(reference)}, tokenhouse {ascii(result)}")
    print(
        f"seed {seed}, Unicode {unicodedata.unidata_version}: {counts['compared']} compared,"
        f" {counts['valid']} valid, {counts['too new']} too new for this Python,"
        f" {counts['different']} different"
    )
    return 1 if counts["different"] else 0


if __name__ == "__main__":
    enter_venv("pydantic", PACKAGES)
    sys.exit(main())
