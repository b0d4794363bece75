"""A scanner of mails, as mail servers have them: it opens and renders every link before the recipient does."""

import email
import email.policy
import html
import os
import re
import subprocess
import tempfile
import time
from pathlib import Path

from support.browser import MonitoredPage
from support.server import PASSWORD, register, running, send, sign_in
from support.smtp import free_port

ADMIN = "admin@example.com"

# How long the mails of a round may take, in seconds.
MAIL_TIMEOUT = 30

# The mails with a token, and what their links are for: the path, and what the form has besides the token.
USES = {
    "verify-address": ("/verify-email", {}),
    "reset-password": ("/reset-password", {"password": "another-Tram-72"}),
    "confirm-change": ("/change-email", {}),
    "address-changed": ("/change-email/undo", {}),
    "invitation": ("/invitations/accept", {"surname": "Guest", "password": "another-Tram-72"}),
}


class Folder:
    """The folder into which a service writes its mails."""

    def __init__(self, path):
        self.path, self.seen = path, set()

    def next(self, *wanted):
        """Waits until there is a new mail of each of these kinds and addresses; returns all new ones."""
        wanted, found = set(wanted), []
        deadline = time.monotonic() + MAIL_TIMEOUT
        while wanted:
            if time.monotonic() > deadline:
                raise RuntimeError(f"no mail {wanted}")
            for file in sorted(self.path.glob("*.eml")):
                if file.name in self.seen:
                    continue
                self.seen.add(file.name)
                mail = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
                kind = file.stem.split("-", 1)[1]
                wanted.discard((kind, mail["To"].addresses[0].addr_spec))
                found.append((kind, mail))
            time.sleep(0.02)
        return found


def links(mail):
    """All links of both parts."""
    text = mail.get_body(("plain",)).get_content()
    page = mail.get_body(("html",)).get_content()
    found = re.findall(r"https?://\S+", text) + re.findall(r'href="([^"]+)"', page)
    return {html.unescape(link) for link in found}


def cause(base, folder, admin, number):
    """Causes a mail of each kind with a token, to users of their own."""

    def user(name):
        address = f"{name}{number}@example.com"
        register(base, address)
        return address

    send("POST", f"{base}/verify-email/request", {"email": user("verify")})
    send("POST", f"{base}/forgot-password", {"email": user("reset")})
    for name in ("change", "undo"):
        token = sign_in(base, user(name))
        body = {"email": f"{name}{number}@example.org", "password": PASSWORD}
        send("POST", f"{base}/users/me/email", body, token)
    invited = {"email": f"guest{number}@example.org", "name": "Gloria Guest"}
    send("POST", f"{base}/admin/invitations", invited, admin)
    mails = folder.next(
        ("verify-address", f"verify{number}@example.com"),
        ("reset-password", f"reset{number}@example.com"),
        ("confirm-change", f"change{number}@example.org"),
        ("confirm-change", f"undo{number}@example.org"),
        ("invitation", f"guest{number}@example.org"),
    )
    for kind, mail in list(mails):
        if kind == "confirm-change" and mail["To"].addresses[0].username.startswith("undo"):
            mails.remove((kind, mail))
            send("POST", f"{base}/change-email", {"token": token_of(mail)})
    return mails + folder.next(("address-changed", f"undo{number}@example.com"))


def token_of(mail):
    """The token of the only link that has one."""
    (token,) = {link.split("?t=")[1] for link in links(mail) if "?t=" in link}
    return token


def scan(page, link):
    """Opens a link as scanners do, and everything to which its page leads."""
    client = page.page.request
    answers = [client.head(link), client.get(link), client.get(link)]
    page.page.goto(link)
    page.page.wait_for_load_state("load")
    opened = set(page.page.evaluate("[...document.links].map(link => link.href)"))
    answers += [client.get(other) for other in opened]
    page.problems += [f"{answer.status}: {answer.url}" for answer in answers if not answer.ok]
    return 1 + len(answers)


def scan_mails(browser, binary, count):
    """Scans at least `count` mails, and then uses each token; returns whether all of them worked."""
    with tempfile.TemporaryDirectory(prefix="tokenhouse-scanner-") as folder:
        port, mails = free_port(), Path(folder) / "mails"
        mails.mkdir()
        settings = {
            "DATABASE_URL": f"sqlite://{folder}/tokenhouse.db",
            "TOKENHOUSE_BIND": f"127.0.0.1:{port}",
            "TOKENHOUSE_PUBLIC_URL": f"http://127.0.0.1:{port}",
            "TOKENHOUSE_MAIL": f"file:{mails}",
            "TOKENHOUSE_MAIL_PER_HOUR": "1000000",
            "RUST_LOG": "error",
        }
        with running(binary, **settings) as base:
            register(base, ADMIN)
            environment = {"PATH": os.environ["PATH"], "DATABASE_URL": settings["DATABASE_URL"]}
            grant = [binary.resolve(), "user", "grant", ADMIN, "users:write"]
            subprocess.run(grant, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
            folder, admin, found = Folder(mails), sign_in(base, ADMIN), []
            while len(found) < count:
                found += cause(base, folder, admin, len(found))
            context = browser.new_context(locale="en-GB", extra_http_headers={"Accept": "text/html"})
            page = MonitoredPage(context.new_page(), base)
            opened = sum(scan(page, link) for _, mail in found for link in links(mail))
            context.close()
            used = 0
            for kind, mail in found:
                if kind in USES:
                    path, fields = USES[kind]
                    try:
                        send("POST", base + path, {"token": token_of(mail), **fields})
                        used += 1
                    except RuntimeError as error:
                        page.problems.append(f"{kind} to {mail['To']}: {error}")
            print(f"scanner: {len(found)} mails, {opened} requests, then {used} tokens were used")
            return page.report("scanner of mails")
