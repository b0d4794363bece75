//! A browser without JavaScript: it keeps cookies, follows redirects and sends forms.

use std::collections::BTreeMap;

use crate::harness::{Client, Person, Request, Response};

/// A browser at one server.
pub struct Browser {
    client: Client,
    host: String,
    cookies: BTreeMap<String, String>,
    headers: Vec<(&'static str, String)>,
}

impl Browser {
    /// A browser on the machine of the server.
    pub fn new(client: &Client) -> Self {
        Self {
            client: *client,
            host: "localhost".to_owned(),
            cookies: BTreeMap::new(),
            headers: Vec::new(),
        }
    }

    /// A browser of this person, signed in.
    pub fn of(person: &Person) -> Self {
        let mut browser = Self::new(&person.client);
        let response = browser.sign_in(person);
        assert_eq!(response.status, 303, "{response:?}");
        browser
    }

    /// Uses another host name.
    pub fn at(mut self, host: &str) -> Self {
        host.clone_into(&mut self.host);
        self
    }

    /// Goes on with another host name.
    pub fn set_host(&mut self, host: &str) {
        host.clone_into(&mut self.host);
    }

    /// Goes on with another process of the service.
    pub fn set_client(&mut self, client: &Client) {
        self.client = *client;
    }

    /// Loses a cookie.
    pub fn forget(&mut self, name: &str) {
        self.cookies.remove(name);
    }

    /// Sends a header with every request.
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// The value of a cookie.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies.get(name).map(String::as_str)
    }

    /// The secret of the session.
    pub fn secret(&self) -> String {
        let secret = self
            .cookie("tokenhouse")
            .or(self.cookie("__Host-tokenhouse"));
        secret.expect("it is signed in").to_owned()
    }

    /// Copies a session into this browser.
    pub fn set_cookie(&mut self, name: &str, value: &str) {
        self.cookies.insert(name.to_owned(), value.to_owned());
    }

    /// Opens a page.
    pub fn get(&mut self, path: &str) -> Response {
        let request = self.client.get(path).header("Sec-Fetch-Site", "none");
        self.send(request)
    }

    /// Opens a page that must exist, and returns its text.
    #[track_caller]
    pub fn page(&mut self, path: &str) -> String {
        let response = self.get(path);
        assert_eq!(response.status, 200, "{path}: {response:?}");
        response.text().to_owned()
    }

    /// Sends a form of one of the pages.
    pub fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Response {
        let request = self.client.post(path).form(fields);
        self.send(request.header("Sec-Fetch-Site", "same-origin"))
    }

    /// Sends a form of a page for signed-in users: with the user to whom the page was shown.
    #[track_caller]
    pub fn submit(&mut self, page: &str, path: &str, fields: &[(&str, &str)]) -> Response {
        let user = hidden(&self.page(page), "user").expect("the page has a form");
        let fields = [&[("user", user.as_str())], fields].concat();
        self.post(path, &fields)
    }

    /// Sends the form of the sign-in page.
    pub fn sign_in(&mut self, person: &Person) -> Response {
        self.sign_in_with(person, &[])
    }

    /// The same with more fields.
    pub fn sign_in_with(&mut self, person: &Person, more: &[(&str, &str)]) -> Response {
        let own = [
            ("email", person.email.as_str()),
            ("password", person.password.as_str()),
        ];
        self.post("/signin", &[&own, more].concat())
    }

    /// Whether the account page is shown.
    pub fn is_signed_in(&mut self) -> bool {
        let response = self.get("/account");
        assert!([200, 303].contains(&response.status), "{response:?}");
        response.status == 200
    }

    /// Sends any request with the cookies.
    pub fn send(&mut self, request: Request) -> Response {
        let mut request = request.host(&self.host);
        let pairs = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        let pairs: Vec<String> = pairs.collect();
        if !pairs.is_empty() {
            request = request.header("Cookie", pairs.join("; "));
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let response = request.send();
        self.store(&response);
        response
    }

    fn store(&mut self, response: &Response) {
        for (_, value) in response
            .headers
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"))
        {
            let (pair, attributes) = value.split_once(';').unwrap_or((value, ""));
            let (name, value) = pair.split_once('=').expect("a cookie");
            if attributes.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }
}

/// Where a redirect leads.
#[track_caller]
pub fn location(response: &Response) -> String {
    assert_eq!(response.status, 303, "{response:?}");
    response
        .header("location")
        .expect("a redirect leads somewhere")
}

/// The value of a hidden field.
pub fn hidden(page: &str, name: &str) -> Option<String> {
    let (_, rest) = page.split_once(&format!(r#"type="hidden" name="{name}" value=""#))?;
    rest.split('"').next().map(str::to_owned)
}

/// The title of a page.
pub fn title(page: &str) -> &str {
    let (_, rest) = page.split_once("<title>").expect("a page has a title");
    rest.split("</title>").next().expect("a text")
}
