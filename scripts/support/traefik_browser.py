"""A browser without JavaScript behind Traefik with the recipe deploy/traefik/browsers.yml."""

import http.client
import re
import ssl
import urllib.parse

from support.server import PASSWORD

# Names of the recipe.
PORTAL, APP = "auth.example.com", "app.example.com"


class Browser:
    """Follows redirects by hand, and keeps cookies for each host."""

    def __init__(self, port):
        self.port = port
        self.cookies = {PORTAL: {}, APP: {}}
        # Traefik's own certificate.
        self.context = ssl.create_default_context()
        self.context.check_hostname, self.context.verify_mode = False, ssl.CERT_NONE

    def send(self, method, url, fields=None, headers=None):
        """Sends a request, and returns its status, its headers in lower case, and its text."""
        address = urllib.parse.urlsplit(url)
        path = address.path + (f"?{address.query}" if address.query else "")
        cookies = self.cookies[address.netloc]
        sent = {
            "Host": address.netloc,
            "Accept": "text/html",
            "Sec-Fetch-Mode": "navigate",
            "Sec-Fetch-Site": "none" if fields is None else "same-origin",
            "Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items()),
            **(headers or {}),
        }
        body = None
        if fields is not None:
            body = urllib.parse.urlencode(fields)
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=20, context=self.context)
        connection.request(method, path, body, sent)
        response = connection.getresponse()
        text = response.read().decode()
        for cookie in response.headers.get_all("set-cookie") or []:
            name, value = cookie.split(";", 1)[0].split("=", 1)
            cookies[name] = value
        connection.close()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, text

    def open(self, url):
        """Opens a page and follows redirects. Returns where they end, the status and the text."""
        for _ in range(10):
            status, headers, text = self.send("GET", url)
            if status not in (302, 303):
                return url, status, text
            url = urllib.parse.urljoin(url, headers["location"])
        return url, 0, ""


def use_as_browser(port, seen, check):
    """Signs in at the portal on the way to the app, and comes back. `seen` holds the requests of the app."""
    browser = Browser(port)
    wanted = f"https://{APP}/a%20b/%C3%BC?x=1&y=%26&z=%23"
    sign_in, status, _ = browser.open(wanted)
    check(status == 200 and sign_in.startswith(f"https://{PORTAL}/signin?"), f"no sign-in page: {sign_in}, {status}")
    check(not seen, "a browser without a session reaches the app")
    fields = {"email": "other@example.com", "password": PASSWORD}
    status, headers, _ = browser.send("POST", sign_in, fields)
    check(status == 303, f"the sign-in answers {status}")
    onward = urllib.parse.urljoin(sign_in, headers.get("location", ""))
    status, headers, _ = browser.send("GET", onward)
    refresh = re.fullmatch("0; url=(.*)", headers.get("refresh", ""))
    check(status == 200 and refresh is not None, f"the sign-in leads nowhere: {status} {headers}")
    if refresh is None:
        return
    url, status, text = browser.open(refresh[1])
    check((url, status, text) == (wanted, 200, "ok"), f"the sign-in leads to {url}: {status}")
    check([path for path, _ in seen] == [wanted.removeprefix(f"https://{APP}")], f"the app sees {seen}")
    for _, received in seen:
        names = {name.lower(): value for name, value in received}
        check(names.get("x-auth-email") == "other@example.com", f"the app sees {names}")
    seen.clear()
    # A script of the app learns where to sign in, and is not redirected.
    other = Browser(port)
    cors = {"Sec-Fetch-Mode": "cors", "Accept": "*/*"}
    status, headers, _ = other.send("GET", f"https://{APP}/api", headers=cors)
    check(status == 401 and PORTAL in headers.get("x-tokenhouse-signin", ""), f"a script gets {status} {headers}")
    # A scope is missing.
    url, status, text = browser.open(f"https://{APP}/reports/1")
    check(status == 403 and "reports:read" in text, f"without the scope: {url}, {status}")
    # A second factor is missing, and this service has none.
    url, status, text = browser.open(f"https://{APP}/admin")
    check(status == 403 and "/signin?rd=" in url and "second factor" in text, f"without a factor: {url}, {status}")
    # The cookie of the app opens nothing at the portal, and a foreign session nothing at the app.
    session = {name: value for name, value in browser.cookies[APP].items() if value.startswith("tkb_")}
    check(len(session) == 1, f"the cookies of the app are {list(browser.cookies[APP])}")
    other.cookies[PORTAL] = dict(session)
    url, _, _ = other.open(f"https://{PORTAL}/account")
    check("/signin" in url, f"the cookie of the app opens {url}")
    other = Browser(port)
    other.cookies[APP] = {next(iter(session)): next(iter(browser.cookies[PORTAL].values()))}
    url, _, _ = other.open(f"https://{APP}/")
    check(url.startswith(f"https://{PORTAL}/signin"), f"the cookie of the portal opens {url}")
    check(not seen, f"the app sees {seen}")
    # Signed out at the portal, and everywhere.
    _, _, page = browser.open(f"https://{PORTAL}/account")
    user = re.search('name="user" value="([0-9]+)"', page)
    check(user is not None, "the account page has no form")
    status, _, _ = browser.send("POST", f"https://{PORTAL}/signout", {"user": user[1] if user else ""})
    check(status == 303, f"the sign-out answers {status}")
    url, _, _ = browser.open(f"https://{APP}/")
    check(url.startswith(f"https://{PORTAL}/signin") and not seen, f"after the sign-out {url} opens")
