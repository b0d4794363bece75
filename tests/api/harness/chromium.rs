//! Chromium from a Debian package, by the protocol of the W3C for browser automation (`WebDriver`).

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use test_support::is_root;
use test_support::{Client, free_port, packages};

use super::proxy::find_program;
use super::{Request, Response};

/// The longest wait for a page: the machine may be busy.
const PAGE_TIMEOUT: Duration = Duration::from_secs(30);

/// The name under which the protocol returns an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A browser that finds every host name at one server. Dropping it ends it.
pub struct Chromium {
    driver: Child,
    client: Client,
    session: String,
}

impl Chromium {
    /// Starts a browser with a profile of its own, with or without scripts.
    ///
    /// # Panics
    /// When it cannot start: tests then fail, they are never skipped.
    pub fn start(server: SocketAddr, with_scripts: bool) -> Self {
        let find = || find_program("chromedriver");
        let program = packages::find_or_install(find, "chromium-driver", "chromedriver")
            .unwrap_or_else(|problem| panic!("no browser to test with: {problem}"));
        let port = free_port();
        let driver = Command::new(program)
            .arg(format!("--port={port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver starts");
        let client = Client::new(([127, 0, 0, 1], port).into()).timeout(2 * PAGE_TIMEOUT);
        let mut browser = Self {
            driver,
            client,
            session: String::new(),
        };
        browser.session = browser.begin(server, with_scripts);
        browser
    }

    fn begin(&self, server: SocketAddr, with_scripts: bool) -> String {
        let mut arguments = vec![
            "--headless=new".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--disable-background-networking".to_owned(),
            format!("--host-resolver-rules=MAP * {server}"),
        ];
        // Chromium's sandbox does not work for root.
        arguments.extend(is_root().then(|| "--no-sandbox".to_owned()));
        let scripts = if with_scripts { 1 } else { 2 };
        let options = json!({
            "args": arguments,
            "prefs": { "profile.managed_default_content_settings.javascript": scripts },
        });
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "acceptInsecureCerts": true,
            "goog:chromeOptions": options,
        } } });
        let started = Instant::now();
        loop {
            let answer = self
                .client
                .post("/session")
                .host("localhost")
                .json(&wanted)
                .try_send();
            match answer {
                Ok(response) if response.status == 200 => {
                    let id = parse(&response)["sessionId"].clone();
                    return id.as_str().expect("a session has an id").to_owned();
                }
                Ok(response) => panic!("Chromium does not start: {response:?}"),
                // The driver does not listen yet.
                Err(_) if started.elapsed() < PAGE_TIMEOUT => {
                    thread::sleep(Duration::from_millis(50));
                }
                Err(error) => panic!("chromedriver does not answer: {error}"),
            }
        }
    }

    /// Opens a URL, and returns the one that is shown after all redirects.
    pub fn open(&self, url: &str) -> String {
        self.command("POST", "/url", &json!({ "url": url }));
        self.url()
    }

    /// The URL of the page.
    pub fn url(&self) -> String {
        let url = self.command("GET", "/url", &Value::Null);
        url.as_str().expect("a page has a URL").to_owned()
    }

    /// The page as HTML.
    pub fn source(&self) -> String {
        let source = self.command("GET", "/source", &Value::Null);
        source.as_str().expect("a page has a text").to_owned()
    }

    /// Types a text into the field that a CSS selector finds.
    pub fn type_into(&self, selector: &str, text: &str) {
        let path = format!("/element/{}/value", self.find(selector));
        self.command("POST", &path, &json!({ "text": text }));
    }

    /// Waits until the page contains a text.
    pub fn wait_for_text(&self, text: &str) {
        let started = Instant::now();
        while !self.source().contains(text) {
            assert!(
                started.elapsed() < PAGE_TIMEOUT,
                "{text} is not in {}",
                self.source()
            );
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Adds an authenticator for passkeys, whose user is present (section 11 of `WebAuthn`): one that belongs to
    /// the machine and verifies the user, or a security key that does not. Returns its id.
    pub fn add_authenticator(&self, verifies: bool) -> String {
        let wanted = json!({
            "protocol": "ctap2",
            "transport": if verifies { "internal" } else { "usb" },
            "hasResidentKey": verifies,
            "hasUserVerification": verifies,
            "isUserConsenting": true,
            "isUserVerified": verifies,
        });
        let id = self.command("POST", "/webauthn/authenticator", &wanted);
        id.as_str()
            .unwrap_or_else(|| panic!("no authenticator: {id}"))
            .to_owned()
    }

    /// Sets whether the user of an authenticator is verified.
    pub fn set_verified(&self, authenticator: &str, is_verified: bool) {
        let path = format!("/webauthn/authenticator/{authenticator}/uv");
        self.command("POST", &path, &json!({ "isUserVerified": is_verified }));
    }

    /// The passkeys of an authenticator.
    pub fn passkeys(&self, authenticator: &str) -> Vec<Value> {
        let path = format!("/webauthn/authenticator/{authenticator}/credentials");
        let stored = self.command("GET", &path, &Value::Null);
        stored.as_array().expect("a list").clone()
    }

    /// Replaces all passkeys of an authenticator by one.
    pub fn replace_passkeys(&self, authenticator: &str, passkey: &Value) {
        let path = format!("/webauthn/authenticator/{authenticator}/credential");
        self.command("DELETE", &format!("{path}s"), &Value::Null);
        self.command("POST", &path, passkey);
    }

    /// Clicks on what a CSS selector finds.
    pub fn click(&self, selector: &str) {
        let path = format!("/element/{}/click", self.find(selector));
        self.command("POST", &path, &json!({}));
    }

    fn find(&self, selector: &str) -> String {
        let by = json!({ "using": "css selector", "value": selector });
        let found = self.command("POST", "/element", &by);
        let id = found[ELEMENT].as_str();
        id.unwrap_or_else(|| panic!("{selector}: {found} in {}", self.source()))
            .to_owned()
    }

    /// Waits until the URL of the page is one that is meant, and returns it.
    pub fn wait_for(&self, is_meant: impl Fn(&str) -> bool) -> String {
        let started = Instant::now();
        loop {
            let url = self.url();
            if is_meant(&url) {
                return url;
            }
            assert!(
                started.elapsed() < PAGE_TIMEOUT,
                "{url} is shown: {}",
                self.source()
            );
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// The value of a cookie for the host of the page.
    pub fn cookie(&self, name: &str) -> String {
        let cookie = self.command("GET", &format!("/cookie/{name}"), &Value::Null);
        let value = cookie["value"].as_str();
        value
            .unwrap_or_else(|| panic!("{name}: {cookie}"))
            .to_owned()
    }

    /// Sets a cookie for the host of the page, as a page with TLS could.
    pub fn set_cookie(&self, name: &str, value: &str) {
        let cookie = json!({ "name": name, "value": value, "path": "/", "secure": true });
        self.command("POST", "/cookie", &json!({ "cookie": cookie }));
    }

    fn command(&self, method: &str, path: &str, body: &Value) -> Value {
        let path = format!("/session/{}{path}", self.session);
        let request: Request = self.client.request(method, &path).host("localhost");
        let request = if body.is_null() {
            request
        } else {
            request.json(body)
        };
        parse(&request.send())
    }
}

/// The value in a response; an error is a value too.
fn parse(response: &Response) -> Value {
    let answer: Value = serde_json::from_slice(&response.body).expect("it is JSON");
    answer["value"].clone()
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // Ends the browser too; without an answer nothing is left to do.
        let path = format!("/session/{}", self.session);
        drop(
            self.client
                .request("DELETE", &path)
                .host("localhost")
                .try_send(),
        );
        drop(self.driver.kill());
        drop(self.driver.wait());
    }
}
