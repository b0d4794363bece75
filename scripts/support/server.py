"""What the scripts share: a virtual environment, and a server on a free port with an empty SQLite
database."""

import argparse
import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from support.programs import install, missing

ROOT = Path(__file__).resolve().parent.parent.parent
STATIC_KEY = "the-static-key-of-the-scripts"
PASSWORD = "mulberry-Tram-71"

# In seconds.
STOP_TIMEOUT = 15
RESPONSE_TIMEOUT = 10


def enter_venv(name, packages):
    """Restarts the calling script in the virtual environment target/venvs/<name>, which the first
    run creates with these packages. Returns in the restarted script."""
    venv = ROOT / "target" / "venvs" / name
    if Path(sys.prefix).resolve() == venv.resolve():
        return
    python = venv / "bin" / "python"
    # Written last, so that an interrupted or outdated installation is repeated.
    stamp = venv / "packages.txt"
    required = "\n".join(packages)
    if not stamp.exists() or stamp.read_text() != required:
        if importlib.util.find_spec("ensurepip") is None and not install("python3-venv"):
            missing("python3-venv")
        subprocess.run([sys.executable, "-m", "venv", "--clear", venv], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
        stamp.write_text(required)
    os.execv(python, [python, *sys.argv])


def argument_parser(description):
    """Returns a parser with the option that all scripts have."""
    parser = argparse.ArgumentParser(description=description.split("\n", 1)[0])
    binary = ROOT / "target" / "release" / "tokenhouse"
    parser.add_argument("--binary", type=Path, default=binary, help="default: %(default)s")
    return parser


@contextlib.contextmanager
def running(binary, **settings):
    """Runs a server until the block ends and yields its base URL. Fails if the server does not start,
    or does not exit with status 0 on SIGTERM."""
    if not binary.exists():
        sys.exit(f"{binary} does not exist: build it, or pass --binary")
    with tempfile.TemporaryDirectory(prefix="tokenhouse-") as folder:
        log = Path(folder) / "log"
        with log.open("w") as log_file:
            process = subprocess.Popen(
                [binary.resolve(), "serve"],
                # Not the caller's folder and environment, which may contain settings.
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
                raise RuntimeError(f"the server exited with status {status}")


def stop(process):
    """Stops the server and returns its exit status, which is negative if it had to be killed."""
    process.terminate()
    try:
        return process.wait(timeout=STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()
    finally:
        process.stdout.close()


def defaults(folder):
    """Returns the settings of a test server."""
    return {
        "TOKENHOUSE_BIND": "127.0.0.1:0",
        "DATABASE_URL": f"sqlite://{folder}/tokenhouse.db",
        "API_KEY_TOKEN": STATIC_KEY,
        "TOKENHOUSE_BCRYPT_COST": "4",
        "TOKENHOUSE_LIMITS": "off",
        "RUST_LOG": "warn",
    }


def registration(email):
    """Returns a body for POST /register."""
    return {
        "name": "Ada Lovelace",
        "surname": "Lovelace",
        "email": email,
        "website": "https://example.com/ada",
        "password": PASSWORD,
    }


def register(base, email):
    """Registers a user."""
    return send("POST", f"{base}/register", registration(email))


def sign_in(base, email, scope="", **fields):
    """Returns a new login token of the user, with these scopes or with all. The form has further fields."""
    form = {"username": email, "password": PASSWORD, "scope": scope, **fields}
    form = urllib.parse.urlencode(form)
    return send("POST", f"{base}/token", form)["access_token"]


def send(method, url, body=None, token=None):
    """Sends a form (a string) or JSON (anything else), with a login token if there is one, and returns the
    JSON of the response."""
    if isinstance(body, str):
        data, content_type = body.encode(), "application/x-www-form-urlencoded"
    else:
        data, content_type = json.dumps(body).encode(), "application/json"
    request = urllib.request.Request(url, method=method)
    if token is not None:
        request.add_header("Authorization", f"Bearer {token}")
    if body is not None:
        request.data = data
        request.add_header("Content-Type", content_type)
    try:
        with urllib.request.urlopen(request, timeout=RESPONSE_TIMEOUT) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        text = error.read().decode(errors="replace")
        raise RuntimeError(f"{method} {url}: {error.code} {text}") from None
