"""OAuth2 clients: libraries for Python, and those that run as a process: curl, HTTPie, and libraries
for Node."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import requests
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import OAuth2Client as AuthlibHttpxClient
from authlib.integrations.requests_client import OAuth2Session as AuthlibRequestsSession
from oauthlib.oauth2 import LegacyApplicationClient, OAuth2Error
from requests_oauthlib import OAuth2Session

from support.oauth.service import CLIENT_ID, RESPONSE_TIMEOUT, Refused, Setup, challenge_error
from support.programs import program
from support.server import ROOT, registration

# http instead of https, on the loopback interface.
os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"
# Reject a token type that is not spelled as in RFC 6750.
os.environ["OAUTHLIB_STRICT_TOKEN_TYPE"] = "1"


class RequestsOauthlib:
    """requests-oauthlib. It has no method for introspection, so its session posts the form."""

    name = "requests-oauthlib"
    stops_at_challenge = False

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.session = OAuth2Session(client=LegacyApplicationClient(client_id=CLIENT_ID))

    def sign_in(self, scope: str | None = None) -> dict:
        setup = self.setup
        try:
            return self.session.fetch_token(
                setup.token_endpoint,
                username=setup.email,
                password=setup.password,
                # The password grant does not send the scope of the session.
                scope=scope and scope.split(),
                timeout=RESPONSE_TIMEOUT,
            )
        except OAuth2Error as error:
            raise Refused(None, error.error) from error

    def read_me(self) -> dict:
        return checked(self.session.get(self.setup.me, timeout=RESPONSE_TIMEOUT)).json()

    def revoke(self) -> None:
        client = LegacyApplicationClient(client_id=CLIENT_ID)
        token = self.session.token["access_token"]
        url, headers, body = client.prepare_token_revocation_request(
            self.setup.revocation_endpoint, token
        )
        checked(requests.post(url, headers=headers, data=body, timeout=RESPONSE_TIMEOUT))

    def introspect(self, token: str) -> dict:
        return self.introspect_as(requests.Session(), token, auth=(CLIENT_ID, self.setup.secret))

    def introspect_with_key(self, token: str) -> dict:
        return self.introspect_as(OAuth2Session(token=as_token(self.setup.app_key)), token)

    def introspect_as(self, session: requests.Session, token: str, **options: Any) -> dict:
        url, form = self.setup.introspection_endpoint, {"token": token}
        return checked(session.post(url, data=form, timeout=RESPONSE_TIMEOUT, **options)).json()


class AuthlibRequests:
    """Authlib over requests."""

    name = "authlib-requests"
    stops_at_challenge = False
    session_class: type = AuthlibRequestsSession

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.session = self.session_class(CLIENT_ID, timeout=RESPONSE_TIMEOUT)

    def sign_in(self, scope: str | None = None) -> dict:
        setup = self.setup
        options = {} if scope is None else {"scope": scope}
        try:
            return self.session.fetch_token(
                setup.token_endpoint, username=setup.email, password=setup.password, **options
            )
        except OAuthError as error:
            raise Refused(None, error.error) from error

    def read_me(self) -> dict:
        return checked(self.session.get(self.setup.me)).json()

    def revoke(self) -> None:
        endpoint = self.setup.revocation_endpoint
        checked(self.session.revoke_token(endpoint, token_type_hint="access_token"))

    def introspect(self, token: str) -> dict:
        app = self.session_class(CLIENT_ID, self.setup.secret, timeout=RESPONSE_TIMEOUT)
        return checked(app.introspect_token(self.setup.introspection_endpoint, token)).json()

    def introspect_with_key(self, token: str) -> dict:
        key = as_token(self.setup.app_key)
        app = self.session_class(CLIENT_ID, token=key, timeout=RESPONSE_TIMEOUT)
        endpoint = self.setup.introspection_endpoint
        return checked(app.introspect_token(endpoint, token, auth=app.token_auth)).json()


class AuthlibHttpx(AuthlibRequests):
    """Authlib over httpx."""

    name = "authlib-httpx"
    session_class = AuthlibHttpxClient


class AuthlibWithSecret(AuthlibRequests):
    """Authlib as a client with a secret, which it sends with every POST request."""

    name = "authlib-with-secret"

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self.session = self.session_class(CLIENT_ID, setup.secret, timeout=RESPONSE_TIMEOUT)

    def introspect(self, token: str) -> dict:
        return checked(
            self.session.introspect_token(self.setup.introspection_endpoint, token)
        ).json()


def as_token(key: str) -> dict:
    return {"access_token": key, "token_type": "Bearer"}


def checked(response: Any) -> Any:
    """Returns a successful response of requests or httpx."""
    if response.status_code >= 400:
        error = challenge_error(response.headers.get("WWW-Authenticate"))
        raise Refused(response.status_code, error or response.json().get("error"))
    return response


# Seconds.
PROCESS_TIMEOUT = 60


class CommandClient:
    """A program that sends one request per run."""

    stops_at_challenge = False

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.token = ""

    def register(self, email: str) -> dict:
        """POST /register, in the program's own way of sending JSON."""
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
        return self.introspect_as(token, self.basic(self.setup.secret))

    def introspect_with_key(self, token: str) -> dict:
        return self.introspect_as(token, self.bearer(self.setup.app_key))

    def introspect_as(self, token: str, credential: list[str]) -> dict:
        endpoint = self.setup.introspection_endpoint
        return json.loads(self.post_form(endpoint, {"token": token}, credential))

    def bearer(self, token: str) -> list[str]:
        """The program's options for this credential."""
        raise NotImplementedError

    def basic(self, secret: str) -> list[str]:
        """The program's options for this credential."""
        raise NotImplementedError

    def get(self, url: str, credential: list[str]) -> str:
        """Returns the body of the response."""
        raise NotImplementedError

    def post_form(self, url: str, form: dict[str, str], credential: list[str]) -> str:
        """Returns the body of the response."""
        raise NotImplementedError

    def post_json(self, url: str, members: dict[str, str]) -> str:
        """Returns the body of the response."""
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
        write_out = ["--write-out", "\n%{http_code} %header{www-authenticate}"]
        quiet = ["curl", "--silent", "--show-error", "--max-time", str(RESPONSE_TIMEOUT)]
        body, _, last = output([*quiet, *write_out, *words]).rpartition("\n")
        status, _, challenge = last.partition(" ")
        return body_of_success(int(status), challenge, body)


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
        # Without --ignore-stdin it reads the body from standard input.
        plain = ["--ignore-stdin", "--timeout", str(RESPONSE_TIMEOUT), "--print=hb", "--pretty=none"]
        head, _, body = output([http, *plain, *words]).partition("\n\n")
        first, *lines = head.splitlines()
        headers = dict(line.split(": ", 1) for line in lines if ": " in line)
        fields = {name.lower(): value for name, value in headers.items()}
        return body_of_success(int(first.split()[1]), fields.get("www-authenticate"), body)


def body_of_success(status: int, challenge: str | None, body: str) -> str:
    """Returns the body of a successful response."""
    if status >= 400:
        raise Refused(status, challenge_error(challenge) or json.loads(body).get("error"))
    return body


def output(command: list[str]) -> str:
    """Returns the output of a program. HTTPie ends header lines with CR LF, hence text mode."""
    finished = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=PROCESS_TIMEOUT)
    if finished.returncode != 0:
        raise RuntimeError(f"{command[0]}: exit status {finished.returncode}: {finished.stdout}")
    return finished.stdout


SOURCES = Path(__file__).resolve().parent / "node"
INSTALLED = ROOT / "target" / "node" / "oauth"


def install() -> None:
    """Installs the packages of package-lock.json unless they are up to date."""
    lock = (SOURCES / "package-lock.json").read_text()
    # Written last, so that an interrupted or outdated installation is repeated.
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


class NodeClient:
    """A library that discovers the endpoints from the service's metadata (RFC 8414)."""

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
            ["node", "clients.mjs", self.name],
            cwd=INSTALLED,
            input=json.dumps(job),
            stdout=subprocess.PIPE,
            text=True,
            timeout=PROCESS_TIMEOUT,
        )
        if finished.returncode != 0:
            raise RuntimeError(f"{self.name}: exit status {finished.returncode}")
        outcome = json.loads(finished.stdout)
        if "refused" in outcome:
            raise Refused(outcome["refused"]["status"], outcome["refused"].get("error"))
        return outcome.get("result")


class Oauth4webapi(NodeClient):
    """oauth4webapi, which form-encodes the secret for HTTP Basic as RFC 6749 requires."""

    name = "oauth4webapi"


class OpenidClient(NodeClient):
    """openid-client, which builds on oauth4webapi."""

    name = "openid-client"
