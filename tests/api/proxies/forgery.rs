//! Identity headers forged by clients, and unusual methods and targets. A path requires the scope, so
//! the app must receive the same path that the proxy has checked.

use percent_encoding::percent_decode_str;
use rand::seq::IndexedRandom;
use rand::{Rng, RngExt};

use super::{Caller, FORGED, Guarded, IDENTITY};
use crate::harness::proxy::on_both_proxies;
use crate::harness::{Backend, Proxy, Request};

on_both_proxies!(
    forged_identities_never_reach_the_app,
    forged_identities_in_bodies_never_reach_the_app,
    no_method_or_target_bypasses_the_check,
    connections_are_not_upgraded,
);

/// Characters allowed in header names besides letters, digits and the dash (RFC 9110 section 5.6.2).
const SEPARATORS: &[u8] = b"_.!#$%&'*+^`|~";

/// Number of requests with random header spellings, each with and without a credential.
const RANDOM_REQUESTS: usize = 600;

fn forged_identities_never_reach_the_app(proxy: Proxy) {
    let mut guarded = Guarded::start(proxy, Backend::Sqlite);
    let client = *guarded.proxy;
    let alice = guarded.register_reader("alice").sign_in();
    let bobby = guarded.tokenhouse.register("bobby").sign_in();
    let callers = [guarded.caller(&alice), guarded.caller(&bobby)];

    for headers in known_spellings() {
        let forge = || with_headers(client.get("/"), &headers);
        send_with_and_without_credential(&mut guarded, forge, &callers[1]);
    }
    let random = &mut rand::rng();
    for _ in 0..RANDOM_REQUESTS {
        let caller = callers.choose(random).unwrap();
        let path = ["/", "/reports/1"].choose(random).unwrap();
        let headers = (0..random.random_range(1..6))
            .map(|_| (spelling(random), FORGED.to_owned()))
            .collect();
        let forge = || with_headers(client.get(path), &headers);
        send_with_and_without_credential(&mut guarded, forge, caller);
    }
    // The rest was rejected as malformed or for a missing scope.
    assert!(guarded.tally.reached() > RANDOM_REQUESTS / 2);
}

/// Sends the request as this caller, and anonymously.
fn send_with_and_without_credential(
    guarded: &mut Guarded,
    forge: impl Fn() -> Request,
    caller: &Caller,
) {
    guarded.send(forge().bearer(&caller.credential), Some(caller));
    guarded.send(forge(), None);
}

/// Names and values of request headers.
type Headers = Vec<(String, String)>;

fn with_headers(request: Request, headers: &Headers) -> Request {
    headers.iter().fold(request, |request, (name, value)| {
        request.header(name, value)
    })
}

/// Spellings that have bypassed some proxy.
fn known_spellings() -> Vec<Headers> {
    let of_each = |name: &&str| {
        [
            spellings_of(name),
            listed_in_connection(name),
            malformed(name),
        ]
    };
    let all = IDENTITY.iter().flat_map(of_each).flatten();
    all.map(|headers| headers.into_iter().map(owned).collect())
        .collect()
}

fn owned((name, value): (String, &str)) -> (String, String) {
    (name, value.to_owned())
}

/// Case, underscores, and combinations of both.
fn spellings_of(name: &str) -> Vec<Vec<(String, &'static str)>> {
    let underscored = name.replace('-', "_");
    let alone = [
        name.to_owned(),
        name.to_lowercase(),
        name.to_uppercase(),
        underscored.clone(),
        underscored.to_uppercase(),
        name.replacen('-', "_", 1),
        name.replace('-', "."),
    ];
    let mut spellings: Vec<_> = alone.map(|name| vec![(name, FORGED)]).into();
    for other in [name, &underscored] {
        let twice = vec![(name.to_owned(), FORGED), (other.to_owned(), FORGED)];
        spellings.push(twice.iter().rev().cloned().collect());
        spellings.push(twice);
    }
    spellings
}

/// `Connection` lists headers of this hop: a proxy may drop its own headers listed there.
fn listed_in_connection(name: &str) -> Vec<Vec<(String, &'static str)>> {
    const NAMED: [&str; 8] = [
        "X-Auth-User-Id, X-Auth-Email, X-Auth-Name, X-Auth-Scopes, X-Auth-Method",
        "close, x-auth-email, x-auth-user-id",
        "keep-alive, X-AUTH-SCOPES",
        "upgrade, X-Auth-Name, X-Auth-Method",
        "X_Auth_Email",
        "Authorization, Token",
        "X-Forwarded-For, X-Forwarded-Host, Host",
        "Content-Length, Transfer-Encoding",
    ];
    let connection = || "Connection".to_owned();
    NAMED
        .map(|named| vec![(connection(), named), (name.to_owned(), FORGED)])
        .into()
}

/// Folded lines, bare carriage returns and line feeds, and invalid characters in names.
fn malformed(name: &str) -> Vec<Vec<(String, &'static str)>> {
    [
        (format!("A: b\n{name}"), FORGED),
        (format!("A: b\r{name}"), FORGED),
        // Folded into the previous value, which is harmless.
        (format!("A: b\r\n {name}"), "folded"),
        (format!("{name} "), FORGED),
        (format!("{name}\t"), FORGED),
        (format!(" {name}"), FORGED),
        (format!("{name}\0"), FORGED),
        (format!("\u{feff}{name}"), FORGED),
        (name.replace('-', "\u{2010}"), FORGED),
        (name.replace('-', " "), FORGED),
        (name.to_owned(), ""),
    ]
    .map(|header| vec![header])
    .into()
}

/// An identity header in random case, with random characters for some of its dashes.
fn spelling(random: &mut impl Rng) -> String {
    let name = IDENTITY.choose(random).unwrap();
    let separated = random.random_bool(0.7);
    name.chars()
        .map(|letter| match letter {
            '-' if separated && random.random_bool(0.7) => {
                char::from(*SEPARATORS.choose(random).unwrap())
            }
            letter if random.random_bool(0.5) => letter.to_ascii_uppercase(),
            letter => letter.to_ascii_lowercase(),
        })
        .collect()
}

/// Trailers, bodies that look like heads, and second requests in a body.
fn forged_identities_in_bodies_never_reach_the_app(proxy: Proxy) {
    let mut guarded = Guarded::start(proxy, Backend::Sqlite);
    let client = *guarded.proxy;
    let token = guarded.register_reader("alice").sign_in();
    let caller = guarded.caller(&token);
    for name in IDENTITY {
        let chunked = |declared: bool, trailer: &str| {
            let request = client
                .post("/")
                .header("Transfer-Encoding", "chunked")
                .raw_body(format!("3\r\nabc\r\n0\r\n{trailer}: {FORGED}\r\n\r\n"));
            match declared {
                true => request.header("Trailer", trailer),
                false => request,
            }
        };
        for trailer in [name, &name.replace('-', "_")] {
            for declared in [true, false] {
                send_with_and_without_credential(
                    &mut guarded,
                    || chunked(declared, trailer),
                    &caller,
                );
            }
        }
        // A request hidden behind conflicting lengths.
        let smuggled =
            format!("0\r\n\r\nGET /reports HTTP/1.1\r\nHost: a\r\n{name}: {FORGED}\r\n\r\n");
        let two_lengths = || {
            client
                .post("/")
                .header("Transfer-Encoding", "chunked")
                .body(smuggled.clone())
        };
        send_with_and_without_credential(&mut guarded, two_lengths, &caller);
        let obscured = || {
            client
                .post("/")
                .header("Transfer-Encoding", "xchunked")
                .body(smuggled.clone())
        };
        send_with_and_without_credential(&mut guarded, obscured, &caller);
    }
    assert!(guarded.tally.reached() >= 20);
}

const METHODS: [&str; 8] = [
    "GET", "HEAD", "POST", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "get",
];

const TARGETS: [&str; 42] = [
    "/",
    "//",
    "/./",
    "/../",
    "/a/b?c=d",
    "/?",
    "/?next=/reports",
    "/%",
    "/%zz",
    "/%00",
    "/%0d%0aX-Auth-Email:%20forged-by-the-client",
    "/a%20b",
    "/a%25b",
    "/a;b",
    "/a+b",
    "/\u{e9}",
    "/%c3%a9",
    "/_tokenhouse/user",
    "/_tokenhouse/reports",
    "/verify",
    "/reports",
    "/reports/",
    "/reportsx",
    "/reports;a",
    "/reports%3b",
    "//reports",
    "/./reports",
    "/a/../reports",
    "/a/..//reports",
    "/%72eports",
    "/%2freports",
    "/%2e/reports",
    "/a/%2e%2E/reports",
    "/a%2f..%2freports",
    "/a/..%2freports",
    "/reports/../",
    "/reports/%2e%2e/",
    "/reports/..%2f",
    "/reports/%252e%252e/",
    "/\\reports",
    "/a\\..\\reports",
    "/%5creports",
];

/// Targets that are not paths.
const OTHER_TARGETS: [&str; 5] = [
    "*",
    "http://app.example/",
    "http://app.example/reports",
    "reports",
    "app.example:80",
];

fn no_method_or_target_bypasses_the_check(proxy: Proxy) {
    let mut guarded = Guarded::start(proxy, Backend::Sqlite);
    let client = *guarded.proxy;
    let reader = guarded.register_reader("alice").sign_in();
    let other_user = guarded.tokenhouse.register("bobby").sign_in();
    let [reader, other_user] = [reader, other_user].map(|token| guarded.caller(&token));
    let long = format!("/?{}", "q=1&".repeat(1_500));
    let targets = TARGETS
        .into_iter()
        .chain(OTHER_TARGETS)
        .chain([long.as_str()]);
    for target in targets {
        for method in METHODS {
            let request = || client.request(method, target);
            let with_body = || request().header("Content-Type", "text/plain").body("a=b");
            for caller in [&reader, &other_user] {
                send_as(
                    &mut guarded,
                    request(),
                    caller,
                    caller.credential == reader.credential,
                );
            }
            guarded.send(request(), None);
            guarded.send(with_body(), None);
            guarded.send(request().bearer("unknown"), None);
        }
        if target.starts_with('/') {
            guarded.send(
                client.post(target).bearer(&reader.credential).body("a=b"),
                Some(&reader),
            );
        }
    }
    assert!(guarded.tally.reached() > 300);

    if proxy == Proxy::Nginx {
        // The internal locations are not reachable.
        for path in ["/_tokenhouse/user", "/_tokenhouse/reports"] {
            let request = client.get(path).bearer(&reader.credential);
            guarded.assert_rejected(request, 404);
        }
    }
    for method in METHODS.iter().filter(|method| **method != "TRACE") {
        let request = client
            .request(method, "/a/b?c=d&e=%2f")
            .bearer(&reader.credential);
        let response = request.send();
        let got = guarded.app.take();
        if *method != "get" {
            assert_eq!(response.status, 200, "{method}");
            assert_eq!(got[0].line(), format!("{method} /a/b?c=d&e=%2f"));
        }
        guarded.tally.count(&got, Some(&reader));
    }
}

/// Traffic over an upgraded connection would bypass the checks.
fn connections_are_not_upgraded(proxy: Proxy) {
    let guarded = Guarded::start(proxy, Backend::Sqlite);
    let client = *guarded.proxy;
    let token = guarded.tokenhouse.register("alice").sign_in();
    for protocol in ["websocket", "h2c", "HTTP/2.0", "tokenhouse"] {
        let request = client.get("/").bearer(&token);
        let request = request
            .header("Upgrade", protocol)
            .header("Connection", "Upgrade, HTTP2-Settings")
            .header("HTTP2-Settings", "AAMAAABkAAQAAP__");
        assert_eq!(request.send().status, 200);
        let got = guarded.app.take();
        assert_eq!(got.len(), 1);
        assert_eq!(got[0].header("upgrade"), None, "{got:?}");
    }
}

/// Sends a request that may reach the app, but reports only if the caller may read them.
fn send_as(guarded: &mut Guarded, request: Request, caller: &Caller, may_read: bool) {
    request.bearer(&caller.credential).send();
    let got = guarded.app.take();
    guarded.tally.count(&got, Some(caller));
    for request in got {
        let line = request.line().to_owned();
        let target = line.split_once(' ').unwrap().1;
        if !may_read && could_mean_reports(target) {
            guarded
                .tally
                .leak(format!("reports without the scope: {line}"));
        }
    }
}

/// Whether an app could take this target for reports: as it is, decoded, or with dots resolved and
/// slashes merged.
fn could_mean_reports(target: &str) -> bool {
    let raw = target.split('?').next().unwrap_or_default();
    let decoded = percent_decode_str(raw)
        .decode_utf8_lossy()
        .replace('\\', "/");
    [raw, &decoded]
        .into_iter()
        .any(|path| path.starts_with("/reports") || resolved(path).starts_with("/reports"))
}

fn resolved(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => _ = segments.pop(),
            segment => segments.push(segment),
        }
    }
    format!("/{}", segments.join("/"))
}

#[test]
fn report_paths_are_recognized_in_any_spelling() {
    for target in [
        "/reports",
        "/reports/../a",
        "//reports",
        "/%72eports?a",
        "/a/%2e%2e/reports",
        "/\\reports",
    ] {
        assert!(could_mean_reports(target), "{target}");
    }
    for target in ["/", "/?next=/reports", "/a/reports", "/a/../b"] {
        assert!(!could_mean_reports(target), "{target}");
    }
}
