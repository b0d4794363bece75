"""Visits of the pages: their checks, the sizes and colour schemes, and several browsers at once."""

import json
import subprocess
import traceback
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from support.browser import SCREENSHOTS, MonitoredPage, launch
from support.programs import program
from support.server import PASSWORD, ROOT

AXE = "axe-core@4.14.1"

# The rules of WCAG 2.2, levels A and AA, and axe-core's own.
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]

SIZES = {"desktop": (1280, 800), "phone": (390, 844)}

# A page waits for the service and for screenshots, so two browsers take less time than one.
BROWSERS = 2


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

    def __init__(self, page, base, label, axe):
        super().__init__(page, base)
        self.label, self.axe = label, axe

    @property
    def email(self):
        """The address of a user for this visit."""
        return f"{self.label}@example.com"

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


@dataclass(frozen=True)
class Visit:
    """What a person does with the pages of a service."""

    name: str
    base: str
    use: Callable[[Pages], None]
    # In the names of the screenshots.
    label: str
    # Of the context of the browser.
    options: dict = field(default_factory=dict)

    def __call__(self, browser, axe):
        """Makes the visit; returns whether there were no problems."""
        context = browser.new_context(**{"locale": "en-GB", **self.options})
        has_scripts = self.options.get("java_script_enabled", True)
        pages = Pages(context.new_page(), self.base, self.label, axe if has_scripts else None)
        try:
            self.use(pages)
        except Exception:
            pages.problems.append(traceback.format_exc())
        context.close()
        return pages.report(self.name)


def in_every_look(name, base, use):
    """Returns visits in every size and colour scheme."""
    return [
        Visit(
            f"{name} on a {size}, {scheme}",
            base,
            use,
            f"{size}-{scheme}",
            {"viewport": {"width": width, "height": height}, "color_scheme": scheme},
        )
        for size, (width, height) in SIZES.items()
        for scheme in ("light", "dark")
    ]


def make_all(visits, axe):
    """Makes visits in several browsers at once, and begins them in this order; returns whether all were good.
    A visit is called with a browser and axe-core."""
    waiting = deque(visits)

    def work(_number):
        from playwright.sync_api import sync_playwright

        good = True
        # Playwright belongs to one thread.
        with sync_playwright() as playwright:
            browser = launch(playwright)
            while waiting:
                try:
                    good &= waiting.popleft()(browser, axe)
                except IndexError:
                    break
            browser.close()
        return good

    with ThreadPoolExecutor(BROWSERS) as threads:
        return all(list(threads.map(work, range(BROWSERS))))
