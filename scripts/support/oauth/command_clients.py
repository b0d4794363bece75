"""Programs that people speak HTTP with at a terminal."""

import json
import subprocess
import sys
from pathlib import Path

from support.oauth.client import ANSWERS_WITHIN, CLIENT_ID, Refused, Setup, challenge_error
from support.server import registration

# Seconds.
ENDS_WITHIN = 60


class CommandClient:
    """A program of which a run is one request."""

    stops_at_challenge = False

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.token = ""

    def register(self, email: str) -> dict:
        """POST /register, with the program's own way to send JSON."""
        return json.loads(self.post_json(f"{self.setup.base}/register", registration(email)))

    def sign_in(self, scope: str | None = None) -> dict:
        setup = self.setup
        form = {"grant_type": "password", "username": setup.email, "password": setup.password}
        if scope is not None:
            form["scope"] = scope
        response = json.loads(self.post_form(setup.token_endpoint, form, []))
        self.token = response["access_token"]
        return response

    def read_me(self) -> dict:
        return json.loads(self.get(self.setup.me, self.bearer(self.token)))

    def revoke(self) -> None:
        self.post_form(self.setup.revocation_endpoint, {"token": self.token}, [])

    def introspect(self, token: str) -> dict:
        return self.ask(token, self.basic(self.setup.secret))

    def introspect_with_key(self, token: str) -> dict:
        return self.ask(token, self.bearer(self.setup.app_key))

    def ask(self, token: str, credential: list[str]) -> dict:
        endpoint = self.setup.introspection_endpoint
        return json.loads(self.post_form(endpoint, {"token": token}, credential))

    def bearer(self, token: str) -> list[str]:
        """The program's options for such a credential."""
        raise NotImplementedError

    def basic(self, secret: str) -> list[str]:
        """The program's options for such a credential."""
        raise NotImplementedError

    def get(self, url: str, credential: list[str]) -> str:
        """The body of the answer."""
        raise NotImplementedError

    def post_form(self, url: str, form: dict[str, str], credential: list[str]) -> str:
        """The body of the answer."""
        raise NotImplementedError

    def post_json(self, url: str, members: dict[str, str]) -> str:
        """The body of the answer."""
        raise NotImplementedError


class Curl(CommandClient):
    """curl."""

    name = "curl"

    def bearer(self, token: str) -> list[str]:
        return ["--oauth2-bearer", token]

    def basic(self, secret: str) -> list[str]:
        return ["--user", f"{CLIENT_ID}:{secret}"]

    def get(self, url: str, credential: list[str]) -> str:
        return self.run([*credential, url])

    def post_form(self, url: str, form: dict[str, str], credential: list[str]) -> str:
        fields = [f"{name}={value}" for name, value in form.items()]
        encoded = [word for field in fields for word in ("--data-urlencode", field)]
        return self.run([*credential, *encoded, url])

    def post_json(self, url: str, members: dict[str, str]) -> str:
        return self.run(["--json", json.dumps(members), url])

    def run(self, words: list[str]) -> str:
        shown = ["--write-out", "\n%{http_code} %header{www-authenticate}"]
        quiet = ["curl", "--silent", "--show-error", "--max-time", str(ANSWERS_WITHIN)]
        body, _, last = output([*quiet, *shown, *words]).rpartition("\n")
        status, _, challenge = last.partition(" ")
        return checked(int(status), challenge, body)


class Httpie(CommandClient):
    """HTTPie."""

    name = "httpie"

    def bearer(self, token: str) -> list[str]:
        return ["-A", "bearer", "-a", token]

    def basic(self, secret: str) -> list[str]:
        return ["-a", f"{CLIENT_ID}:{secret}"]

    def get(self, url: str, credential: list[str]) -> str:
        return self.run([*credential, "GET", url])

    def post_form(self, url: str, form: dict[str, str], credential: list[str]) -> str:
        fields = [f"{name}={value}" for name, value in form.items()]
        return self.run([*credential, "--form", "POST", url, *fields])

    def post_json(self, url: str, members: dict[str, str]) -> str:
        return self.run(["POST", url, *(f"{name}={value}" for name, value in members.items())])

    def run(self, words: list[str]) -> str:
        http = str(Path(sys.prefix) / "bin" / "http")
        # Told not to read standard input, which it otherwise takes for the body.
        plain = ["--ignore-stdin", "--timeout", str(ANSWERS_WITHIN), "--print=hb", "--pretty=none"]
        head, _, body = output([http, *plain, *words]).partition("\n\n")
        first, *lines = head.splitlines()
        headers = dict(line.split(": ", 1) for line in lines if ": " in line)
        fields = {name.lower(): value for name, value in headers.items()}
        return checked(int(first.split()[1]), fields.get("www-authenticate"), body)


def checked(status: int, challenge: str | None, body: str) -> str:
    """Gives the body of an answer that is no refusal."""
    if status >= 400:
        raise Refused(status, challenge_error(challenge) or json.loads(body).get("error"))
    return body


def output(command: list[str]) -> str:
    """What a program writes; universal newlines, as HTTPie ends the lines of a head with CR LF."""
    finished = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=ENDS_WITHIN)
    if finished.returncode != 0:
        raise RuntimeError(f"{command[0]}: exit status {finished.returncode}: {finished.stdout}")
    return finished.stdout
