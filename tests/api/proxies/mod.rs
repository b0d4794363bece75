//! The proxy configurations of `deploy/` in real proxies: requests reach the app with the caller's
//! identity as Tokenhouse states it, and never without a valid credential. Clients behind a proxy do
//! not share limits, whether or not the proxy is configured as trusted.

mod admission;
mod browsers;
mod forgery;
mod path;

use std::fs;
use std::path::Path;
use std::process::Stdio;

use crate::harness::proxy::start_before_cluster;
use crate::harness::{
    Backend, Client, Person, Proxy, Recorded, Recorder, Request, Response, Running, RunningProxy,
    STATIC_KEY, ScratchDir, TestApp, TestAppBuilder, on_both_databases,
};

on_both_databases!(
    flood_behind_a_trusted_proxy_does_not_block_others,
    untrusted_proxy_is_reported_and_blocks_no_client,
);

/// The scope that the configurations require for `/reports`.
const SCOPE: &str = "reports:read";

/// The headers that identify the caller to the app.
const IDENTITY: [&str; 8] = [
    "X-Auth-User-Id",
    "X-Auth-Email",
    "X-Auth-Name",
    "X-Auth-Scopes",
    "X-Auth-Method",
    "X-Auth-External-Id",
    "X-Auth-Session-Id",
    "X-Auth-Time",
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
    identity: [String; 8],
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
        identity: ["1", "a@example.com", "A", "", "login", "", "", ""].map(str::to_owned),
    };
    let good = "GET / HTTP/1.1\r\nX-Auth-User-Id: 1\r\nX-Auth-Email: a@example.com\r\n\
        X-Auth-Name: A\r\nX-Auth-Scopes: \r\nX-Auth-Method: login\r\n\
        X-Auth-External-Id: \r\nX-Auth-Session-Id: \r\nX-Auth-Time: \r\n\r\n";
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

const ATTACKER: [u8; 4] = [127, 6, 6, 6];
const OTHERS: [[u8; 4]; 3] = [[127, 1, 1, 1], [127, 1, 2, 1], [127, 1, 3, 1]];

/// The settings in a file of `deploy/`, except the listening address and the database.
fn settings_in(unit: &str) -> Vec<(String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("deploy")
        .join(unit);
    let unit = fs::read_to_string(path).unwrap();
    let lines = unit
        .lines()
        .filter_map(|line| line.strip_prefix("Environment="));
    let settings = lines.filter_map(|line| line.split_once('='));
    settings
        .filter(|(name, _)| !["DATABASE_URL", "TOKENHOUSE_BIND"].contains(name))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// Guesses passwords of unknown users; returns how many requests were limited.
fn flood(client: &Client) -> usize {
    let statuses = (0..160).map(|number| {
        let name = format!("nobody{number}@example.com");
        let form = [("username", name.as_str()), ("password", "wrong password")];
        client.post("/token").form(&form).send().status
    });
    statuses.filter(|status| *status == 429).count()
}

fn sign_in_others(proxy: &Client, app: &TestApp) -> Vec<u16> {
    let sign_in = |(number, address): (usize, &[u8; 4])| {
        let person = app.register(&format!("user{number}"));
        let form = [
            ("username", person.email.as_str()),
            ("password", &person.password),
        ];
        proxy
            .from(*address)
            .post("/token")
            .form(&form)
            .send()
            .status
    };
    OTHERS.iter().enumerate().map(sign_in).collect()
}

fn flood_behind_a_trusted_proxy_does_not_block_others(backend: Backend) {
    let app = TestApp::start(backend);
    let settings = settings_in("systemd/tokenhouse.service");
    assert!(!settings.is_empty());
    let mut command = app.program(&["serve"]);
    command.env("TOKENHOUSE_LIMITS", "on").envs(settings);
    let (_server, client) = Running::serve(command.stderr(Stdio::null()));
    let proxy = start_before_cluster([client.address(); 3]);
    assert!(flood(&proxy.from(ATTACKER)) > 50);
    assert_eq!(sign_in_others(&proxy, &app), [200; 3]);
    for address in ["127.6.6.6", "127.1.1.1", "127.1.2.1", "127.1.3.1"] {
        let rows = format!("audit_events WHERE action = 'login' AND ip = '{address}'");
        assert!(app.database().count(&rows) > 0, "{address}");
    }
    assert_eq!(
        app.database()
            .count("audit_events WHERE action = 'proxy.untrusted'"),
        0
    );
}

fn untrusted_proxy_is_reported_and_blocks_no_client(backend: Backend) {
    let app = TestApp::start(backend);
    let folder = ScratchDir::new("unnamed");
    let path = folder.join("log");
    let mut command = app.program(&["serve"]);
    command
        .env("TOKENHOUSE_LIMITS", "on")
        .stderr(Stdio::from(fs::File::create(&path).unwrap()));
    let (server, client) = Running::serve(&mut command);
    let proxy = start_before_cluster([client.address(); 3]);
    assert_eq!(flood(&proxy.from(ATTACKER)), 0);
    assert_eq!(sign_in_others(&proxy, &app), [200; 3]);
    // Accounts are still limited, and so are clients without a proxy.
    let alice = app.register("alice");
    let guess = |client: &Client, password: &str| {
        let form = [("username", alice.email.as_str()), ("password", password)];
        client.post("/token").form(&form).send().status
    };
    for _ in 0..10 {
        assert_eq!(guess(&proxy.from(ATTACKER), "wrong password"), 401);
    }
    assert_eq!(guess(&proxy.from(OTHERS[0]), &alice.password), 401);
    assert!(flood(&client.from(ATTACKER)) > 50);

    let metrics = client.get("/metrics").header("Token", STATIC_KEY).send();
    let name = "tokenhouse_untrusted_forwards_total ";
    let counted = metrics.text().split(name).last().unwrap().lines().next();
    assert_eq!(counted, Some("174"));
    server.signal("TERM");
    server.wait();
    let log = fs::read_to_string(&path).unwrap();
    let warnings = log.matches("TOKENHOUSE_TRUSTED_PROXIES").count();
    assert_eq!(warnings, 1, "{log}");
    let rows = "audit_events WHERE action = 'proxy.untrusted' AND ip = '127.0.0.1'";
    assert_eq!(app.database().count(rows), 1);

    let doctor = |trusted: &str| {
        let mut command = app.program(&["doctor"]);
        command.env("TOKENHOUSE_TRUSTED_PROXIES", trusted);
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    let advice = "set TOKENHOUSE_TRUSTED_PROXIES=127.0.0.1";
    assert!(doctor("").contains(advice), "{}", doctor(""));
    assert!(doctor("192.0.2.1").contains(advice));
    assert!(!doctor("127.0.0.1,::1").contains(advice));
}

/// Every deployment example configures the trusted proxies or explains them.
#[test]
fn every_deployment_example_names_the_proxy() {
    for (file, line) in [
        (
            "systemd/tokenhouse.service",
            "Environment=TOKENHOUSE_TRUSTED_PROXIES=127.0.0.1,::1",
        ),
        (
            "docker/compose.yaml",
            "TOKENHOUSE_TRUSTED_PROXIES: 172.30.83.1",
        ),
        (
            "nginx/cluster.conf",
            "TOKENHOUSE_TRUSTED_PROXIES=127.0.0.1,::1",
        ),
        ("nginx/app.conf", "TOKENHOUSE_TRUSTED_PROXIES=127.0.0.1,::1"),
        (
            "caddy/Caddyfile",
            "TOKENHOUSE_TRUSTED_PROXIES=127.0.0.1,::1",
        ),
        (
            "nginx/browsers.conf",
            "TOKENHOUSE_TRUSTED_PROXIES=127.0.0.1,::1",
        ),
        (
            "caddy/browsers.Caddyfile",
            "TOKENHOUSE_TRUSTED_PROXIES=127.0.0.1,::1",
        ),
        (
            "traefik/browsers.yml",
            "TOKENHOUSE_TRUSTED_PROXIES=127.0.0.1,::1",
        ),
        (
            "nginx/path.conf",
            "TOKENHOUSE_TRUSTED_PROXIES=127.0.0.1,::1",
        ),
        (
            "caddy/path.Caddyfile",
            "TOKENHOUSE_TRUSTED_PROXIES=127.0.0.1,::1",
        ),
        (
            "traefik/app.yml",
            "TOKENHOUSE_TRUSTED_PROXIES=127.0.0.1,::1",
        ),
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("deploy")
            .join(file);
        let example = fs::read_to_string(path).unwrap();
        assert!(example.contains(line), "{file}");
    }
}
