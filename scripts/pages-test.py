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

import shutil
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlencode

from support import console, factor_pages, mail_scanner
from support.browser import PACKAGES, SCREENSHOTS, launch
from support.factor_pages import totp
from support.server import PASSWORD, ROOT, argument_parser, enter_venv, register, running, sign_in
from support.visits import Visit, axe_source, in_every_look, make_all

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


def look_at_everything(pages):
    email = pages.email
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


def look_at_console(pages):
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


def use_by_keyboard(pages):
    register(pages.base, pages.email)
    pages.open("/account/sessions")
    keys = pages.page.keyboard
    pages.page.locator("#email").focus()
    keys.type(pages.email)
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


def go_back_after_signing_out(pages):
    """The browser may show a page again that it has kept; it must have kept nothing private."""
    register(pages.base, pages.email)
    pages.sign_in(pages.email)
    pages.page.wait_for_url("**/account")
    pages.open("/account/sessions")
    pages.press("Sign out")
    pages.page.get_by_text("You are signed out.").wait_for()
    pages.page.go_back()
    pages.page.wait_for_load_state()
    if pages.email in pages.page.content() or "/signin" not in pages.page.url:
        pages.problems.append(f"private data after a sign-out: {pages.page.url}")


def weigh(pages):
    """Bytes, requests and time of the sign-in page."""
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


def visits(base, strict, binary):
    """All visits, of a service and of one that requires second factors."""

    def scan(browser, _axe):
        return mail_scanner.scan_mails(browser, binary, SCANNED)

    without_scripts = {"java_script_enabled": False, "locale": "de-DE"}
    return [
        # First: after a minute its numbers are those of this server.
        *in_every_look("console", base, look_at_console),
        *in_every_look("pages", base, look_at_everything),
        *in_every_look("second factors", strict, factor_pages.visit),
        Visit("without JavaScript, by keyboard", base, use_by_keyboard, "plain", without_scripts),
        Visit("back after signing out", base, go_back_after_signing_out, "back"),
        Visit("weight", base, weigh, "weight"),
        scan,
    ]


def save_images():
    """Copies the screenshots of the README."""
    folder = ROOT / "docs" / "images"
    folder.mkdir(exist_ok=True)
    for name in IMAGES:
        for scheme in ("light", "dark"):
            file = f"{name}-{scheme}.png"
            shutil.copy(SCREENSHOTS / f"pages-{name}-desktop-{scheme}.png", folder / file)


def main():
    parser = argument_parser(__doc__)
    parser.add_argument("--save", action="store_true", help="update the images of the README")
    parser.add_argument("--scan", type=int, metavar="MAILS", help="only scan the links of this many mails")
    options = parser.parse_args()
    if options.scan is not None:
        from playwright.sync_api import sync_playwright

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
        strict = factor_pages.settings(Path(folder) / "strict.db")
        with running(options.binary, **settings) as base, running(options.binary, **strict):
            console.fill(base, database)
            good = make_all(visits(base, strict["TOKENHOUSE_PUBLIC_URL"], options.binary), axe)
    print(f"screenshots are in {SCREENSHOTS}")
    if options.save:
        save_images()
    sys.exit(not good)


enter_venv("browser", PACKAGES)
main()
