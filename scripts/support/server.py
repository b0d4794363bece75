"""A server of the script's own: a free port, an empty SQLite file, gone at the end."""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from support.venv import ROOT

STATIC_KEY = "the-static-key-of-the-scripts"
PASSWORD = "mulberry-Tram-71"

# Seconds.
STOPS_WITHIN = 15
ANSWERS_WITHIN = 10


def argument_parser(description):
    """A parser with the option that every script has."""
    parser = argparse.ArgumentParser(description=description.split("\n", 1)[0])
    binary = ROOT / "target" / "release" / "tokenhouse"
    parser.add_argument("--binary", type=Path, default=binary, help="default: %(default)s")
    return parser


@contextlib.contextmanager
def running(binary, **settings):
    """Serves until the block ends; gives the base URL. Fails when the server does not start, or
    does not end with status 0 when it is told to."""
    if not binary.exists():
        sys.exit(f"{binary} is not there: build it first, or say where it is with --binary")
    with tempfile.TemporaryDirectory(prefix="tokenhouse-") as folder:
        log = Path(folder) / "log"
        with log.open("w") as log_file:
            process = subprocess.Popen(
                [binary.resolve(), "serve"],
                # Not the caller's: a .env there, or a setting in its environment, would count.
                cwd=folder,
                env={"PATH": os.environ["PATH"], **defaults(folder), **settings},
                stdout=subprocess.PIPE,
                stderr=log_file,
                text=True,
            )
        try:
            # "Tokenhouse 0.1.0 on http://127.0.0.1:40123"
            announced = process.stdout.readline().split()
            if not announced:
                raise RuntimeError(f"the server did not start:\n{log.read_text()}")
            yield announced[-1]
        finally:
            status = stop(process)
            if status != 0:
                print(log.read_text())
                raise RuntimeError(f"the server ended with status {status}")


def stop(process):
    """Asks the server to end; gives its exit status, which is negative when it had to be killed."""
    process.terminate()
    try:
        return process.wait(timeout=STOPS_WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()
    finally:
        process.stdout.close()


def defaults(folder):
    return {
        "TOKENHOUSE_BIND": "127.0.0.1:0",
        "DATABASE_URL": f"sqlite://{folder}/tokenhouse.db",
        "API_KEY_TOKEN": STATIC_KEY,
        "TOKENHOUSE_BCRYPT_COST": "4",
        "TOKENHOUSE_LIMITS": "off",
        "RUST_LOG": "warn",
    }


def registration(email):
    """A body for POST /register."""
    return {
        "name": "Ada Lovelace",
        "surname": "Lovelace",
        "email": email,
        "website": "https://example.com/ada",
        "password": PASSWORD,
    }


def sign_in(base, email, scope=""):
    """A new login token of that user, with these scopes or with all."""
    form = urllib.parse.urlencode({"username": email, "password": PASSWORD, "scope": scope})
    return send("POST", f"{base}/token", form)["access_token"]


def send(method, url, body=None):
    """Sends a form (a text) or JSON (anything else); gives the JSON of the answer."""
    if isinstance(body, str):
        data, content_type = body.encode(), "application/x-www-form-urlencoded"
    else:
        data, content_type = json.dumps(body).encode(), "application/json"
    request = urllib.request.Request(url, method=method)
    if body is not None:
        request.data = data
        request.add_header("Content-Type", content_type)
    try:
        with urllib.request.urlopen(request, timeout=ANSWERS_WITHIN) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        text = error.read().decode(errors="replace")
        raise RuntimeError(f"{method} {url}: {error.code} {text}") from None
