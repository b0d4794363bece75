//! Unusual methods and targets. A path requires the scope, so the app must receive the same path that
//! the proxy has checked.

use percent_encoding::percent_decode_str;

use super::{Caller, Guarded};
use crate::harness::proxy::on_both_proxies;
use crate::harness::{Backend, Proxy, Request};

on_both_proxies!(
    no_method_or_target_bypasses_the_check,
    connections_are_not_upgraded,
);

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
