#!/usr/bin/env python3
"""Uses /docs and /redoc in Chromium like a user.

    scripts/browser-test.py [--binary PATH]

In Swagger UI: registers, signs in, reads /users/me, calls the route behind the static key with and
without the key, logs out. In Redoc: checks that every operation is listed. Neither page may send
requests to another host, write an error to the console, or violate its content security policy.
Saves screenshots in target/screenshots. Installs Debian's chromium if it is missing and the user is
root; the first run installs playwright into target/venvs/browser.
"""

import contextlib
import json
import sys
import traceback

from support.browser import PACKAGES, SCREENSHOTS, MonitoredPage, launch
from support.server import (
    PASSWORD,
    STATIC_KEY,
    argument_parser,
    enter_venv,
    registration,
    running,
    send,
)

EMAIL = "browser@example.com"


class SwaggerUI(MonitoredPage):
    """The page /docs."""

    def open(self):
        self.page.goto(f"{self.base}/docs")
        self.page.locator(".opblock").first.wait_for()
        self.screenshot("opened")

    def call(self, operation, expected_status, body=None):
        """Uses "Try it out" and returns the text of the response."""
        self.expected_status = expected_status
        block = self.page.locator(f"[id$='-{operation}']")
        if block.locator(".opblock-body").count() == 0:
            block.locator(".opblock-summary-control").click()
            block.get_by_role("button", name="Try it out").click()
        if body is not None:
            block.locator("textarea.body-param__text").fill(body)
        # Remove the response of an earlier call.
        if block.locator(".btn-clear").count() > 0:
            block.locator(".btn-clear").click()
        block.get_by_role("button", name="Execute").click()
        response = block.locator(".live-responses-table .response")
        response.wait_for()
        status = response.locator(".response-col_status").inner_text().split()[0]
        response.scroll_into_view_if_needed()
        self.screenshot(f"{operation}-{status}")
        if status != str(expected_status):
            raise AssertionError(f"{operation}: {status} instead of {expected_status}")
        print(f"docs: {operation} -> {status}")
        return response.inner_text()

    @contextlib.contextmanager
    def authorize_dialog(self, scheme):
        self.page.locator(".scheme-container .btn.authorize").click()
        dialog = self.page.locator(".dialog-ux")
        yield dialog.locator(".auth-container", has_text=scheme)
        self.screenshot(f"authorize-{scheme}")
        dialog.locator(".close-modal").click()
        dialog.wait_for(state="detached")

    def sign_in(self):
        with self.authorize_dialog("OAuth2PasswordBearer") as form:
            form.locator("#oauth_username").fill(EMAIL)
            form.locator("#oauth_password").fill(PASSWORD)
            form.locator("button.authorize").click()
            form.locator("button", has_text="Logout").wait_for()

    def enter_static_key(self):
        with self.authorize_dialog("APIKeyHeader") as form:
            form.locator("input").fill(STATIC_KEY)
            form.locator("button.authorize").click()
            form.locator("button", has_text="Logout").wait_for()

    def remove_static_key(self):
        with self.authorize_dialog("APIKeyHeader") as form:
            form.locator("button", has_text="Logout").click()
            form.locator("input").wait_for()


def use_swagger_ui(page, base):
    docs = SwaggerUI(page, base)
    docs.open()
    docs.call("read_users_me_users_me_get", 401)
    docs.call("register_register_post", 201, json.dumps(registration(EMAIL), indent=2))
    docs.sign_in()
    assert EMAIL in docs.call("read_users_me_users_me_get", 200)
    docs.enter_static_key()
    docs.call("protected_route_protected_get", 200)
    # With both credentials entered, Swagger UI sends all that the document lists for the route.
    docs.call("read_users_me_users_me_get", 200)
    docs.remove_static_key()
    docs.call("protected_route_protected_get", 403)
    docs.call("logout_logout_post", 204)
    docs.call("read_users_me_users_me_get", 401)
    return docs.report("docs")


class Redoc(MonitoredPage):
    """The page /redoc."""

    def open(self):
        self.page.goto(f"{self.base}/redoc")
        self.page.locator("h1", has_text="Tokenhouse").wait_for()

    def check_operations(self):
        document = send("GET", f"{self.base}/openapi.json")
        for item in document["paths"].values():
            for operation in item.values():
                name = operation["operationId"]
                self.page.locator(f"[id='operation/{name}']").wait_for()
                print(f"redoc: {name} is listed")


def use_redoc(page, base):
    redoc = Redoc(page, base)
    redoc.open()
    redoc.check_operations()
    redoc.screenshot("opened")
    redoc.screenshot("whole", full_page=True)
    return redoc.report("redoc")


def run_test(use, page, base):
    try:
        return use(page, base)
    except Exception:
        traceback.print_exc()
        page.screenshot(path=SCREENSHOTS / f"failed-{use.__name__}.png")
        return False


def main():
    from playwright.sync_api import sync_playwright

    options = argument_parser(__doc__).parse_args()
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    with running(options.binary) as base, sync_playwright() as playwright:
        browser = launch(playwright)
        size = {"width": 1280, "height": 1000}
        results = [
            run_test(use, browser.new_page(viewport=size), base)
            for use in (use_swagger_ui, use_redoc)
        ]
        browser.close()
    print(f"screenshots are in {SCREENSHOTS}")
    sys.exit(0 if all(results) else 1)


enter_venv("browser", PACKAGES)
main()
