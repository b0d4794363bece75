"""Firefox and WebKit, as Debian has them, with what a person does in them."""

import contextlib
import glob
import os
import subprocess
import tempfile

from support.programs import missing, program
from support.smtp import free_port

# What scripts with these browsers install into their virtual environment.
PACKAGES = ["marionette_driver==3.7.1", "selenium==4.51.0"]

# In seconds.
PAGE_TIMEOUT = 20

MINI_BROWSER = "/usr/lib/*/webkit2gtk-4.*/MiniBrowser"


class Tab:
    """A page of a browser, driven by WebDriver's commands."""

    def __init__(self, driver, by_css):
        self.driver, self.by_css = driver, by_css

    def find(self, css):
        return self.driver.find_element(self.by_css, css)

    def has(self, css):
        return bool(self.driver.find_elements(self.by_css, css))

    def fill(self, css, text):
        field = self.find(css)
        field.clear()
        field.send_keys(text)


class WebKit(Tab):
    name = "WebKit"

    def open(self, url):
        self.driver.get(url)

    def url(self):
        return self.driver.current_url

    def text(self):
        return self.find("body").text

    def press(self, css):
        """Presses a button, and waits for the page to which it leads."""
        old = self.find("html")
        self.find(css).click()
        wait_until_gone(self.driver, old)


class Firefox(Tab):
    name = "Firefox"

    def open(self, url):
        self.driver.navigate(url)

    def url(self):
        return self.driver.get_url()

    def text(self):
        return self.find("body").text

    def press(self, css):
        """Presses a button. Firefox itself waits for the page to which it leads."""
        self.find(css).click()


def wait_until_gone(driver, element):
    from selenium.webdriver.support.expected_conditions import staleness_of
    from selenium.webdriver.support.wait import WebDriverWait

    WebDriverWait(driver, PAGE_TIMEOUT).until(staleness_of(element))


@contextlib.contextmanager
def firefox(scripts, proxy=None):
    """Runs Firefox, with or without JavaScript. It finds all names at the port of a proxy, if there is one."""
    from marionette_driver.by import By
    from marionette_driver.marionette import Marionette

    prefs = {"javascript.enabled": scripts}
    if proxy is not None:
        # 1 means: as these say.
        prefs |= {"network.proxy.type": 1, "network.proxy.http": "127.0.0.1", "network.proxy.http_port": proxy}
    with tempfile.TemporaryDirectory(prefix="tokenhouse-firefox-") as folder:
        marionette = Marionette(
            bin=program("firefox-esr", "firefox-esr"),
            # Otherwise it asks the program, and prints the answer.
            app="fxdesktop",
            headless=True,
            # An existing file is deleted first, so never a device.
            gecko_log=f"{folder}/log",
            port=free_port(),
            prefs=prefs,
        )
        try:
            marionette.start_session({"acceptInsecureCerts": True})
            marionette.timeout.page_load = PAGE_TIMEOUT
            yield Firefox(marionette, By.CSS_SELECTOR)
        finally:
            marionette.quit()
            marionette.cleanup()


@contextlib.contextmanager
def webkit(proxy=None):
    """Runs WebKitGTK's small browser on a display of its own. The proxy is as in `firefox`."""
    from selenium import webdriver
    from selenium.webdriver.common.by import By
    from selenium.webdriver.webkitgtk.options import Options
    from selenium.webdriver.webkitgtk.service import Service

    driver_program = program("WebKitWebDriver", "webkit2gtk-driver")
    browsers = glob.glob(MINI_BROWSER) or missing("webkit2gtk-driver")
    options = Options()
    options.binary_location = browsers[0]
    options.add_argument("--automation")
    if proxy is not None:
        options.add_argument(f"--proxy=http://127.0.0.1:{proxy}")
    options.accept_insecure_certs = True
    with display() as name:
        environment = {**os.environ, "DISPLAY": name}
        service = Service(driver_program, env=environment)
        driver = webdriver.WebKitGTK(options=options, service=service)
        try:
            driver.set_page_load_timeout(PAGE_TIMEOUT)
            yield WebKit(driver, By.CSS_SELECTOR)
        finally:
            driver.quit()


@contextlib.contextmanager
def display():
    """Runs an X server without a screen; yields its name."""
    server_program = program("Xvfb", "xvfb")
    reader, writer = os.pipe()
    command = [server_program, "-displayfd", str(writer), "-nolisten", "tcp"]
    server = subprocess.Popen(command, pass_fds=[writer], stderr=subprocess.DEVNULL)
    os.close(writer)
    try:
        with os.fdopen(reader) as lines:
            yield f":{lines.readline().strip()}"
    finally:
        server.terminate()
        server.wait()
