#!/usr/bin/env python3
"""Sends mails to real mail servers, and reads them with Python's email package.

    scripts/mail-test.py [--binary PATH]

Reads every mail in every language, with names that need quotes or turn the text round. Sends mails to
servers of aiosmtpd that refuse, stall and end the connection, with and without TLS and passwords, and to
Exim with STARTTLS, TLS and passwords, which relays them. Installs Debian's exim4-daemon-light if it is missing
and the user is root; the first run installs aiosmtpd and trustme into target/venvs/mail.
"""

import asyncio
import concurrent.futures
import contextlib
import email
import email.policy
import email.utils
import html.parser
import os
import re
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from datetime import datetime, timedelta, timezone
from pathlib import Path

from support.programs import program
from support.server import argument_parser, enter_venv
from support.smtp import PACKAGES, START_TIMEOUT, aiosmtpd, free_port

KINDS = [
    "reset-password",
    "verify-address",
    "confirm-change",
    "address-taken",
    "unknown-account",
    "invitation",
    "password-changed",
    "address-changed",
    "key-created",
    "new-device",
    "refresh-reuse",
    "factor-added",
    "factor-removed",
    "recovery-codes-made",
    "recovery-code-used",
    "passkey-copied",
]
WITH_CODE = KINDS[:3]
LANGUAGES = ["en", "de", "es", "fr"]

PUBLIC_URL = "https://auth.example/base"
TOKEN = "?t=56EF3D0yLk7qVw2mZ8tHc4bXs9-3Dp56mZ8tHc4bXs9EF0yLk"
CODE = "7K3M9QXD"

FROM = "Example, Inc. (Billing) <no-reply@example.com>"
FSI, PDI = "\u2068", "\u2069"

# Names of users, and what a mail program shows as the recipient.
NAMES = [
    ("Doe, Jane", "Doe, Jane"),
    ('"Q" <x@y>', '"Q" <x@y>'),
    ("Löst, Ann", "Löst, Ann"),
    ("Eve\r\nBcc: eve@example.org", "Eve  Bcc: eve@example.org"),
    ("N" * 500, "N" * 500),
    ("Ö " * 200, ("Ö " * 200).strip()),
    ("\u202eAda", "Ada"),
    ("عدا Lovelace", "عدا Lovelace"),
    ("=?utf-8?q?x?=", "=?utf-8?q?x?="),
]

USER, PASSWORD = "ada@example.com", "p@ss:w/rd% é"
URL_CREDENTIALS = "ada%40example.com:p%40ss%3Aw%2Frd%25%20%C3%A9"

# In seconds.
WATCHDOG = 30


class Failed(Exception):
    """A check has failed."""


def check(condition, *context):
    if not condition:
        raise Failed(" ".join(str(part) for part in context))


class Tokenhouse:
    """The command line, with settings of its own."""

    def __init__(self, binary, folder, **settings):
        self.binary, self.folder = binary.resolve(), folder
        self.settings = {
            "PATH": os.environ["PATH"],
            "TOKENHOUSE_PUBLIC_URL": PUBLIC_URL,
            "TOKENHOUSE_MAIL_FROM": FROM,
            **settings,
        }

    def test(self, *arguments):
        """Runs `tokenhouse mail test`; returns the exit code, what it printed, and the time it took."""
        command = [self.binary, "mail", "test", *arguments]
        started = time.monotonic()
        done = subprocess.run(command, cwd=self.folder, env=self.settings, capture_output=True, text=True)
        output = done.stdout + done.stderr
        check(PASSWORD not in output and "p%40ss" not in output, "the password is shown:", output)
        return done.returncode, output, time.monotonic() - started


def smtp(binary, folder, url, **settings):
    return Tokenhouse(binary, folder, TOKENHOUSE_MAIL="smtp", TOKENHOUSE_SMTP_URL=url, **settings)


# Reading mails.


class Page(html.parser.HTMLParser):
    """The text and the links of an HTML part."""

    def __init__(self, source):
        super().__init__()
        self.links, self.words, self.loaded, self.hidden = [], [], [], False
        self.feed(source)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if tag == "a":
            self.links.append(given.get("href"))
        self.hidden |= tag in ("style", "title")
        self.loaded += [given[name] for name in ("src", "background", "srcset") if name in given]

    def handle_endtag(self, tag):
        self.hidden &= tag not in ("style", "title")

    def handle_data(self, data):
        if not self.hidden:
            self.words += data.split()


def parse(raw):
    """Parses a mail; checks what holds for each of them."""
    mail = email.message_from_bytes(raw, policy=email.policy.default)
    check(not mail.defects, mail.defects)
    check(raw.isascii() and b"\n" not in raw.replace(b"\r\n", b""), "8 bit, or lines without CR LF")
    head = raw.split(b"\r\n\r\n", 1)[0]
    check(max(map(len, head.split(b"\r\n"))) < 998, "a line of the header is too long")
    check(max(map(len, raw.split(b"\r\n"))) < 998, "a line is too long")
    for name in ("From", "To", "Subject", "Date", "Message-ID", "MIME-Version"):
        check(len(mail.get_all(name, [])) == 1, name, mail.get_all(name))
    check(mail.get_all("Bcc") is None and mail.get_all("Cc") is None, "a header was injected")
    check(mail["Auto-Submitted"] == "auto-generated", mail["Auto-Submitted"])
    check(mail["Message-ID"].endswith("@example.com>"), mail["Message-ID"])
    (sender,) = mail["From"].addresses
    check(sender.display_name == "Example, Inc. (Billing)", sender)
    check(sender.addr_spec == "no-reply@example.com", sender)
    # The older functions of Python, which split at commas outside quotes.
    check(len(email.utils.getaddresses([str(mail["From"])])) == 1, mail["From"])
    check(len(mail["To"].addresses) == 1, mail["To"])
    check(mail.get_content_type() == "multipart/alternative", mail.get_content_type())
    plain, rich = mail.iter_parts()
    check(plain.get_content_type() == "text/plain" and rich.get_content_type() == "text/html", "parts")
    return mail, plain.get_content().replace("\r\n", "\n"), Page(rich.get_content())


def shown(text):
    """The words of a text, without the isolates, which HTML has as tags."""
    return text.replace(FSI, "").replace(PDI, "").split()


def check_template(kind, language, raw):
    mail, text, page = parse(raw)
    check(mail["Content-Language"] == language, mail["Content-Language"])
    (recipient,) = mail["To"].addresses
    check(recipient.addr_spec == "ada@example.com", recipient)
    check(recipient.display_name == "Ada Lovelace", recipient)
    check("Tokenhouse" in mail["Subject"], mail["Subject"])
    link = f"{PUBLIC_URL}/{kind}{TOKEN}"
    check(text.splitlines().count(link) == 1, "the text has no line with the link:", text)
    check(page.links.count(link) == 2 and None not in page.links, page.links)
    check(not page.loaded, "loads", page.loaded)
    has_code = kind in WITH_CODE
    check(text.splitlines().count(CODE) == has_code and page.words.count(CODE) == has_code, "code")
    check(not re.search(r"[{}]|\bnone\b|undefined", text), text)
    # Both parts say the same, in the same order; only colons of labels are missing in buttons.
    body, signature = text.rsplit("\n-- \n", 1)
    check(signature.split() == ["Tokenhouse", PUBLIC_URL], signature)
    words, said = ("".join(parts).replace(":", "") for parts in (shown(body), page.words))
    check(said == f"Tokenhouse{words}{PUBLIC_URL.replace(':', '')}", f"the parts differ:\n{words}\n{said}")
    minutes = {"en": "minutes", "de": "Minuten", "es": "minutos", "fr": "minutes"}[language]
    if has_code or kind == "invitation":
        check(f"30 {minutes}" in text, "no lifetime:", text)
    if kind == "new-device":
        check("2027-01-15 08:00 UTC" in text and "203.0.113.7" in text, text)


def check_templates(binary, folder):
    """N14, N35, N40: every mail in every language."""
    out = folder / "templates"
    tokenhouse = Tokenhouse(binary, folder, TOKENHOUSE_MAIL=f"file:{out}")

    def send(kind, language):
        arguments = ["ada@example.com", "--name", "Ada Lovelace", "--template", kind]
        code, output, _ = tokenhouse.test(*arguments, "--locale", language)
        check(code == 0, output)

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda pair: send(*pair), [(kind, language) for kind in KINDS for language in LANGUAGES]))
    files = list(out.glob("*.eml"))
    check(len(files) == len(KINDS) * len(LANGUAGES), files)
    for file in files:
        check(file.stat().st_mode & 0o777 == 0o600, "others may read", file)
        raw = file.read_bytes()
        kind = next(kind for kind in KINDS if f"-{kind}" in file.name)
        language = re.search(rb"^Content-Language: (..)", raw, re.MULTILINE)[1].decode()
        try:
            check_template(kind, language, raw)
        except Failed as failure:
            raise Failed(f"{kind} in {language}: {failure}") from None


def check_names(binary, folder):
    """N34, N39: names stay names."""
    for name, expected in NAMES:
        out = folder / f"names-{abs(hash(name))}"
        tokenhouse = Tokenhouse(binary, folder, TOKENHOUSE_MAIL=f"file:{out}")
        code, output, _ = tokenhouse.test("ada@example.com", "--name", name, "--template", "invitation")
        check(code == 0, output)
        (file,) = out.glob("*.eml")
        mail, text, _page = parse(file.read_bytes())
        (recipient,) = mail["To"].addresses
        check(recipient.addr_spec == "ada@example.com", recipient)
        check(recipient.display_name.split() == expected.split(), [recipient.display_name, expected])
        greeting = next(line for line in text.splitlines() if line.startswith("Hello"))
        check(greeting.startswith(f"Hello {FSI}") and greeting.endswith(f"{PDI},"), [greeting])


# Mail servers.


class Handler:
    """Answers as the recipient's name says, and keeps what arrives."""

    def __init__(self):
        self.mails, self.commands = [], []

    async def handle_MAIL(self, server, session, envelope, address, options):
        self.commands.append(("MAIL", session.ssl is not None, bool(session.authenticated)))
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(self, server, session, envelope, address, options):
        name = address.split("@")[0]
        answers = {
            "greylisted": "450 4.7.1 Greylisted, try again",
            "closing": "421 4.3.2 Shutting down",
            "unknown": "550 5.1.1 No such user",
            "long": "550 " + "x" * 400,
            "escape": "550 \x1b[31mred",
            "unlogged": "530 5.7.0 Authentication required",
        }
        if name in answers:
            return answers[name]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        name = envelope.rcpt_tos[0].split("@")[0]
        if name == "cut":
            server.transport.abort()
            await asyncio.sleep(0)
            return "250 OK"
        if name == "silent":
            await asyncio.sleep(WATCHDOG + 10)
        if name == "busy":
            return "451 4.3.0 Try again"
        if name == "spam":
            return "554 5.7.1 Refused as spam"
        self.mails.append(envelope)
        return "250 2.0.0 Queued as 4711"


def check_outcomes(binary, folder):
    """What a server answers decides whether a mail waits or has failed."""
    cases = [
        ("ada", 0, "250 2.0.0 Queued as 4711"),
        ("greylisted", 1, "450 4.7.1 Greylisted, try again; a mail would be tried again"),
        ("closing", 1, "421 4.3.2 Shutting down; a mail would be tried again"),
        ("unlogged", 1, "530 5.7.0 Authentication required; a mail would be tried again"),
        ("busy", 1, "451 4.3.0 Try again; a mail would be tried again"),
        ("unknown", 1, "550 5.1.1 No such user\n"),
        ("spam", 1, "554 5.7.1 Refused as spam\n"),
        ("cut", 1, "the mail may have arrived\n"),
    ]
    with aiosmtpd(Handler()) as (port, handler):
        tokenhouse = smtp(binary, folder, f"smtp://127.0.0.1:{port}?tls=none")
        for name, expected, words in cases:
            code, output, _ = tokenhouse.test(f"{name}@example.com")
            check(code == expected and words in output, name, code, output)
        code, output, _ = tokenhouse.test("long@example.com")
        check(code == 1 and len(output) < 400, "a long reply is cut", output)
        code, output, _ = tokenhouse.test("escape@example.com")
        check(code == 1 and "\x1b" not in output, [output])
        (envelope,) = handler.mails
        # The envelope has bare addresses.
        check(envelope.mail_from == "no-reply@example.com", envelope.mail_from)
        check(envelope.rcpt_tos == ["ada@example.com"], envelope.rcpt_tos)
        parse(envelope.original_content)
        # An internationalized domain is sent as DNS has it; a local part needs SMTPUTF8.
        code, output, _ = tokenhouse.test("ada@bücher.example")
        check(code == 0 and handler.mails[-1].rcpt_tos == ["ada@xn--bcher-kva.example"], output)
        code, output, _ = tokenhouse.test("ädä@example.com")
        check(code == 1 and "SMTPUTF8" in output, output)
        code, output, _ = tokenhouse.test("ada@example.com\r\nRCPT TO:<eve@example.com>")
        check(code == 1 and len(handler.mails) == 2, output)
    code, output, _ = smtp(binary, folder, f"smtp://127.0.0.1:{port}?tls=none").test("ada@example.com")
    check(code == 1 and "refused" in output and "tried again" in output, output)


@contextlib.contextmanager
def talking(talk):
    """A server that talks to each client by this function."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(client):
        with contextlib.suppress(OSError), client:
            talk(client)

    def accept():
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=serve, args=[client], daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()


def drip(client):
    """Never completes an answer, but never falls silent."""
    client.sendall(b"220 ")
    while True:
        client.sendall(b"x")
        time.sleep(0.5)


def be_mute(_client):
    time.sleep(WATCHDOG + 10)


def greet(client):
    """Speaks without TLS."""
    client.sendall(b"220 plain\r\n")
    time.sleep(WATCHDOG)


def check_stalls(binary, folder):
    """A server that does not answer costs 30 s at most."""

    def stalled(talk, url, words, seconds):
        with talking(talk) as port:
            code, output, took = smtp(binary, folder, url.format(port)).test("ada@example.com")
        check(code == 1 and words in output and took < seconds, talk, code, output, took)

    def silent_after_data():
        with aiosmtpd(Handler()) as (port, _):
            tokenhouse = smtp(binary, folder, f"smtp://127.0.0.1:{port}?tls=none")
            code, output, took = tokenhouse.test("silent@example.com")
        check(code == 1 and "may have arrived" in output and took < WATCHDOG + 5, code, output, took)

    waits = "a mail would be tried again"
    with concurrent.futures.ThreadPoolExecutor() as pool:
        for done in [
            pool.submit(stalled, be_mute, "smtp://127.0.0.1:{}?tls=none", "did not answer in time; " + waits, 15),
            pool.submit(stalled, be_mute, "smtps://127.0.0.1:{}", waits, 15),
            pool.submit(stalled, greet, "smtps://127.0.0.1:{}", waits, 15),
            pool.submit(stalled, drip, "smtp://127.0.0.1:{}?tls=none", waits, WATCHDOG + 5),
            pool.submit(silent_after_data),
        ]:
            done.result()


def authenticator(server, session, envelope, mechanism, data):
    from aiosmtpd.smtp import AuthResult

    is_right = (data.login.decode(), data.password.decode()) == (USER, PASSWORD)
    return AuthResult(success=is_right, handled=is_right)


class Certificates:
    """A throwaway authority."""

    def __init__(self, folder):
        import trustme

        self.authority = trustme.CA()
        self.file = folder / "authority.pem"
        self.authority.cert_pem.write_to_path(self.file)

    def issue(self, *names, **options):
        return self.authority.issue_cert(*names, **options)

    def context(self, *names, **options):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.issue(*names, **options).configure_cert(context)
        return context


def check_passwords(binary, folder, certificates):
    """N32: AUTH, and when there is none."""
    trusted = {"SSL_CERT_FILE": str(certificates.file)}
    tls = certificates.context("localhost")

    def run(url, expected, words, **options):
        with aiosmtpd(Handler(), authenticator=authenticator, **options) as (port, handler):
            code, output, _ = smtp(binary, folder, url.format(port), **trusted).test("ada@example.com")
            check(code == expected and words in output, url, code, output)
            return output, handler

    plain_text = {"auth_require_tls": False}
    for excluded, mechanism in (["LOGIN"], "PLAIN"), (["PLAIN"], "LOGIN"), ([], "PLAIN"):
        output, handler = run(
            f"smtp://{URL_CREDENTIALS}@127.0.0.1:{{}}?tls=none",
            0,
            f"authentication {mechanism}",
            auth_exclude_mechanism=excluded,
            **plain_text,
        )
        check(handler.commands == [("MAIL", False, True)], handler.commands)
    # Without a user there is no AUTH.
    for url in ("smtp://127.0.0.1:{}?tls=none", "smtp://:@127.0.0.1:{}?tls=none"):
        output, handler = run(url, 0, "authentication none", **plain_text)
        check(handler.commands == [("MAIL", False, False)], handler.commands)
    # AUTH only after STARTTLS.
    output, handler = run(f"smtp://{URL_CREDENTIALS}@localhost:{{}}", 0, "STARTTLS", tls=tls)
    check("authentication PLAIN" in output and handler.commands == [("MAIL", True, True)], output)
    # No password in the clear, whatever the server offers.
    for mode in ("required", "opportunistic"):
        url = f"smtp://{URL_CREDENTIALS}@127.0.0.1:{{}}?tls={mode}"
        output, handler = run(url, 1, "offers no STARTTLS, so nothing was sent", **plain_text)
        check(handler.commands == [], handler.commands)
    output, handler = run("smtp://127.0.0.1:{}?tls=opportunistic", 0, "encryption     none")
    # A server without AUTH, and a wrong password.
    no_auth = {"auth_exclude_mechanism": ["PLAIN", "LOGIN"], **plain_text}
    url = f"smtp://{URL_CREDENTIALS}@127.0.0.1:{{}}?tls=none"
    output, handler = run(url, 1, "neither AUTH PLAIN nor AUTH LOGIN; a mail would", **no_auth)
    url = "smtp://ada%40example.com:wrong@127.0.0.1:{}?tls=none"
    output, handler = run(url, 1, "AUTH PLAIN is refused: 535", **plain_text)
    check("tried again" in output and handler.commands == [], output)


def check_certificates(binary, folder, certificates):
    """N33: the certificate must be valid for the server."""
    trusted = {"SSL_CERT_FILE": str(certificates.file)}
    other = certificates.context("mail.example.com", "smtp.example.com")
    yesterday = datetime.now(timezone.utc) - timedelta(days=1)
    expired = certificates.context("localhost", not_before=yesterday - timedelta(days=9), not_after=yesterday)
    right = certificates.context("localhost", "127.0.0.1")
    cases = [
        (right, "smtp://localhost:{}", True, 0, "encryption     STARTTLS"),
        (right, "smtp://127.0.0.1:{}", True, 0, "encryption     STARTTLS"),
        (right, "smtp://localhost:{}?tls=opportunistic", True, 0, "encryption     STARTTLS"),
        (right, "smtps://localhost:{}", True, 0, "encryption     TLS"),
        (other, "smtp://localhost:{}?tls-host=mail.example.com", True, 0, "STARTTLS"),
        (other, "smtps://127.0.0.1:{}?tls-host=smtp.example.com", True, 0, "TLS"),
        (
            other,
            "smtp://localhost:{}",
            True,
            1,
            "the certificate is for mail.example.com, smtp.example.com, not for localhost; if that is the "
            "right server, add tls-host=mail.example.com to TOKENHOUSE_SMTP_URL; a mail would be tried again",
        ),
        (other, "smtps://127.0.0.1:{}", True, 1, "not for 127.0.0.1"),
        (other, "smtp://localhost:{}?tls=opportunistic", True, 1, "not for localhost"),
        (expired, "smtp://localhost:{}", True, 1, "the certificate has expired"),
        (right, "smtp://localhost:{}", False, 1, "does not trust"),
    ]
    for tls, url, is_trusted, expected, words in cases:
        implicit = url.startswith("smtps")
        with aiosmtpd(Handler(), tls=tls, implicit=implicit) as (port, handler):
            settings = trusted if is_trusted else {}
            code, output, _ = smtp(binary, folder, url.format(port), **settings).test("ada@example.com")
        check(code == expected and words in output, url, code, output)
        check(len(handler.mails) == (expected == 0), url, "a mail was sent")


EXIM_CONF = """
primary_hostname = mail.example.com
spool_directory = {folder}/spool
log_file_path = {folder}/log-%s
pid_file_path = {folder}/pid
local_interfaces = 127.0.0.1
daemon_smtp_ports = {starttls} : {tls}
tls_on_connect_ports = {tls}
tls_certificate = {folder}/mail.pem
tls_privatekey = {folder}/mail.key
tls_advertise_hosts = *
auth_advertise_hosts = ${{if eq{{$tls_in_cipher}}{{}}{{}}{{*}}}}
acl_smtp_rcpt = recipients
begin acl
recipients:
  accept authenticated = *
  deny message = relay not permitted
begin routers
all:
  driver = manualroute
  route_list = * 127.0.0.1 byname
  self = send
  transport = sink
begin transports
sink:
  driver = smtp
  port = {sink}
  allow_localhost
  hosts_avoid_tls = *
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${{if and{{{{eq{{$auth2}}{{ada}}}}{{eq{{$auth3}}{{mulberry-Tram-71}}}}}}}}
  server_set_id = $auth2
"""


@contextlib.contextmanager
def exim(folder, certificates, sink):
    """Runs Exim, which relays to the port `sink`; yields its ports for STARTTLS and TLS."""
    from trustme import KeyType

    program_file = program("exim4", "exim4-daemon-light")
    folder = folder / "exim"
    folder.mkdir()
    # Its processes run as a user of their own.
    folder.parent.chmod(0o755)
    folder.chmod(0o777)
    ports = {"starttls": free_port(), "tls": free_port()}
    issued = certificates.issue("mail.example.com", key_type=KeyType.RSA)
    (folder / "mail.pem").write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
    (folder / "mail.key").write_bytes(issued.private_key_pem.bytes())
    configuration = folder / "exim.conf"
    configuration.write_text(EXIM_CONF.format(folder=folder, sink=sink, **ports))
    configuration.chmod(0o644)
    command = [program_file, "-C", configuration, "-bdf", "-q1m"]
    with (folder / "output").open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL)

    def log():
        return "".join(file.read_text() for file in [folder / "output", *folder.glob("log-*")])

    try:
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", ports["tls"]), 1):
                break
            if process.poll() is not None or time.monotonic() > deadline:
                raise Failed(f"Exim did not start:\n{log()}")
            time.sleep(0.1)
        yield ports["starttls"], ports["tls"], log
    finally:
        process.terminate()
        process.wait()


def check_exim(binary, folder, certificates):
    """A server that is used in earnest: TLS in both ways, AUTH, a queue."""
    with aiosmtpd(Handler()) as (sink, handler), exim(folder, certificates, sink) as (starttls, tls, log):
        settings = {"SSL_CERT_FILE": str(certificates.file)}
        login = "ada:mulberry-Tram-71@127.0.0.1"
        host = "tls-host=mail.example.com"
        arguments = ["bob@example.org", "--template", "reset-password", "--locale", "de", "--name", "Löst, Ann"]
        for url, encryption in [
            (f"smtp://{login}:{starttls}?{host}", "STARTTLS"),
            (f"smtps://{login}:{tls}?{host}", "TLS"),
        ]:
            code, output, _ = smtp(binary, folder, url, **settings).test(*arguments)
            check(code == 0 and f"encryption     {encryption}" in output, output, log())
            check("authentication PLAIN" in output and "mulberry" not in output, output)
        for url, words in [
            (f"smtp://127.0.0.1:{starttls}?{host}", "550"),
            (f"smtp://ada:wrong@127.0.0.1:{starttls}?{host}", "AUTH PLAIN is refused: 535"),
            (f"smtp://{login}:{starttls}", "the certificate is for mail.example.com, not for 127.0.0.1"),
        ]:
            code, output, _ = smtp(binary, folder, url, **settings).test(*arguments)
            check(code == 1 and words in output, url, output, log())
        deadline = time.monotonic() + START_TIMEOUT
        while len(handler.mails) < 2 and time.monotonic() < deadline:
            time.sleep(0.1)
        check(len(handler.mails) == 2, "Exim relayed", len(handler.mails), log())
        for envelope in handler.mails:
            check(envelope.rcpt_tos == ["bob@example.org"], envelope.rcpt_tos)
            # What servers on the way add.
            raw = re.sub(rb"\AReceived:.*\r\n([ \t].*\r\n)*", b"", envelope.original_content)
            mail, text, page = parse(raw)
            link = f"{PUBLIC_URL}/reset-password{TOKEN}"
            check(link in text.splitlines() and link in page.links and CODE in text, text)
            check(mail["To"].addresses[0].display_name == "Löst, Ann", mail["To"])


def main():
    options = argument_parser(__doc__).parse_args()
    if not options.binary.exists():
        sys.exit(f"{options.binary} does not exist: build it, or pass --binary")
    failed = False
    with tempfile.TemporaryDirectory(prefix="tokenhouse-mail-") as folder:
        folder = Path(folder)
        certificates = Certificates(folder)
        checks = [
            (check_templates, []),
            (check_names, []),
            (check_outcomes, []),
            (check_passwords, [certificates]),
            (check_certificates, [certificates]),
            (check_exim, [certificates]),
            (check_stalls, []),
        ]
        for function, arguments in checks:
            started = time.monotonic()
            try:
                function(options.binary, folder, *arguments)
                result = "ok"
            except Failed as failure:
                result, failed = f"FAILED: {failure}", True
            except Exception:
                result, failed = f"FAILED: {traceback.format_exc()}", True
            print(f"{function.__doc__.splitlines()[0]} {result} ({time.monotonic() - started:.1f} s)", flush=True)
    sys.exit(failed)


enter_venv("mail", PACKAGES)
main()
