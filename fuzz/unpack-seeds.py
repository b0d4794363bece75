#!/usr/bin/env python3
"""Writes the seeds of every fuzz target as a corpus for libFuzzer: `fuzz/corpus/TARGET/NAME`.

`seeds.txt` explains its format. `tests/fuzz.rs` reads the same file.
"""

import re
from pathlib import Path

FUZZ = Path(__file__).resolve().parent
SECTION = re.compile(r"\[(\w+)\]")
SEED = re.compile(r'(\w+)="((?:\\.|[^"\\])*)"')
ESCAPE = re.compile(rb"\\(?:x([0-9A-Fa-f]{2})|(.))")


def unescape(value: str) -> bytes:
    """Decodes the escapes of one value."""
    return ESCAPE.sub(
        lambda match: bytes.fromhex(match[1].decode()) if match[1] else match[2], value.encode()
    )


def main() -> None:
    corpus = None
    for line in (FUZZ / "seeds.txt").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        if section := SECTION.fullmatch(line):
            corpus = FUZZ / "corpus" / section[1]
            corpus.mkdir(parents=True, exist_ok=True)
        elif corpus and (seed := SEED.fullmatch(line)):
            (corpus / seed[1]).write_bytes(unescape(seed[2]))
        else:
            raise SystemExit(f"seeds.txt: not a seed: {line}")


if __name__ == "__main__":
    main()
