//! The one redirect there is: a known path with slashes too many leads to that path of the same host,
//! and nowhere else.

use crate::harness::{Backend, TestApp};

const HOST: &str = "auth.example";

/// Where it may lead.
const PATHS: [&str; 3] = ["/page", "/users/me", "/token"];

/// What has made others redirect to another host.
const BEFORE: [&str; 22] = [
    "",
    "/",
    "//",
    "//evil.example",
    "///evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "/%2fevil.example",
    "/%2f%2fevil.example",
    "/%5cevil.example",
    "/%09/evil.example",
    "/%0d%0aLocation:%20http://evil.example",
    "/.evil.example",
    "/@evil.example",
    "/evil.example/..",
    "/evil.example/%2e%2e",
    "http://evil.example",
    "http:evil.example",
    "https:///evil.example",
    "javascript:alert(1)",
    "auth.example@evil.example",
    "/\u{ff0f}evil.example",
];

/// What may follow the path.
const AFTER: [&str; 11] = [
    "/",
    "//",
    "/?next=http://evil.example",
    "/?//evil.example",
    "/?\\evil.example",
    "/?next=\\\\evil.example",
    "/#@evil.example",
    "/%2f",
    "/%2fevil.example/",
    "/\\evil.example/",
    "/@evil.example/",
];

/// Paths with a part that the client chooses.
const CHOSEN: [&str; 5] = [
    "/users/me/keys/\\evil.example/",
    "/users/me/keys/1?\\evil.example",
    "/admin/users/\\\\evil.example/tokens/",
    "/docs/\\evil.example//",
    "/admin/users/@evil.example/",
];

#[test]
fn a_redirect_is_a_path_of_this_host_and_leads_nowhere_else() {
    let app = TestApp::start(Backend::Sqlite);
    let (mut tried, mut redirected) = (0, 0);
    let known = BEFORE.into_iter().flat_map(|before| {
        let paths = PATHS.into_iter();
        paths.flat_map(move |path| AFTER.map(|after| format!("{before}{path}{after}")))
    });
    for target in known.chain(CHOSEN.map(str::to_owned)) {
        let request = app.get(&target).host(HOST);
        let request = request.header("X-Forwarded-Proto", "https");
        let answer = request.header("X-Forwarded-Host", "evil.example").send();
        tried += 1;
        let Some(location) = answer.header("location") else {
            continue;
        };
        redirected += 1;
        assert_eq!(answer.status, 307, "{target}");
        let is_local = location.starts_with('/') && !location.starts_with("//");
        assert!(is_local && !location.contains('\\'), "{target}: {location}");
        let led_to = location.split('?').next().unwrap();
        let is_known = PATHS.contains(&led_to) || target.starts_with(led_to);
        assert!(is_known, "{target}: {location}");
    }
    println!("{tried} targets, {redirected} redirected");
    assert!(redirected > 10, "only {redirected} of {tried} redirected");
}

#[test]
fn a_redirect_keeps_the_query_and_names_no_host() {
    let app = TestApp::start(Backend::Sqlite);
    for (target, location) in [
        ("/token/", "/token"),
        ("/page//?x=1&y=%20z", "/page?x=1&y=%20z"),
        ("/page/?next=//evil.example", "/page?next=//evil.example"),
        ("/page/?a\\b", "/page?a%5Cb"),
        ("http://evil.example/page/", "/page"),
        ("/users/me/keys/7/", "/users/me/keys/7"),
    ] {
        for method in ["GET", "POST", "PUT"] {
            let answer = app.request(method, target).host("evil.example").send();
            let answered = (answer.status, answer.header("location"));
            assert_eq!(answered, (307, Some(location.to_owned())), "{target}");
        }
    }
}
