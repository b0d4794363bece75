"""`python -m harness.plots RESULTS PLOTS`: draws what there are results for."""

import json
import sys
from pathlib import Path

from . import check, flood, growth, sign_in, size

DRAWN = {
    "check": check.draw,
    "sign-in": sign_in.draw,
    "flood": flood.draw,
    "growth": growth.draw,
    "size": size.draw,
}


def main() -> None:
    """Reads every result and draws it."""
    results, plots = map(Path, sys.argv[1:])
    for path in sorted(results.glob("*.json")):
        kept = json.loads(path.read_text())
        DRAWN[kept["name"]](kept["data"], plots)


main()
