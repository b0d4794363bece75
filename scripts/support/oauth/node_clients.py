"""OAuth2 libraries for Node, each in a program that does one operation."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from support.oauth.client import CLIENT_ID, Refused, Setup
from support.venv import ROOT

SOURCES = Path(__file__).resolve().parent / "node"
INSTALLED = ROOT / "target" / "node" / "oauth"

# Seconds.
ENDS_WITHIN = 60


def install() -> None:
    """Installs exactly the packages of package-lock.json, unless they are there."""
    lock = (SOURCES / "package-lock.json").read_text()
    # Written last, so that an installation that broke off, or one of other versions, is redone.
    stamp = INSTALLED / "installed.json"
    program("node", "nodejs")
    INSTALLED.mkdir(parents=True, exist_ok=True)
    for file in SOURCES.iterdir():
        shutil.copy(file, INSTALLED)
    if not stamp.exists() or stamp.read_text() != lock:
        npm = program("npm", "npm")
        quiet = ["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
        subprocess.run([npm, "ci", *quiet], cwd=INSTALLED, check=True, stdout=sys.stderr)
        stamp.write_text(lock)


def program(name: str, package: str) -> str:
    """The path of a program, of Debian's package when it is missing and may be installed."""
    found = shutil.which(name)
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        quiet = ["--quiet", "--quiet", "--yes", "--no-install-recommends"]
        for command in (["apt-get", "update", "--quiet"], ["apt-get", "install", *quiet, package]):
            subprocess.run(command, check=True, stdout=sys.stderr)
        found = shutil.which(name)
    return found or sys.exit(f"install {package} first: {name} is missing")


class NodeClient:
    """A library that learns the endpoints from the service's metadata (RFC 8414)."""

    name: str
    stops_at_challenge = True

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.token = ""

    def sign_in(self, scope: str | None = None) -> dict:
        form = {"username": self.setup.email, "password": self.setup.password}
        if scope is not None:
            form["scope"] = scope
        response = self.run("signIn", parameters=form)
        self.token = response["access_token"]
        return response

    def read_me(self) -> dict:
        return self.run("readMe", token=self.token)

    def revoke(self) -> None:
        self.run("revoke", token=self.token)

    def introspect(self, token: str) -> dict:
        return self.run("introspect", token=token, secret=self.setup.secret)

    def introspect_with_key(self, token: str) -> dict:
        return self.run("introspectWithKey", token=token, key=self.setup.app_key)

    def run(self, operation: str, **details: Any) -> Any:
        job = {"base": self.setup.base, "clientId": CLIENT_ID, "operation": operation, **details}
        finished = subprocess.run(
            ["node", f"{self.name}.mjs"],
            cwd=INSTALLED,
            input=json.dumps(job),
            stdout=subprocess.PIPE,
            text=True,
            timeout=ENDS_WITHIN,
        )
        if finished.returncode != 0:
            raise RuntimeError(f"{self.name}: exit status {finished.returncode}")
        outcome = json.loads(finished.stdout)
        if "refused" in outcome:
            raise Refused(outcome["refused"]["status"], outcome["refused"].get("error"))
        return outcome.get("result")


class Oauth4webapi(NodeClient):
    """oauth4webapi, which form-encodes a secret for HTTP Basic as RFC 6749 has it."""

    name = "oauth4webapi"


class OpenidClient(NodeClient):
    """openid-client, which stands on oauth4webapi."""

    name = "openid-client"
