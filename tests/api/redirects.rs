//! The one redirect there is: a known path with slashes too many leads to that path, and nowhere
//! else.

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
const AFTER: [&str; 9] = [
    "/",
    "//",
    "/?next=http://evil.example",
    "/?//evil.example",
    "/#@evil.example",
    "/%2f",
    "/%2fevil.example/",
    "/\\evil.example/",
    "/@evil.example/",
];

#[test]
fn nobody_is_redirected_to_another_host_or_path() {
    let app = TestApp::start(Backend::Sqlite);
    let (mut tried, mut redirected) = (0, 0);
    for before in BEFORE {
        for (path, after) in PATHS.into_iter().flat_map(|p| AFTER.map(|a| (p, a))) {
            let target = format!("{before}{path}{after}");
            let request = app.get(&target).host(HOST);
            let answer = request.header("X-Forwarded-Host", "evil.example").send();
            tried += 1;
            let Some(location) = answer.header("location") else {
                continue;
            };
            redirected += 1;
            assert_eq!(answer.status, 307, "{target}");
            let rest = location.strip_prefix("http://auth.example");
            let led_to = rest.and_then(|rest| rest.split('?').next());
            assert!(
                led_to.is_some_and(|to| PATHS.contains(&to)),
                "{target}: {location}"
            );
        }
    }
    println!("{tried} targets, {redirected} redirected");
    assert!(redirected > 10, "only {redirected} of {tried} redirected");
}
