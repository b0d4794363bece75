"""The plugin itself, in runs of pytest of their own."""

import json
import os
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pytest_tokenhouse import Tokenhouse, TokenhouseError

STOP_TIMEOUT = 5  # seconds
# Writes the process id of the server to a file that is named after it.
NOTE_PID = """
from pathlib import Path
def note(tokenhouse_server):
    (Path({folder!r}) / str(tokenhouse_server.pid)).touch()
"""


@pytest.fixture
def run(pytester, tmp_path):
    """Runs pytest on a test file, and returns the result and the servers that it used."""
    servers = tmp_path / "servers"
    servers.mkdir()

    def run_with(tests: str, *arguments: str):
        pytester.makeconftest('pytest_plugins = ["pytest_tokenhouse"]')
        pytester.makepyfile(NOTE_PID.format(folder=str(servers)) + tests)
        result = pytester.runpytest_subprocess("-p", "no:cacheprovider", *arguments)
        return result, [int(file.name) for file in servers.iterdir()]

    return run_with


def has_ended(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def assert_all_end(pids: list[int]) -> None:
    deadline = time.monotonic() + STOP_TIMEOUT
    while not all(map(has_ended, pids)):
        assert time.monotonic() < deadline, "a server has outlived the run"
        time.sleep(0.02)


def test_every_worker_has_its_own_server(run):
    # As many tests as workers: each worker receives one.
    tests = """
import pytest
@pytest.mark.parametrize("number", range(16))
def test_server(tokenhouse_server, number):
    note(tokenhouse_server)
"""
    result, pids = run(tests, "-n", "16")
    result.assert_outcomes(passed=16)
    assert len(pids) == 16
    assert_all_end(pids)


def test_a_killed_worker_leaves_no_server(run):
    tests = """
import os, signal
def test_kill(tokenhouse_server):
    note(tokenhouse_server)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    result, pids = run(tests, "-n", "2")
    result.assert_outcomes(failed=1)
    assert len(pids) == 1
    assert_all_end(pids)


def test_a_talkative_server_hangs_nothing(run, monkeypatch):
    monkeypatch.setenv("RUST_LOG", "debug")
    tests = """
import time
def test_requests(tokenhouse):
    note(tokenhouse)
    for _ in range(1_000):
        tokenhouse.control("GET", "/_dev/clock")
    assert tokenhouse.log_size() > 64 * 1024
    start = time.monotonic()
    tokenhouse.stop()
    assert time.monotonic() - start < 1
"""
    result, pids = run(tests)
    result.assert_outcomes(passed=1)
    assert_all_end(pids)


def test_proxies_in_the_environment_are_not_used(run, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    tests = """
import os
def test_user(tokenhouse, auth_headers):
    assert auth_headers()["Authorization"].startswith("Bearer ")
    assert os.environ["HTTP_PROXY"] == "http://127.0.0.1:9"
"""
    result, _ = run(tests)
    result.assert_outcomes(passed=1)


def test_a_failed_test_shows_the_log_of_the_server(run, monkeypatch):
    monkeypatch.setenv("RUST_LOG", "info")
    tests = """
def test_failure(tokenhouse, auth_headers):
    tokenhouse.fail_database(1_000)
    tokenhouse.headers("ada@example.com")
"""
    result, _ = run(tests)
    result.stdout.fnmatch_lines(["*Captured tokenhouse log*"])


def test_a_reset_ends_tokens_and_moves_the_clock_back(tokenhouse):
    before = tokenhouse.clock.now()
    ada = tokenhouse.create_user("ada@example.com")
    old = tokenhouse.headers(ada)
    past = datetime(2020, 1, 1, tzinfo=UTC)
    tokenhouse.clock.set(past)
    # It stands still.
    assert tokenhouse.clock.now() == past
    tokenhouse.reset()
    assert tokenhouse.clock.now() >= before
    assert status(f"{tokenhouse.url}/users/me", old) == 401
    assert tokenhouse.create_user("ada@example.com").id == ada.id


def status(url: str, headers: dict[str, str]) -> int:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(urllib.request.Request(url, headers=headers)) as response:
            return response.status
    except urllib.error.HTTPError as error:
        return error.code


def test_a_sign_in_has_the_methods_that_the_test_claims(tokenhouse):
    headers = tokenhouse.headers(tokenhouse.create_user(), amr=["pwd", "otp"])
    request = urllib.request.Request(f"{tokenhouse.url}/users/me/sessions", headers=headers)
    with urllib.request.urlopen(request) as response:
        assert json.load(response)["sessions"][0]["amr"] == "otp pwd"


def test_a_refusal_names_the_reason(tokenhouse):
    tokenhouse.create_user("ada@example.com")
    with pytest.raises(TokenhouseError, match="already"):
        tokenhouse.create_user("ada@example.com")


def test_a_server_that_does_not_start_says_why():
    with pytest.raises(TokenhouseError, match="cannot run /no/such/program"):
        Tokenhouse(binary="/no/such/program")
    with pytest.raises(TokenhouseError, match="--no-such-option"):
        Tokenhouse("--no-such-option")
    with pytest.raises(TokenhouseError, match="TOKENHOUSE_NO_SUCH"):
        Tokenhouse("--set", "TOKENHOUSE_NO_SUCH=1")


def test_arguments_of_the_server(pytester, tmp_path: Path):
    seed = tmp_path / "seed.json"
    seed.write_text('{"users": [{"email": "ada@example.com", "scopes": ["orders:read"]}]}')
    pytester.makeini(f"[pytest]\ntokenhouse_args = --seed {seed} --clock 2026-01-01T00:00:00Z")
    pytester.makeconftest('pytest_plugins = ["pytest_tokenhouse"]')
    pytester.makepyfile("""
def test_seed(tokenhouse, tokenhouse_clock):
    assert tokenhouse.headers("ada@example.com")
    assert tokenhouse_clock.now().isoformat() == "2026-01-01T00:00:00+00:00"
""")
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)


def forget(server: Tokenhouse, email: str) -> None:
    body = json.dumps({"email": email}).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{server.url}/forgot-password", body, headers)
    with urllib.request.urlopen(request) as response:
        assert response.status == 202


def test_mails_are_found_by_recipient_and_purpose(tokenhouse, mailbox):
    ada, bob = tokenhouse.create_user("ada+tag@example.com"), tokenhouse.create_user()
    mark = mailbox.mark()
    forget(tokenhouse, bob.email)
    forget(tokenhouse, ada.email)
    mail = mailbox.wait_for(ada.email, "reset-password", after=mark)
    assert mail.to == ada.email and mail.links[0].startswith(f"{tokenhouse.url}/")
    assert mail.links[0] in mail.text and mail.codes[0] in mail.html
    mailbox.wait_for(bob.email, "reset-password")
    mailbox.clear(ada.email)
    assert not mailbox.mails(ada.email) and mailbox.mails(bob.email)
    with pytest.raises(TokenhouseError, match="arrived: .*reset-password"):
        mailbox.wait_for(ada.email, "reset-password", timeout=0.1)
    with pytest.raises(TokenhouseError, match="expected one of"):
        mailbox.mails(ada.email, "reset-pasword")
