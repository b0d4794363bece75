//! The proxy configurations of `deploy/` in real proxies: requests reach the app with the caller's
//! identity as Tokenhouse states it, and never without a valid credential.

mod admission;
mod client_addresses;
mod failure;
mod injection;
mod paths;

use crate::harness::{
    Backend, Person, Proxy, Recorded, Recorder, Request, Response, RunningProxy, TestApp,
    TestAppBuilder,
};

/// The scope that the configurations require for `/reports`.
const SCOPE: &str = "reports:read";

/// The headers that identify the caller to the app.
const IDENTITY: [&str; 5] = [
    "X-Auth-User-Id",
    "X-Auth-Email",
    "X-Auth-Name",
    "X-Auth-Scopes",
    "X-Auth-Method",
];

/// An app behind a proxy that uses Tokenhouse for authentication.
struct Guarded {
    tokenhouse: TestApp,
    app: Recorder,
    proxy: RunningProxy,
    tally: Tally,
}

/// A credential, and its identity according to Tokenhouse.
struct Caller {
    credential: String,
    identity: [String; 5],
}

impl Guarded {
    fn start(proxy: Proxy, backend: Backend) -> Self {
        Self::with(proxy, TestApp::builder(backend))
    }

    fn with(proxy: Proxy, tokenhouse: TestAppBuilder) -> Self {
        let (tokenhouse, app) = (tokenhouse.start(), Recorder::echo());
        Self {
            proxy: proxy.start(tokenhouse.address(), app.address()),
            tally: Tally::new(proxy),
            tokenhouse,
            app,
        }
    }

    /// Registers a user with the scope required for `/reports`.
    fn register_reader(&self, name: &str) -> Person {
        let reader = self.tokenhouse.register(name);
        self.run(&["user", "grant", &reader.email, SCOPE]);
        reader
    }

    /// Runs an operator command.
    fn run(&self, arguments: &[&str]) {
        let output = self.tokenhouse.program(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    /// Creates a key; returns its id and secret.
    fn create_key(&self, token: &str, scopes: &str) -> (i64, String) {
        let key = self.tokenhouse.create_key(token, scopes);
        (key.id, key.secret)
    }

    /// The identity of this credential, from Tokenhouse without a proxy.
    fn caller(&self, credential: &str) -> Caller {
        let response = self.tokenhouse.get("/verify").bearer(credential).send();
        assert_eq!(response.status, 200, "{response:?}");
        Caller {
            credential: credential.to_owned(),
            identity: IDENTITY.map(|name| response.header(name).unwrap()),
        }
    }

    /// Sends a request that may reach the app as this caller only, or not at all.
    fn send(&mut self, request: Request, expected_caller: Option<&Caller>) -> Response {
        let response = request.send();
        self.tally.count(&self.app.take(), expected_caller);
        response
    }

    /// Sends a request that must reach the app.
    fn assert_passes(&mut self, request: Request, caller: &Caller) -> Response {
        let response = self.send(request, Some(caller));
        assert_eq!(response.status, 200, "{response:?}");
        assert_eq!(response.header("x-upstream").as_deref(), Some("reached"));
        response
    }

    /// Sends a request that must be rejected with this status, and returns the challenge.
    fn assert_rejected(&mut self, request: Request, status: u16) -> String {
        let response = self.send(request, None);
        assert_eq!(response.status, status, "{response:?}");
        assert_eq!(response.header("x-upstream"), None, "{response:?}");
        response.header("www-authenticate").unwrap_or_default()
    }
}

/// Part of every forged value.
const FORGED: &str = "forged-by-the-client";

/// The counter of a test. It is printed when the test ends, which fails on any leak.
struct Tally {
    proxy: Proxy,
    tried: usize,
    reached: usize,
    leaks: Vec<String>,
}

impl Tally {
    fn new(proxy: Proxy) -> Self {
        Self {
            proxy,
            tried: 0,
            reached: 0,
            leaks: Vec::new(),
        }
    }

    /// Counts a request by what the app received. Without a caller it must receive nothing.
    fn count(&mut self, got: &[Recorded], expected_caller: Option<&Caller>) {
        self.tried += 1;
        self.reached += got.len();
        for request in got {
            match expected_caller {
                None => self.leak(format!("got through: {request:?}")),
                Some(caller) => {
                    if let Some(fault) = fault(request, caller) {
                        self.leak(format!("{fault}: {request:?}"));
                    }
                }
            }
        }
    }

    fn leak(&mut self, what: String) {
        self.leaks.push(what);
    }

    fn reached(&self) -> usize {
        self.reached
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        println!(
            "{:?}: {} requests tried, {} reached the app, {} leaks",
            self.proxy,
            self.tried,
            self.reached,
            self.leaks.len()
        );
        // A second panic in a failing test would abort the whole process and hide the first.
        if !std::thread::panicking() {
            assert!(self.leaks.is_empty(), "{:#?}", self.leaks);
        }
    }
}

/// What is wrong with a request that the app received, if anything.
fn fault(request: &Recorded, caller: &Caller) -> Option<&'static str> {
    // The client controls the target.
    let forwarded = Recorded {
        head: request.head.lines().skip(1).collect(),
        body: request.body.clone(),
    };
    if forwarded.contains(FORGED) {
        return Some("has what the client forged");
    }
    if forwarded.contains(&caller.credential) {
        return Some("has the credential");
    }
    // As the app sees them, however it normalizes names.
    let mut forwarded: Vec<(String, &str)> = request
        .headers()
        .map(|(name, value)| (as_variable(name), value))
        .filter(|(name, _)| {
            IDENTITY
                .iter()
                .any(|identity| as_variable(identity) == *name)
        })
        .collect();
    forwarded.sort_unstable();
    let mut expected: Vec<(String, &str)> = IDENTITY
        .iter()
        .zip(&caller.identity)
        .map(|(name, value)| (as_variable(name), value.as_str()))
        .collect();
    expected.sort_unstable();
    (forwarded != expected)
        .then_some("does not have each identity header once, as Tokenhouse gave it")
}

/// A header name as CGI and WSGI variable, where several names collide.
fn as_variable(name: &str) -> String {
    let letter = |c: char| match c.is_ascii_alphanumeric() {
        true => c.to_ascii_uppercase(),
        false => '_',
    };
    name.chars().map(letter).collect()
}

#[test]
fn leaks_are_detected() {
    let caller = Caller {
        credential: "the-credential".to_owned(),
        identity: ["1", "a@example.com", "A", "", "login"].map(str::to_owned),
    };
    let good = "GET / HTTP/1.1\r\nX-Auth-User-Id: 1\r\nX-Auth-Email: a@example.com\r\n\
        X-Auth-Name: A\r\nX-Auth-Scopes: \r\nX-Auth-Method: login\r\n\r\n";
    let fault_of = |head: &str| {
        let request = Recorded {
            head: head.to_owned(),
            body: Vec::new(),
        };
        fault(&request, &caller)
    };
    assert_eq!(fault_of(good), None);
    for (part, instead) in [
        ("X-Auth-Scopes: \r\n", ""),
        ("X-Auth-Scopes: \r\n", "X-Auth-Scopes: a\r\n"),
        ("\r\n\r\n", "\r\nx.auth_email: a@example.com\r\n\r\n"),
        ("\r\n\r\n", "\r\nCookie: the-credential\r\n\r\n"),
        ("\r\n\r\n", "\r\nCookie: forged-by-the-client\r\n\r\n"),
    ] {
        assert!(
            fault_of(&good.replace(part, instead)).is_some(),
            "{instead}"
        );
    }
}
