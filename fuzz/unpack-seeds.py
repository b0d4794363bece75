#!/usr/bin/env python3
"""Writes the seeds of every fuzz target as a corpus for libFuzzer: `fuzz/corpus/TARGET/NAME`.

A seed file holds one seed per line, in libFuzzer's dictionary syntax: `name="value"`, where the
value escapes `\\\\`, `\\"` and `\\xAB`. `tests/fuzz.rs` reads the same files.
"""

import re
from pathlib import Path

FUZZ = Path(__file__).resolve().parent
SEED = re.compile(r'(\w+)="((?:\\.|[^"\\])*)"')
ESCAPE = re.compile(rb"\\(?:x([0-9A-Fa-f]{2})|(.))")


def unescape(value: str) -> bytes:
    """Decodes the escapes of one value."""
    return ESCAPE.sub(
        lambda match: bytes.fromhex(match[1].decode()) if match[1] else match[2], value.encode()
    )


def main() -> None:
    for file in sorted((FUZZ / "seeds").glob("*.dict")):
        corpus = FUZZ / "corpus" / file.stem
        corpus.mkdir(parents=True, exist_ok=True)
        for line in file.read_text().splitlines():
            seed = SEED.fullmatch(line)
            if seed is None:
                raise SystemExit(f"{file}: not a seed: {line}")
            (corpus / seed[1]).write_bytes(unescape(seed[2]))


if __name__ == "__main__":
    main()
