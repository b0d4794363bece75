//! Chromium from a Debian package, by the protocol of the W3C for browser automation (`WebDriver`).

use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use test_support::is_root;
use test_support::{Client, free_port, packages};

use super::proxy::find_program;
use super::{Request, Response, RunningProxy};

/// The longest wait for a page: the machine may be busy.
const PAGE_TIMEOUT: Duration = Duration::from_secs(30);

/// The name under which the protocol returns an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A browser that finds every host name at one proxy. Dropping it ends it.
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
    pub fn start(proxy: &RunningProxy, with_scripts: bool) -> Self {
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
        browser.session = browser.begin(proxy, with_scripts);
        browser
    }

    fn begin(&self, proxy: &RunningProxy, with_scripts: bool) -> String {
        let mut arguments = vec![
            "--headless=new".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--disable-background-networking".to_owned(),
            format!("--host-resolver-rules=MAP * {}", proxy.address()),
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
