#!/usr/bin/env python3
"""Uses the pages in Chromium like a person: without JavaScript, by keyboard, on a phone.

    scripts/pages-test.py [--binary PATH] [--save] [--scan MAILS]

Signs up, in and out, and changes what an account page can change. Checks that no page sends a request to
another host, writes an error to the console, violates its content security policy or scrolls
sideways; that axe-core finds nothing on any page, in light and dark, on a phone and a desktop; that
nothing private is shown after a sign-out; that a scanner of mails, which opens and renders every link, spends
none; and how heavy the sign-in page and the console are. Saves
screenshots of all pages in target/screenshots, and with --save those of the README in docs/images.
Installs Debian's chromium if it is missing and the user is root; the first run installs playwright
into target/venvs/browser and axe-core (MPL-2.0) into target/node/axe.
"""

import base64
import hmac
import json
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from urllib.parse import urlencode

from support import console, factor_pages, mail_scanner
from support.browser import PACKAGES, SCREENSHOTS, MonitoredPage, launch
from support.programs import program
from support.server import PASSWORD, ROOT, argument_parser, enter_venv, register, running, sign_in

AXE = "axe-core@4.14.1"

# The rules of WCAG 2.2, levels A and AA, and axe-core's own.
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]

SIZES = {"desktop": (1280, 800), "phone": (390, 844)}

# Pages of the account, with the name of their screenshot.
ACCOUNT = {
    "profile": "/account",
    "password": "/account/password",
    "factors": "/account/factors",
    "sessions": "/account/sessions",
    "keys": "/account/keys",
    "events": "/account/events",
    "delete": "/account/delete",
}

# Where mails lead.
MAIL_STEPS = {
    "forgot": "/forgot-password",
    "reset": "/reset-password?t=tke_x",
    "reset-code": "/reset-password?sent",
    "verify": "/verify-email?t=tke_x",
    "verify-code-de": "/verify-email?lang=de",
    "change": "/change-email?t=tke_x&lang=en",
    "undo": "/change-email/undo?t=tke_x",
    "invitation": "/invitations/accept?t=tke_x",
}

# Pages of the console. The second user has sessions, the third a long name.
CONSOLE = {
    "overview": "/console",
    "overview-week": "/console?hours=168",
    "users": "/console/users",
    "users-none": "/console/users?q=nobody+at+all",
    "user": "/console/users/2",
    "user-long": "/console/users/3",
    "user-new": "/console/users/new",
    "console-events": "/console/events",
    "apps": "/console/apps",
    "mail": "/console/mail?kind=invitation&locale=de",
    "settings": "/console/settings",
    "health": "/console/health",
}

# The most bytes of a page of the console, with its stylesheets and the logo.
CONSOLE_LIMIT = 100_000

# The bytes of the page that is shown, with its files, also of those that the browser has kept.
WEIGHT = "performance.getEntries().reduce((sum, entry) => sum + (entry.decodedBodySize || 0), 0)"

# A host behind a proxy.
GUARDED = "https://app.example.com"

# The mails whose links a scanner opens, at least.
SCANNED = 20

# The screenshots of the README.
IMAGES = ["sign-in", "overview"]


def axe_source():
    """Returns axe-core, which npm downloads once."""
    folder = ROOT / "target" / "node" / "axe"
    file = folder / "package" / "axe.min.js"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        pack = [program("npm", "npm"), "pack", AXE, "--silent"]
        archive = subprocess.run(pack, cwd=folder, check=True, stdout=subprocess.PIPE, text=True)
        subprocess.run(["tar", "-xzf", archive.stdout.strip()], cwd=folder, check=True)
    return file.read_text()


class Pages(MonitoredPage):
    """The pages in one size and colour scheme."""

    def __init__(self, page, base, label, axe=None):
        super().__init__(page, base)
        self.label, self.axe = label, axe

    def open(self, path):
        self.page.goto(self.base + path)

    def look(self, name):
        """Takes a screenshot, and checks the page that is shown."""
        file = SCREENSHOTS / f"pages-{name}-{self.label}.png"
        self.page.screenshot(path=file, full_page=True)
        if self.axe is None:
            return
        root = "document.documentElement"
        if self.page.evaluate(f"{root}.scrollWidth > {root}.clientWidth"):
            self.problems.append(f"{name} scrolls sideways")
        self.page.evaluate(self.axe)
        found = self.page.evaluate(f"axe.run({json.dumps({'runOnly': TAGS})})")
        for violation in found["violations"]:
            nodes = [node["html"] for node in violation["nodes"]]
            self.problems.append(f"{name}: {violation['id']}: {violation['help']}: {nodes[:3]}")

    def press(self, name):
        self.page.get_by_role("button", name=name, exact=True).first.click()

    def sign_in(self, email, password=PASSWORD):
        self.open("/signin")
        self.page.fill("#email", email)
        self.page.fill("#password", password)
        self.page.locator("main button").first.click()


def look_at_everything(browser, base, axe):
    """Every page, in every size and scheme."""
    good = True
    for size, (width, height) in SIZES.items():
        for scheme in ("light", "dark"):
            context = browser.new_context(
                viewport={"width": width, "height": height}, color_scheme=scheme, locale="en-GB"
            )
            pages = Pages(context.new_page(), base, f"{size}-{scheme}", axe)
            email = f"{size}-{scheme}@example.com"
            visit(pages, email)
            good &= pages.report(f"pages on a {size}, {scheme}")
            context.close()
    return good


def visit(pages, email):
    pages.open("/signup")
    pages.look("sign-up")
    pages.expected_status = 422
    pages.page.fill("#email", "no address")
    pages.press("Create account")
    pages.look("sign-up-refused")
    pages.page.fill("#name", "Ada Augusta King-Noel, Countess of Lovelace \u05e2\u05d3\u05d4")
    pages.page.fill("#email", email)
    pages.page.fill("#password", PASSWORD)
    pages.press("Create account")
    pages.page.wait_for_url("**/account")
    for device in ("Ada's telephone with a name that is longer than others", "\u05d8\u05dc\u05e4\u05d5\u05df"):
        sign_in(pages.base, email, device_name=device)
    for name, path in ACCOUNT.items():
        pages.open(path)
        pages.look(name)
    pages.open("/account/sessions")
    pages.page.locator("summary").first.click()
    pages.look("session-rename")
    pages.page.locator(".rename input[type=text]").first.fill(" ")
    pages.page.locator(".rename button").first.click()
    pages.page.locator("[aria-invalid]").wait_for()
    pages.look("session-rename-refused")
    pages.open("/account/keys")
    pages.page.fill("#name", "backup script")
    pages.press("Create key")
    pages.page.locator(".secret").wait_for()
    pages.look("key-created")
    pages.open("/account/keys")
    pages.look("keys-filled")
    look_at_factors(pages, email)
    pages.open("/account/password")
    pages.press("Change password")
    pages.look("password-refused")
    pages.press("Sign out")
    pages.look("signed-out")
    for name, path in MAIL_STEPS.items():
        pages.open(path)
        pages.look(name)
    pages.expected_status = 401
    pages.sign_in(email, "wrong")
    pages.look("sign-in-refused")
    pages.expected_status = 403
    pages.open("/signin/continue")
    pages.look("cookie-lost")
    pages.expected_status = None
    for language in ("de", "es", "fr"):
        pages.open(f"/signin?lang={language}")
        pages.look(f"sign-in-{language}")
    pages.open("/signin?lang=en")
    pages.look("sign-in")
    look_at_way_back(pages, email)


def look_at_factors(pages, email):
    """An authenticator app is added, used and removed."""
    pages.open("/account/factors")
    pages.press("Continue")
    secret = pages.page.locator("input[name=secret]").get_attribute("value")
    pages.look("factor-new")
    pages.page.fill("#otp", "no code")
    pages.press("Turn on")
    pages.page.locator("[aria-invalid]").wait_for()
    pages.look("factor-refused")
    pages.page.fill("#otp", totp(secret))
    pages.press("Turn on")
    pages.page.locator(".codes").wait_for()
    pages.look("recovery-codes")
    pages.page.get_by_role("link", name="I have saved them").click()
    pages.look("factors-filled")
    pages.press("Sign out")
    pages.sign_in(email)
    pages.page.locator("#code").wait_for()
    pages.look("second-factor")
    # That of the present step has been used.
    pages.page.fill("#code", totp(secret, 1))
    pages.page.locator("main button").first.click()
    pages.page.wait_for_url("**/account")
    pages.open("/account/factors")
    pages.page.locator("summary", has_text="Remove").first.click()
    pages.look("factor-remove")
    pages.press("Remove for good")
    pages.page.get_by_text("Sign-ins no longer ask for it.").wait_for()


def totp(secret, steps=0):
    """The code that an app shows (RFC 6238), or will show after so many steps."""
    key = base64.b32decode(secret)
    step = int(time.time()) // 30 + steps
    digest = hmac.digest(key, struct.pack(">q", step), "sha1")
    (number,) = struct.unpack_from(">I", digest, digest[-1] & 15)
    return f"{(number & 0x7FFFFFFF) % 1_000_000:06}"


def look_at_required_factors(browser, base, axe):
    """What a service that requires second factors shows, in every size and scheme."""
    good = True
    for size, (width, height) in SIZES.items():
        for scheme in ("light", "dark"):
            context = browser.new_context(
                viewport={"width": width, "height": height}, color_scheme=scheme, locale="en-GB"
            )
            pages = Pages(context.new_page(), base, f"{size}-{scheme}", axe)
            factor_pages.visit(pages, f"{size}-{scheme}@example.com", totp)
            good &= pages.report(f"second factors on a {size}, {scheme}")
            context.close()
    return good


def look_at_way_back(pages, email):
    """The pages between a guarded host and the sign-in."""
    # Chromium stays on the page that leads onward if the host has nothing to show.
    pages.page.route(f"{GUARDED}/**", lambda route: route.fulfill(status=204))
    pages.allowed_origins.add(GUARDED)
    query = urlencode({"rd": f"{GUARDED}/a?b=1&c=2"})
    pages.expected_status = 403
    pages.open(f"/signin/stopped?{query}")
    pages.look("stopped")
    pages.expected_status = None
    pages.open(f"/signin?{query}")
    pages.look("sign-in-guarded")
    pages.page.fill("#email", email)
    pages.page.fill("#password", PASSWORD)
    pages.page.locator("main button").first.click()
    pages.page.locator("main a.button").wait_for()
    pages.look("onward")
    pages.expected_status = 403
    pages.open(f"/signin/denied?{query}&scope=reports:read")
    pages.look("denied")
    pages.expected_status = None
    # It needs a second factor, and the user has none.
    pages.open(f"/signin?{query}&acr=mfa")
    pages.look("confirm-guarded")
    pages.expected_status = 422
    pages.page.fill("#confirm", "a wrong password")
    pages.press("Continue")
    pages.page.locator("[aria-invalid]").wait_for()
    pages.look("confirm-guarded-refused")
    pages.expected_status = None
    pages.page.fill("#confirm", PASSWORD)
    pages.press("Continue")
    pages.page.locator(".qr").wait_for()


def look_at_console(browser, base, axe):
    """Every page of the console, in every size and scheme."""
    good = True
    for size, (width, height) in SIZES.items():
        for scheme in ("light", "dark"):
            context = browser.new_context(
                viewport={"width": width, "height": height}, color_scheme=scheme, locale="en-GB"
            )
            pages = Pages(context.new_page(), base, f"{size}-{scheme}", axe)
            pages.sign_in(console.ADMIN)
            pages.page.wait_for_url("**/account")
            for name, path in CONSOLE.items():
                pages.open(path)
                pages.look(name)
                weight = pages.page.evaluate(WEIGHT)
                if weight >= CONSOLE_LIMIT:
                    pages.problems.append(f"{name} has {weight} bytes")
            pages.open("/console/users/2")
            pages.page.fill("#add", "no\\scope")
            pages.expected_status = 422
            pages.press("Add")
            pages.look("user-refused")
            good &= pages.report(f"console on a {size}, {scheme}")
            context.close()
    return good


def use_without_javascript(browser, base, _axe):
    """By keyboard alone, too."""
    context = browser.new_context(java_script_enabled=False, locale="de-DE")
    pages = Pages(context.new_page(), base, "plain")
    register(base, "plain@example.com")
    pages.open("/account/sessions")
    keys = pages.page.keyboard
    pages.page.locator("#email").focus()
    keys.type("plain@example.com")
    keys.press("Tab")
    keys.type(PASSWORD)
    keys.press("Enter")
    pages.page.wait_for_url("**/account/sessions")
    pages.page.get_by_role("heading", name="Sitzungen").wait_for()
    pages.open("/account")
    pages.page.fill("#name", "Plain Jane")
    pages.press("Änderungen speichern")
    pages.page.get_by_text("Ihre Änderungen sind gespeichert.").wait_for()
    pages.look("profile-saved")
    context.close()
    return pages.report("without JavaScript")


def go_back_after_signing_out(browser, base, _axe):
    """The browser may show a page again that it has kept; it must have kept nothing private."""
    context = browser.new_context(locale="en-GB")
    pages = Pages(context.new_page(), base, "back")
    register(base, "back@example.com")
    pages.sign_in("back@example.com")
    pages.page.wait_for_url("**/account")
    pages.open("/account/sessions")
    pages.press("Sign out")
    pages.page.get_by_text("You are signed out.").wait_for()
    pages.page.go_back()
    pages.page.wait_for_load_state()
    if "back@example.com" in pages.page.content() or "/signin" not in pages.page.url:
        pages.problems.append(f"private data after a sign-out: {pages.page.url}")
    context.close()
    return pages.report("back after signing out")


def weigh(browser, base, _axe):
    """Bytes, requests and time of the sign-in page."""
    context = browser.new_context()
    pages = Pages(context.new_page(), base, "weight")
    sizes = {}
    pages.page.on("response", lambda response: sizes.update({response.url: len(response.body())}))
    pages.open("/signin")
    pages.page.wait_for_load_state("networkidle")
    paint = pages.page.evaluate(
        "performance.getEntriesByName('first-contentful-paint').map(entry => entry.startTime)[0]"
    )
    print(f"sign-in page: {sum(sizes.values())} bytes in {len(sizes)} requests, painted after {paint:.0f} ms")
    if sum(sizes.values()) >= 30_000 or len(sizes) >= 4:
        pages.problems.append("the sign-in page is too heavy")
    context.close()
    return pages.report("weight")


def run_test(use, *arguments):
    try:
        return use(*arguments)
    except Exception:
        traceback.print_exc()
        return False


def save_images():
    """Copies the screenshots of the README."""
    folder = ROOT / "docs" / "images"
    folder.mkdir(exist_ok=True)
    for name in IMAGES:
        for scheme in ("light", "dark"):
            file = f"{name}-{scheme}.png"
            shutil.copy(SCREENSHOTS / f"pages-{name}-desktop-{scheme}.png", folder / file)


def main():
    from playwright.sync_api import sync_playwright

    parser = argument_parser(__doc__)
    parser.add_argument("--save", action="store_true", help="update the images of the README")
    parser.add_argument("--scan", type=int, metavar="MAILS", help="only scan the links of this many mails")
    options = parser.parse_args()
    if options.scan is not None:
        with sync_playwright() as playwright:
            sys.exit(not mail_scanner.scan_mails(launch(playwright), options.binary, options.scan))
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    axe = axe_source()
    with tempfile.TemporaryDirectory(prefix="tokenhouse-pages-") as folder:
        database = Path(folder) / "tokenhouse.db"
        settings = {
            "DATABASE_URL": f"sqlite://{database}",
            "TOKENHOUSE_SESSIONS_PER_USER": "9",
            "TOKENHOUSE_MAIL": "memory",
            "TOKENHOUSE_SIGNIN_HOSTS": "app.example.com",
            "TOKENHOUSE_SECRET_KEY": "the secret key of the pages that are tested",
        }
        with running(options.binary, **settings) as base, sync_playwright() as playwright:
            console.fill(base, database)
            browser = launch(playwright)
            tests = (
                # First: after a minute its numbers are those of this server.
                look_at_console,
                look_at_everything,
                use_without_javascript,
                go_back_after_signing_out,
                weigh,
            )
            results = [run_test(use, browser, base, axe) for use in tests]
            strict = factor_pages.settings(Path(folder) / "strict.db")
            with running(options.binary, **strict):
                site = strict["TOKENHOUSE_PUBLIC_URL"]
                results.append(run_test(look_at_required_factors, browser, site, axe))
            results.append(run_test(mail_scanner.scan_mails, browser, options.binary, SCANNED))
            browser.close()
    print(f"screenshots are in {SCREENSHOTS}")
    if options.save:
        save_images()
    sys.exit(0 if all(results) else 1)


enter_venv("browser", PACKAGES)
main()
