//! Hosts that a reverse proxy guards with `/verify?redirect`: a browser signs in and comes back, and its cookie
//! for one host counts nowhere else.

mod cookies;
mod redirects;
mod sign_in;
mod step_up;

use std::collections::BTreeMap;

use crate::harness::{Backend, Client, Person, Request, Response, TestApp, TestAppBuilder};
use crate::pages::browser::Browser;

/// The service as browsers reach it.
const PORTAL: &str = "https://auth.example";

/// The hosts to which a sign-in may lead.
const HOSTS: &str =
    "app.example, other.example, .wide.example, port.example:8443, auth.example:8443";

/// A service that trusts the proxy on this machine.
fn service(backend: Backend) -> TestAppBuilder {
    TestApp::builder(backend)
        .setting("TOKENHOUSE_PUBLIC_URL", PORTAL)
        .setting("TOKENHOUSE_TRUSTED_PROXIES", "127.0.0.1")
        .setting("TOKENHOUSE_SIGNIN_HOSTS", HOSTS)
        .setting("TOKENHOUSE_SESSIONS_PER_USER", "9")
}

/// A proxy's question about a request for this URL, by the headers of Caddy and Traefik.
fn ask(client: &Client, redirect: &str, url: &str) -> Request {
    ask_at(client, &format!("/verify?redirect={redirect}"), url)
}

/// The same with other parameters.
fn ask_at(client: &Client, path: &str, url: &str) -> Request {
    let (scheme, rest) = url.split_once("://").unwrap();
    let (host, uri) = rest.split_at(rest.find('/').unwrap());
    let request = client.get(path).host(host);
    request
        .header("X-Forwarded-For", "192.0.2.9")
        .header("X-Forwarded-Proto", scheme)
        .header("X-Forwarded-Host", host)
        .header("X-Forwarded-Uri", uri)
        .header("X-Forwarded-Method", "GET")
}

/// A browser that goes from host to host, each behind a proxy like Caddy, with cookies for each name.
struct Traveller {
    client: Client,
    jars: BTreeMap<String, Browser>,
    /// Whether all hosts share the cookies of the service.
    has_one_cookie: bool,
    /// What the hosts require.
    query: &'static str,
}

/// Where a journey ends.
#[derive(Debug)]
struct Arrival {
    url: String,
    response: Response,
    /// The redirects on the way.
    redirects: usize,
}

impl Traveller {
    fn new(client: &Client) -> Self {
        Self {
            client: *client,
            jars: BTreeMap::new(),
            has_one_cookie: false,
            query: "redirect=true",
        }
    }

    /// The same at hosts of one domain, which share the cookies.
    fn with_one_cookie(client: &Client) -> Self {
        Self {
            has_one_cookie: true,
            ..Self::new(client)
        }
    }

    /// The cookies for the name of a host: browsers do not tell ports apart.
    fn jar(&mut self, host: &str) -> &mut Browser {
        let name = match self.has_one_cookie {
            true => String::new(),
            false => host.split(':').next().unwrap().to_owned(),
        };
        let client = self.client;
        self.jars
            .entry(name)
            .or_insert_with(|| Browser::new(&client))
    }

    /// Opens a URL, and follows where it leads.
    fn open(&mut self, url: &str) -> Arrival {
        let mut url = url.to_owned();
        for redirects in 0..20 {
            let response = self.send(&url);
            let next = match response.status {
                302 | 303 => response.header("location"),
                _ => refresh(&response),
            };
            let Some(next) = next else {
                return Arrival {
                    url,
                    response,
                    redirects,
                };
            };
            url = match next.starts_with('/') {
                true => format!("{}{next}", origin(&url)),
                false => next,
            };
        }
        panic!("{url} is redirected for ever");
    }

    /// One request. A guarded host asks first; status 200 without a body is the app.
    fn send(&mut self, url: &str) -> Response {
        let host = url
            .split("://")
            .nth(1)
            .unwrap()
            .split('/')
            .next()
            .unwrap()
            .to_owned();
        let path = url.split_once(&host).unwrap().1;
        let request = if origin(url) == PORTAL {
            self.client.get(path)
        } else if path.starts_with("/.tokenhouse/") {
            ask_at(&self.client, path, url)
        } else {
            ask_at(&self.client, &format!("/verify?{}", self.query), url)
        };
        let request = request.header("Sec-Fetch-Mode", "navigate");
        let jar = self.jar(&host);
        jar.set_host(&host);
        jar.send(request)
    }

    /// Sends the form of the sign-in page that is shown.
    fn sign_in(&mut self, shown: &Arrival, person: &Person) -> Arrival {
        let page = shown.response.text();
        let (_, rest) = page.split_once(r#"<form method="post" action=""#).unwrap();
        let action = rest.split('"').next().unwrap().replace("&#38;", "&");
        let action = action.replace("&amp;", "&");
        self.jar("auth.example").set_host("auth.example");
        let fields = [
            ("email", person.email.as_str()),
            ("password", &person.password),
        ];
        let response = self.jar("auth.example").post(&action, &fields);
        assert_eq!(response.status, 303, "{response:?}");
        self.open(&format!("{PORTAL}{}", response.header("location").unwrap()))
    }

    /// Opens a URL, signs in, and comes back.
    #[track_caller]
    fn reach(&mut self, url: &str, person: &Person) -> Arrival {
        let shown = self.open(url);
        assert!(
            shown.url.starts_with(&format!("{PORTAL}/signin?rd=")),
            "{shown:?}"
        );
        let arrival = self.sign_in(&shown, person);
        assert!(arrival.is_at(url, person), "{arrival:?}");
        arrival
    }

    /// The secret of the cookie for our own pages.
    fn own_secret(&mut self) -> String {
        let jar = self.jar("auth.example");
        let names = ["__Host-tokenhouse", "__Secure-tokenhouse"];
        let mut found = names.iter().filter_map(|name| jar.cookie(name));
        found.next().expect("it is signed in").to_owned()
    }

    /// The secret of the cookie for a host.
    fn secret(&mut self, host: &str, cookie: &str) -> String {
        let secret = self.jar(host).cookie(cookie);
        secret.expect("it has the cookie").to_owned()
    }
}

impl Arrival {
    /// Whether the app was reached at this URL, as this user.
    fn is_at(&self, url: &str, person: &Person) -> bool {
        let email = self.response.header("x-auth-email");
        self.url == url && self.response.status == 200 && email.as_deref() == Some(&person.email)
    }

    /// Whether the sign-in page is shown.
    fn is_sign_in(&self) -> bool {
        self.url.starts_with(&format!("{PORTAL}/signin?")) && self.response.status == 200
    }
}

/// Scheme, host and port.
fn origin(url: &str) -> &str {
    let end = url
        .match_indices('/')
        .nth(2)
        .map_or(url.len(), |(end, _)| end);
    &url[..end]
}

/// Where a page leads at once.
fn refresh(response: &Response) -> Option<String> {
    let refresh = response.header("refresh")?;
    refresh.strip_prefix("0; url=").map(str::to_owned)
}
