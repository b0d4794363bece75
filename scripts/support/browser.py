"""Chromium, and a page in it of which every request and every error is noticed."""

import os
import shutil
import subprocess
import sys
from urllib.parse import urlsplit

from support.server import ROOT

SCREENSHOTS = ROOT / "target" / "screenshots"

# Milliseconds.
APPEARS_WITHIN = 20_000

# What Chromium asks Google for by itself is not to be mistaken for what the page asks for.
FLAGS = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def chromium():
    """The browser's path."""
    found = shutil.which("chromium")
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(["apt-get", "update", "--quiet"], check=True)
        install = ["apt-get", "install", "--quiet", "--yes", "--no-install-recommends"]
        subprocess.run([*install, "chromium"], check=True)
        found = shutil.which("chromium")
    return found or sys.exit("install chromium first")


def launch(playwright):
    """Starts the browser, without a window."""
    return playwright.chromium.launch(
        executable_path=chromium(),
        # Chromium's sandbox does not work for root.
        chromium_sandbox=os.geteuid() != 0,
        args=FLAGS,
    )


class Watched:
    """A page, and what went wrong in it."""

    def __init__(self, page, base):
        self.page, self.base = page, base
        self.problems, self.requests, self.screenshots = [], 0, 0
        # What a step answers other than success, and Chromium therefore writes to the console.
        self.expected_status = None
        page.set_default_timeout(APPEARS_WITHIN)
        page.on("request", self.check_request)
        page.on("console", self.check_console)
        page.on("pageerror", lambda error: self.problems.append(f"exception: {error}"))

    def check_request(self, request):
        self.requests += 1
        address = urlsplit(request.url)
        inside = address.scheme in ("data", "blob") or address.netloc == urlsplit(self.base).netloc
        if not inside:
            self.problems.append(f"asked {address.netloc} for {request.url}")

    def check_console(self, message):
        expected = self.expected_status and f"status of {self.expected_status} " in message.text
        if message.type in ("error", "warning") and not expected:
            self.problems.append(f"console: {message.text}")

    def screenshot(self, name, **options):
        self.screenshots += 1
        file = f"{type(self).__name__}-{self.screenshots:02}-{name}.png"
        self.page.screenshot(path=SCREENSHOTS / file, **options)

    def report(self, name):
        """Prints the problems; gives whether there are none."""
        for problem in self.problems:
            print(f"{name}: {problem}")
        print(f"{name}: {self.requests} requests, {len(self.problems)} problems")
        return not self.problems
