"""The pages of a service that requires second factors and offers passkeys, with the authenticator that
Chromium has for tests."""

import base64
import hmac
import struct
import time
from urllib.parse import urlencode

from support.server import PASSWORD
from support.smtp import free_port

# A site that a proxy guards.
GUARDED = "https://app.example.com"

# What Chromium's authenticator can do.
AUTHENTICATOR = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": False,
}


def settings(database):
    port = free_port()
    return {
        "DATABASE_URL": f"sqlite://{database}",
        "TOKENHOUSE_BIND": f"127.0.0.1:{port}",
        # Browsers allow no passkeys at an IP address.
        "TOKENHOUSE_PUBLIC_URL": f"http://localhost:{port}",
        "TOKENHOUSE_SECRET_KEY": "the secret key of the pages that are tested",
        "TOKENHOUSE_MFA": "required",
        "TOKENHOUSE_PASSKEYS": "first",
        "TOKENHOUSE_SIGNIN_HOSTS": "app.example.com",
    }


class Authenticator:
    """Chromium's authenticator, whose user touches it on request."""

    def __init__(self, page):
        self.session = page.context.new_cdp_session(page)
        self.session.send("WebAuthn.enable")
        added = self.session.send("WebAuthn.addVirtualAuthenticator", {"options": AUTHENTICATOR})
        self.id = added["authenticatorId"]

    def touch(self, is_touched):
        options = {"authenticatorId": self.id, "enabled": is_touched}
        self.session.send("WebAuthn.setAutomaticPresenceSimulation", options)


def totp(secret, steps=0):
    """The code that an app shows (RFC 6238), or will show after so many steps."""
    key = base64.b32decode(secret)
    step = int(time.time()) // 30 + steps
    digest = hmac.digest(key, struct.pack(">q", step), "sha1")
    (number,) = struct.unpack_from(">I", digest, digest[-1] & 15)
    return f"{(number & 0x7FFFFFFF) % 1_000_000:06}"


def visit(pages):
    """A user adds an app to sign in at all, trusts the browser, and goes on with a passkey."""
    page, email = pages.page, pages.email
    pages.open("/signup")
    page.fill("#name", "Ada Lovelace")
    page.fill("#email", email)
    page.fill("#password", PASSWORD)
    pages.press("Create account")
    page.locator("#otp").wait_for()
    pages.look("enrol")
    pages.press("Add a passkey instead")
    page.get_by_role("button", name="Create the passkey").wait_for()
    pages.look("enrol-passkey")
    page.get_by_role("link", name="Sign in from the start").click()
    page.wait_for_url("**/signin")
    pages.sign_in(email)
    page.locator("#otp").wait_for()
    secret = page.locator("input[name=secret]").get_attribute("value")
    pages.expected_status = 422
    page.fill("#otp", "000000")
    pages.press("Sign in")
    page.locator("[aria-invalid]").wait_for()
    pages.look("enrol-refused")
    pages.expected_status = None
    page.fill("#otp", totp(secret))
    pages.press("Sign in")
    page.locator(".codes").wait_for()
    recovery_code = page.locator(".codes code").first.inner_text()
    pages.look("first-codes")
    page.locator("a.button").click()
    page.wait_for_url("**/account")
    pages.press("Sign out")

    pages.open("/signin")
    page.get_by_role("button", name="Sign in with a passkey").wait_for()
    pages.look("sign-in-with-passkeys")
    pages.sign_in(email)
    page.locator("#code").fill(totp(secret, 1))
    page.locator("#remember").check()
    pages.look("second-factor-trust")
    page.locator("main form button").first.click()
    page.wait_for_url("**/account")
    pages.open("/account/factors")
    pages.look("factors-and-devices")

    authenticator = Authenticator(page)
    page.locator("form[action$='/account/passkeys'] button").click()
    page.wait_for_url("**/account/passkeys")
    pages.look("passkey-new")
    authenticator.touch(True)
    pages.press("Create the passkey")
    page.get_by_text("The passkey is added").wait_for()
    authenticator.touch(False)
    pages.look("passkey-added")
    # A new factor has ended the trust in the browser.
    pages.press("Sign out")

    pages.sign_in(email)
    page.get_by_role("button", name="Use a passkey").wait_for()
    pages.look("second-factor-passkey")
    authenticator.touch(True)
    pages.press("Use a passkey")
    page.wait_for_url("**/account")
    authenticator.touch(False)
    rename_passkey(pages)
    pages.press("Sign out")
    confirm_with_passkey(pages, email, recovery_code, authenticator)
    # The browser offers the passkey in the field of the address, and this user takes it.
    pages.open("/signin")
    page.wait_for_url("**/account")


def rename_passkey(pages):
    pages.open("/account/factors")
    row = pages.page.locator("ul.card.rows").first.locator("li").last
    row.locator("summary", has_text="Rename").click()
    row.locator("input[name=name]").fill("Laptop")
    pages.look("factor-rename")
    row.get_by_role("button", name="Save").click()
    pages.page.get_by_text("The new name is saved.").wait_for()


def confirm_with_passkey(pages, email, code, authenticator):
    """In a trusted browser, a session has shown no second factor, and changes nothing without one."""
    page = pages.page
    pages.sign_in(email)
    page.locator("#code").fill(code)
    page.locator("#remember").check()
    page.locator("main form button").first.click()
    page.wait_for_url("**/account")
    pages.press("Sign out")
    go_on_to_guarded_host(pages, email, authenticator)
    pages.open("/account")
    pages.press("Sign out")
    pages.sign_in(email)
    page.wait_for_url("**/account")
    pages.open("/account/factors")
    page.get_by_text("Make new codes").click()
    pages.expected_status = 403
    pages.press("Replace the old codes")
    page.get_by_role("button", name="Use a passkey").wait_for()
    pages.look("confirm-with-passkey")
    pages.expected_status = None
    authenticator.touch(True)
    pages.press("Use a passkey")
    page.locator(".codes").wait_for()
    pages.open("/account")
    authenticator.touch(False)
    pages.press("Sign out")
    authenticator.touch(True)


def go_on_to_guarded_host(pages, email, authenticator):
    """A site requires a second factor, which a session of a trusted browser has not shown."""
    page = pages.page
    # Chromium stays on the page that leads onward if the host has nothing to show.
    page.route(f"{GUARDED}/**", lambda route: route.fulfill(status=204))
    pages.allowed_origins.add(GUARDED)
    pages.sign_in(email)
    page.wait_for_url("**/account")
    pages.open(f"/signin?{urlencode({'rd': GUARDED + '/', 'acr': 'mfa'})}")
    page.get_by_role("button", name="Use a passkey").wait_for()
    pages.look("confirm-guarded-passkey")
    authenticator.touch(True)
    pages.press("Use a passkey")
    page.locator("main a.button").wait_for()
    authenticator.touch(False)
