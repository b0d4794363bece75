#!/usr/bin/env python3
"""Kills the service while it sends mails, and counts what is lost and what arrives twice.

    scripts/mail-kills.py [--binary PATH] [--database sqlite|postgres] [--mails 10000] [--rate 50] [--kills 40]

Users ask for links to reset their passwords. The mail server answers 450 to 5 % of the tries, and ends the
connection after the message of 1 %. The service is killed again and again; before it starts again, the leases of the killed process end, and mails that wait for their next try become due, as if time had passed.
Every user must get a mail, one that arrives twice must have one Message-ID, and the last link must work. A user
whose request ends without an answer asks again, which is another mail.
"""

import asyncio
import concurrent.futures
import contextlib
import email
import http.client
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from support.postgres import postgres, query
from support.server import argument_parser, defaults, enter_venv, register, send
from support.smtp import PACKAGES, aiosmtpd, free_port

REFUSED, CUT_OFF = 0.05, 0.01

# At most this many links are used in the end.
SAMPLE = 50

# In seconds.
TIMEOUT = 120
START_TIMEOUT = 20


class Handler:
    """Refuses for now, ends connections, and keeps what arrives."""

    def __init__(self):
        self.arrived, self.accepted, self.tries = {}, {}, {}
        self.random = random.Random(7)

    async def handle_RCPT(self, server, session, envelope, address, options):
        self.tries[address] = self.tries.get(address, 0) + 1
        if self.random.random() < REFUSED:
            return "450 4.7.1 Greylisted, try again"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        (address,) = envelope.rcpt_tos
        self.arrived.setdefault(address, []).append(envelope.original_content)
        if self.random.random() < CUT_OFF:
            server.transport.abort()
            await asyncio.sleep(0)
            return "250 OK"
        self.accepted.setdefault(address, time.monotonic())
        return "250 2.0.0 Queued"


class Sqlite:
    """A database in a folder."""

    NOW = "strftime('%Y-%m-%d %H:%M:%f')"

    def __init__(self, folder):
        self.file = folder / "tokenhouse.db"
        self.url = f"sqlite://{self.file}"

    def run(self, statement):
        with contextlib.closing(sqlite3.connect(self.file, timeout=30)) as connection:
            row = connection.execute(statement).fetchone()
            connection.commit()
            return row and row[0]


class Postgres:
    """A database of a cluster."""

    NOW = "now() AT TIME ZONE 'UTC'"

    def __init__(self, url):
        self.url = url

    def run(self, statement):
        return query(self.url, statement)


@contextlib.contextmanager
def database(kind, folder):
    """Yields an empty one."""
    if kind == "sqlite":
        yield Sqlite(folder)
    else:
        with postgres() as url:
            yield Postgres(url)


class Service:
    """The service on one database and port, which can be killed."""

    def __init__(self, binary, folder, database, smtp_port):
        self.binary, self.folder, self.database = binary.resolve(), folder, database
        self.port = free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        self.settings = {
            **defaults(folder),
            "DATABASE_URL": database.url,
            "PATH": os.environ["PATH"],
            "TOKENHOUSE_BIND": f"127.0.0.1:{self.port}",
            "TOKENHOUSE_PUBLIC_URL": self.base,
            "TOKENHOUSE_MAIL": "smtp",
            "TOKENHOUSE_MAIL_FROM": "no-reply@example.com",
            "TOKENHOUSE_MAIL_PER_HOUR": "1000000",
            "TOKENHOUSE_NOTICES": "none",
            "TOKENHOUSE_SMTP_URL": f"smtp://127.0.0.1:{smtp_port}?tls=none",
            "RUST_LOG": "error",
        }
        self.start()

    def start(self):
        command = [self.binary, "serve"]
        with (self.folder / "log").open("a") as log:
            self.process = subprocess.Popen(
                command, cwd=self.folder, env=self.settings, stdout=subprocess.PIPE, stderr=log, text=True
            )
        if not self.process.stdout.readline():
            sys.exit(f"the server did not start:\n{(self.folder / 'log').read_text()}")

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()

    def let_time_pass(self):
        """Ends the leases of the killed process, and makes all mails due."""
        self.database.run(
            f"UPDATE mail_outbox SET lease_until = NULL, next_at = {self.database.NOW}"
            " WHERE sent_at IS NULL AND failed_at IS NULL"
        )

    def count(self, condition):
        return int(self.database.run(f"SELECT count(*) FROM mail_outbox WHERE {condition}"))


def address(number):
    return f"u{number}@example.com"


def add_users(service, count):
    """Copies a registered user."""
    register(service.base, "first@example.com")
    service.database.run(
        f"WITH RECURSIVE numbers(number) AS (SELECT 0 UNION ALL SELECT number + 1 FROM numbers"
        f" WHERE number < {count - 1}), addresses AS (SELECT 'u' || number || '@example.com' AS email FROM numbers)"
        " INSERT INTO users (name, surname, email, email_key, website, hashed_password, created_at)"
        " SELECT name, surname, addresses.email, addresses.email, website, hashed_password, created_at"
        " FROM users, addresses WHERE users.id = 1"
    )


def ask(service, number, asked, requests):
    """Asks until it is answered, as a person would whose service is away for a moment."""
    deadline = time.monotonic() + TIMEOUT
    while True:
        started = time.monotonic()
        try:
            requests[address(number)] += 1
            send("POST", f"{service.base}/forgot-password", {"email": address(number)})
        except (OSError, RuntimeError, http.client.HTTPException) as error:
            if isinstance(getattr(error, "reason", None), ConnectionRefusedError):
                requests[address(number)] -= 1
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
            continue
        asked[address(number)] = started
        return


def percentile(values, part):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * part))]


def run(service, handler, options):
    """Asks for the mails and kills the service meanwhile; returns when each was asked for, and how often."""
    asked, requests, is_done = {}, Counter(), threading.Event()

    def kill_again_and_again():
        pause = options.mails / options.rate / (options.kills + 1)
        for _ in range(options.kills):
            is_done.wait(pause * random.uniform(0.5, 1.5))
            service.kill()
            service.let_time_pass()
            service.start()

    killer = threading.Thread(target=kill_again_and_again)
    killer.start()
    started = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        futures = []
        for number in range(options.mails):
            time.sleep(max(0, started + number / options.rate - time.monotonic()))
            futures.append(pool.submit(ask, service, number, asked, requests))
        for future in futures:
            future.result()
    is_done.set()
    killer.join()
    deadline = time.monotonic() + TIMEOUT
    while service.count("sent_at IS NULL") > 0 and time.monotonic() < deadline:
        # Those that were refused again wait for a minute.
        if service.count("lease_until IS NOT NULL AND sent_at IS NULL") == 0:
            service.let_time_pass()
        time.sleep(0.3)
    return asked, requests


def judge(service, handler, asked, requests, options):
    """Prints the figures, and returns what is wrong."""
    problems = []
    lost = [name for name in asked if name not in handler.accepted]
    several = {name: mails for name, mails in handler.arrived.items() if len(mails) > 1}
    parsed = {name: [email.message_from_bytes(mail) for mail in mails] for name, mails in several.items()}
    ids = {name: {mail["Message-ID"] for mail in mails} for name, mails in parsed.items()}
    differing = [name for name in ids if len(ids[name]) > requests[name]]
    if lost or service.count("sent_at IS NULL"):
        problems.append(f"lost: {lost[:5]}")
    if differing:
        problems.append(f"arrived with different Message-IDs: {differing[:5]}")
    step = max(1, options.mails // SAMPLE)
    for name in list(several)[:SAMPLE] + [address(number) for number in range(0, options.mails, step)]:
        token = re.search(rb"\?t=3D([\w=\r\n-]+?)\s*\r\n\r\n", handler.arrived[name][-1])
        token = token and token[1].replace(b"=\r\n", b"").decode()
        try:
            send("POST", f"{service.base}/reset-password", {"token": token, "password": "another-Tram-72"})
        except RuntimeError as error:
            # Each is used once.
            if name not in several or "400" not in str(error):
                problems.append(f"the link of {name} does not work: {error}")
    times = {name: handler.accepted[name] - asked[name] for name in asked if name in handler.accepted}
    first = [taken for name, taken in times.items() if handler.tries[name] == 1]
    again = sum(1 for count in requests.values() if count > 1)
    print(
        f"{options.mails} mails, {options.kills} kills: {len(lost)} lost, {len(several)} arrived more than once,"
        f" {len(differing)} of them with different Message-IDs; {again} were asked for again"
    )
    print(
        f"request to 250: p50 {percentile(times.values(), 0.5):.2f} s, p99 {percentile(times.values(), 0.99):.2f} s;"
        f" at the first try p99 {percentile(first, 0.99):.2f} s ({len(first)} mails)"
    )
    return problems


def main():
    parser = argument_parser(__doc__)
    parser.add_argument("--database", choices=["sqlite", "postgres"], default="sqlite", help="default: %(default)s")
    parser.add_argument("--mails", type=int, default=10_000, help="default: %(default)s")
    parser.add_argument("--rate", type=float, default=50, help="mails asked for in a second; default: %(default)s")
    parser.add_argument("--kills", type=int, default=40, help="default: %(default)s")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="tokenhouse-kills-") as folder,
        database(options.database, Path(folder)) as store,
        aiosmtpd(Handler()) as (port, handler),
    ):
        service = Service(options.binary, Path(folder), store, port)
        try:
            add_users(service, options.mails)
            asked, requests = run(service, handler, options)
            problems = judge(service, handler, asked, requests, options)
        finally:
            service.kill()
    for problem in problems:
        print(problem)
    sys.exit(1 if problems else 0)


enter_venv("mail", PACKAGES)
main()
