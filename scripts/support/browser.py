"""Chromium, and a page whose requests and errors are recorded."""

import os
from urllib.parse import urlsplit

from support.programs import program
from support.server import ROOT

# What scripts with a browser install into their virtual environment.
PACKAGES = ["playwright==1.65.2"]

SCREENSHOTS = ROOT / "target" / "screenshots"

# In milliseconds.
PAGE_TIMEOUT = 20_000

# Without Chromium's own background requests, which would count as requests of the page.
FLAGS = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def launch(playwright):
    """Starts a headless browser."""
    return playwright.chromium.launch(
        executable_path=program("chromium", "chromium"),
        # Chromium's sandbox does not work for root.
        chromium_sandbox=os.geteuid() != 0,
        args=FLAGS,
    )


class MonitoredPage:
    """A page whose requests and errors are recorded."""

    def __init__(self, page, base):
        self.page, self.base = page, base
        self.problems, self.requests, self.screenshots = [], 0, 0
        # Other origins to which a step leads.
        self.allowed_origins = set()
        # The error status that a step expects, which Chromium reports on the console.
        self.expected_status = None
        page.set_default_timeout(PAGE_TIMEOUT)
        page.on("request", self.check_request)
        page.on("console", self.check_console)
        page.on("pageerror", lambda error: self.problems.append(f"exception: {error}"))

    def check_request(self, request):
        self.requests += 1
        address = urlsplit(request.url)
        is_own = address.scheme in ("data", "blob") or address.netloc == urlsplit(self.base).netloc
        if not is_own and f"{address.scheme}://{address.netloc}" not in self.allowed_origins:
            self.problems.append(f"request to another host: {request.url}")

    def check_console(self, message):
        expected = self.expected_status and f"status of {self.expected_status} " in message.text
        if message.type in ("error", "warning") and not expected:
            self.problems.append(f"console: {message.text}")

    def screenshot(self, name, **options):
        self.screenshots += 1
        file = f"{type(self).__name__}-{self.screenshots:02}-{name}.png"
        self.page.screenshot(path=SCREENSHOTS / file, **options)

    def report(self, name):
        """Prints the problems, not between the lines of other pages, and returns whether there are none."""
        lines = [f"{name}: {problem}\n" for problem in self.problems]
        lines.append(f"{name}: {self.requests} requests, {len(self.problems)} problems\n")
        print("".join(lines), end="", flush=True)
        return not self.problems
