#!/usr/bin/env python3
"""Presses every button of the gate's pages in Firefox and WebKit.

    scripts/browsers-test.py [--binary PATH]

A browser writes "null" into the header Origin of a form whose page was sent with "Referrer-Policy:
no-referrer"; programs never do, so only browsers show that such a form is accepted. Signs up, out and in,
and follows the links of mails: on http://localhost, and over https behind nginx, which adds that header
to every page. Firefox does the same without JavaScript. On plain http with the name of a machine in the
network, where browsers drop the cookie, each page must say so in place of a form. Installs Debian's
firefox-esr, webkit2gtk-driver, xvfb and nginx if they are missing and the user is root.
"""

import contextlib
import subprocess
import sys
import tempfile
from pathlib import Path

from support.mail_scanner import Folder, token_of
from support.other_browsers import PACKAGES, firefox, webkit
from support.programs import program
from support.server import PASSWORD, argument_parser, enter_venv, running, send
from support.smtp import free_port

NEW_PASSWORD = "another-Tram-72"

# A name that the browsers find by a proxy, and no other program.
LAN_NAME = "box.lan"

NGINX = """
daemon off;
pid {folder}/nginx.pid;
error_log stderr error;
worker_processes 1;
events {{}}
http {{
    log_format origins "$request_method $http_origin";
    log_format fetches "$host $http_sec_fetch_site";
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port}{tls};
        access_log {folder}/log {log};
        location / {{
            proxy_pass http://127.0.0.1:{behind};
            proxy_set_header Host $host:$server_port;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto $scheme;
            {header}
        }}
    }}
}}
"""

TLS = """ ssl;
        ssl_certificate {folder}/certificate.pem;
        ssl_certificate_key {folder}/key.pem"""


@contextlib.contextmanager
def nginx(folder, **values):
    """Runs nginx in front of a port, with its files in a folder."""
    config = folder / "nginx.conf"
    config.write_text(NGINX.format(folder=folder, **values))
    arguments = ["-p", folder, "-c", config, "-e", "stderr"]
    proxy = subprocess.Popen([program("nginx", "nginx"), *arguments])
    try:
        yield folder / "log"
    finally:
        proxy.terminate()
        proxy.wait()


@contextlib.contextmanager
def with_tls(port, behind):
    """Runs nginx with TLS. Fails if no form came from the origin "null"."""
    with tempfile.TemporaryDirectory(prefix="tokenhouse-nginx-") as folder:
        subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
        files = ["-keyout", f"{folder}/key.pem", "-out", f"{folder}/certificate.pem"]
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        command = [program("openssl", "openssl"), "req", "-x509", *key, *files, *subject]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        header = "add_header Referrer-Policy no-referrer always;"
        tls = TLS.format(folder=folder)
        with nginx(Path(folder), port=port, behind=behind, tls=tls, log="origins", header=header) as log:
            yield
        if "POST null" not in log.read_text().splitlines():
            raise RuntimeError('no browser has sent "Origin: null"')


@contextlib.contextmanager
def as_proxy(port, behind):
    """Runs nginx as the proxy of browsers. Fails if one of them sends what it sends only to trustworthy origins."""
    with tempfile.TemporaryDirectory(prefix="tokenhouse-proxy-") as folder:
        with nginx(Path(folder), port=port, behind=behind, tls="", log="fetches", header="") as log:
            yield
        lines = [line for line in log.read_text().splitlines() if line.startswith(LAN_NAME)]
        if not lines or any(line != f"{LAN_NAME} -" for line in lines):
            raise RuntimeError(f"browsers have sent {set(lines)}")


class Visit:
    """What a person does at one address of the service, which programs reach at `direct`."""

    def __init__(self, tab, base, direct, mails):
        self.tab, self.base, self.direct, self.mails, self.pressed = tab, base, direct, mails, 0

    def submit(self, path, action, fields, arrives):
        """Opens a page, and fills in and sends its form with this action. Fails unless it leads to `arrives`."""
        form = f'form[action="{action}"]'
        self.tab.open(self.base + path)
        for name, text in fields.items():
            self.tab.fill(f"{form} [name={name}]", text)
        self.tab.press(f"{form} button")
        self.pressed += 1
        url = self.tab.url()
        if not url.startswith(self.base + arrives):
            text = " ".join(self.tab.text().split())[:200]
            raise RuntimeError(f"{self.tab.name}: {path} led to {url}: {text}")

    def follow(self, kind, email, path, fields, arrives):
        """Waits for a mail, and uses its link."""
        for found, mail in self.mails.next((kind, email)):
            if (found, mail["To"].addresses[0].addr_spec) == (kind, email):
                self.submit(f"{path}?t={token_of(mail)}", f"{path}/form", fields, arrives)

    def go_through(self, email):
        person = {"name": "Ada Lovelace", "email": email, "password": PASSWORD}
        self.submit("/signup", "/signup", person, "/account")
        self.submit("/account", "/signout", {}, "/signin")
        self.submit("/signin", "/signin", {"email": email, "password": PASSWORD}, "/account")
        self.submit("/account", "/signout", {}, "/signin")
        send("POST", f"{self.direct}/verify-email/request", {"email": email})
        self.follow("verify-address", email, "/verify-email", {}, "/signin?address-confirmed")
        self.submit("/forgot-password", "/forgot-password/form", {"email": email}, "/reset-password?sent")
        new = {"password": NEW_PASSWORD}
        self.follow("reset-password", email, "/reset-password", new, "/signin?password-reset")
        self.submit("/signin", "/signin", {"email": email, "password": NEW_PASSWORD}, "/account")


def visit_all(binary, base, port, mails):
    """Goes through the pages at this address in all browsers; returns how many buttons were pressed."""
    settings = {
        "TOKENHOUSE_BIND": f"127.0.0.1:{port}",
        "TOKENHOUSE_PUBLIC_URL": base,
        "TOKENHOUSE_TRUSTED_PROXIES": "127.0.0.1",
        "TOKENHOUSE_MAIL": f"file:{mails}",
    }
    pressed, mails = 0, Folder(mails)
    with running(binary, **settings) as direct:
        browsers = {
            "firefox": firefox(scripts=True),
            "firefox-without-scripts": firefox(scripts=False),
            "webkit": webkit(),
        }
        for name, browser in browsers.items():
            with browser as tab:
                visit = Visit(tab, base, direct, mails)
                visit.go_through(f"{name}@example.com")
            print(f"{base}: {name}: {visit.pressed} buttons")
            pressed += visit.pressed
    return pressed


def visit_by_plain_http(binary):
    """Opens the pages by a name in the network, and looks that none has a form."""
    port, proxy = free_port(), free_port()
    base = f"http://{LAN_NAME}:{proxy}"
    settings = {"TOKENHOUSE_BIND": f"127.0.0.1:{port}", "TOKENHOUSE_PUBLIC_URL": base}
    with running(binary, **settings), as_proxy(proxy, port):
        for browser in (firefox(scripts=True, proxy=proxy), webkit(proxy=proxy)):
            with browser as tab:
                for path in ("/signin", "/signup", "/reset-password?t=x", "/account"):
                    tab.open(base + path)
                    text = " ".join(tab.text().split())
                    if "needs https" not in text or tab.has("form"):
                        raise RuntimeError(f"{tab.name}: {base}{path} shows {text[:200]}")
            print(f"{base}: {tab.name}: explained in place of a form")


def main():
    enter_venv("browsers", PACKAGES)
    options = argument_parser(__doc__).parse_args()
    with tempfile.TemporaryDirectory(prefix="tokenhouse-browsers-") as folder:
        folders = [Path(folder) / name for name in ("plain", "tls")]
        for mails in folders:
            mails.mkdir()
        port, behind, public = free_port(), free_port(), free_port()
        pressed = visit_all(options.binary, f"http://localhost:{port}", port, folders[0])
        with with_tls(public, behind):
            pressed += visit_all(options.binary, f"https://localhost:{public}", behind, folders[1])
    visit_by_plain_http(options.binary)
    print(f"{pressed} buttons pressed, and each has led on")
    return 0


if __name__ == "__main__":
    sys.exit(main())
