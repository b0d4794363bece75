//! URLs in responses: metadata (RFC 8414), redirects, and no plain HTTP behind a TLS proxy.

use serde_json::{Value, json};

use crate::harness::{Backend, OWN_SCOPES, Request, Response, STATIC_KEY, TestApp};
use crate::matrix::policy::{Body, ROUTES, Route};

const METADATA: &str = "/.well-known/oauth-authorization-server";

fn expected_metadata(issuer: &str) -> Value {
    json!({
        "issuer": issuer,
        "token_endpoint": format!("{issuer}/token"),
        "revocation_endpoint": format!("{issuer}/revoke"),
        "introspection_endpoint": format!("{issuer}/introspect"),
        "grant_types_supported": ["password", "refresh_token"],
        "response_types_supported": [],
        "token_endpoint_auth_methods_supported": ["none"],
        "revocation_endpoint_auth_methods_supported": ["none"],
        "introspection_endpoint_auth_methods_supported": ["client_secret_basic", "Bearer"],
        "scopes_supported": ["users:read", "users:write", "events:read", "introspect"],
    })
}

/// Host names that an attacker might send.
const FORGED_HOSTS: [&str; 8] = [
    "evil.example/path",
    "evil.example@auth.example",
    "evil.example\"",
    "<script>",
    "a b",
    "evil.example?x=",
    "evil.example#",
    "\u{e9}vil.example",
];

#[test]
fn issuer_is_the_configured_url_whatever_the_client_sends() {
    let app = TestApp::builder(Backend::Sqlite)
        .setting("TOKENHOUSE_PUBLIC_URL", "https://auth.example/")
        .start();
    for host in FORGED_HOSTS
        .into_iter()
        .chain(["evil.example", "auth.example"])
    {
        let request = app.get(METADATA).host(host);
        let request = request
            .header("X-Forwarded-Host", "evil.example")
            .header("X-Forwarded-Proto", "http")
            .header("Forwarded", "host=evil.example");
        let response = request.send();
        assert_eq!(
            (response.status, response.json()),
            (200, expected_metadata("https://auth.example")),
            "{host}"
        );
    }
}

#[test]
fn without_public_url_only_direct_local_clients_get_metadata() {
    let app = TestApp::start(Backend::Sqlite);
    for host in [
        "127.0.0.1:8000",
        "127.8.9.1",
        "[::1]:8000",
        "[::1]",
        "localhost:8000",
        "LOCALHOST",
    ] {
        let response = app.get(METADATA).host(host).send();
        assert_eq!(
            response.json(),
            expected_metadata(&format!("http://{host}")),
            "{host}"
        );
        assert_eq!(
            response.header("cache-control").as_deref(),
            Some("no-store")
        );
    }
    // Host names sent by a TLS proxy, or by an attacker through one.
    let others = [
        "auth.example",
        "auth.example:8443",
        "192.0.2.1",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "localhost@evil.example",
        "localhost:80:80",
        "localhost:x",
        "[::2]",
        "",
    ];
    for host in FORGED_HOSTS.into_iter().chain(others) {
        let status = app.get(METADATA).host(host).send().status;
        assert!([400, 404].contains(&status), "{host}: {status}");
    }
    for (name, value) in [
        ("X-Forwarded-For", "192.0.2.1"),
        ("X-Forwarded-Proto", "https"),
        ("x-forwarded-host", "auth.example"),
        ("X-Forwarded-Server", ""),
        ("Forwarded", "proto=https"),
        ("Via", "1.1 proxy"),
        ("X-Real-IP", "192.0.2.1"),
    ] {
        let request = app.get(METADATA).header(name, value);
        assert_eq!(request.send().status, 404, "{name}");
    }
}

/// Without the setting, clients behind the proxies of these examples get no metadata.
#[test]
fn deployment_examples_set_the_public_url() {
    let recipes = [
        include_str!("../../deploy/systemd/tokenhouse.service"),
        include_str!("../../deploy/docker/compose.yaml"),
        include_str!("../../deploy/nginx/cluster.conf"),
    ];
    for recipe in recipes {
        let mut lines = recipe
            .lines()
            .filter(|line| line.contains("TOKENHOUSE_PUBLIC_URL"));
        assert!(lines.any(|line| line.contains("https://")), "{recipe}");
    }
}

#[test]
fn metadata_endpoints_exist() {
    let app = TestApp::start(Backend::Sqlite);
    let metadata = app.get(METADATA).send().json();
    let base = format!("http://{}", app.address());
    for name in [
        "token_endpoint",
        "revocation_endpoint",
        "introspection_endpoint",
    ] {
        let path = metadata[name]
            .as_str()
            .unwrap()
            .strip_prefix(&base)
            .unwrap();
        // Each endpoint requires a form or a client, and rejects the request.
        let status = app.post(path).send().status;
        assert!([400, 401, 422].contains(&status), "{path}: {status}");
    }
}

const HOST: &str = "auth.example";

/// The possible destinations.
const PATHS: [&str; 3] = ["/page", "/users/me", "/token"];

/// Prefixes that made other software redirect to another host.
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

/// Suffixes of the path.
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

/// The only redirect: a known path with extra slashes redirects to that path on the same host.
#[test]
fn redirects_stay_on_this_host() {
    let app = TestApp::start(Backend::Sqlite);
    let (mut tried, mut redirected) = (0, 0);
    let known = BEFORE.into_iter().flat_map(|before| {
        let paths = PATHS.into_iter();
        paths.flat_map(move |path| AFTER.map(|after| format!("{before}{path}{after}")))
    });
    for target in known.chain(CHOSEN.map(str::to_owned)) {
        let request = app.get(&target).host(HOST);
        let request = request.header("X-Forwarded-Proto", "https");
        let response = request.header("X-Forwarded-Host", "evil.example").send();
        tried += 1;
        let Some(location) = response.header("location") else {
            continue;
        };
        redirected += 1;
        assert_eq!(response.status, 307, "{target}");
        let has_host =
            location.starts_with('/') || location.split('?').next().unwrap().contains(':');
        assert!(
            !has_host && !location.contains('\\'),
            "{target}: {location}"
        );
        let after_host = target.split_once("://").map(|(_, rest)| rest);
        let path = after_host.unwrap_or(&target);
        let path = path.find('/').map_or("/", |at| &path[at..]);
        let base = format!("https://{HOST}{path}");
        let resolved = url::Url::parse(&base).unwrap().join(&location).unwrap();
        assert_eq!(resolved.host_str(), Some(HOST), "{target}: {location}");
        let path = resolved.path();
        assert!(
            PATHS.contains(&path) || target.starts_with(path),
            "{target}: {location}"
        );
    }
    println!("{tried} targets, {redirected} redirected");
    assert!(redirected > 10, "only {redirected} of {tried} redirected");
}

#[test]
fn redirects_keep_the_query_and_name_no_host() {
    let app = TestApp::start(Backend::Sqlite);
    for (target, direct, forwarded) in [
        ("/token/", "/token", "../token"),
        (
            "/page//?x=1&y=%20z",
            "/page?x=1&y=%20z",
            "../../page?x=1&y=%20z",
        ),
        ("/page/?a\\b", "/page?a%5Cb", "../page?a%5Cb"),
        ("http://evil.example/page/", "/page", "../page"),
        ("/users/me/", "/users/me", "../../users/me"),
        ("/users%2Fme/", "/users/me", "../users/me"),
        ("/token%2f", "/token", "token"),
    ] {
        for method in ["GET", "POST", "PUT"] {
            let request = || app.request(method, target).host("evil.example");
            // Below a path, for example, which the service does not know.
            let by_proxy = request().header("X-Forwarded-For", "192.0.2.1");
            for (request, location) in [(request(), direct), (by_proxy, forwarded)] {
                let response = request.send();
                let redirect = (response.status, response.header("location"));
                assert_eq!(redirect, (307, Some(location.to_owned())), "{target}");
            }
        }
    }
}

/// Third-party scripts and styles, which name their licences.
const THIRD_PARTY: [&str; 2] = ["/docs/{file}", "/redoc/{file}"];

#[test]
fn responses_never_name_plain_http() {
    let with_url = TestApp::builder(Backend::Sqlite)
        .setting("TOKENHOUSE_PUBLIC_URL", "https://auth.example")
        .start();
    let behind_proxy = TestApp::builder(Backend::Sqlite)
        .setting("TOKENHOUSE_TRUSTED_PROXIES", "127.0.0.1")
        .start();
    for app in [&with_url, &behind_proxy] {
        let root = app.register_with("root", OWN_SCOPES).sign_in();
        let mut tried = 0;
        for route in ROUTES {
            // The token comes last: a route may revoke it.
            for credential in [None, Some(STATIC_KEY), Some(root.as_str())] {
                for end in ["", "/", "//", "/?next=x"] {
                    let response = request(app, route, end, credential).send();
                    check(route, end, &response);
                    tried += 1;
                }
            }
        }
        assert!(tried > 300, "{tried}");
        let metadata = "/.well-known/oauth-authorization-server";
        let response = app.get(metadata).host(HOST);
        let response = response.header("X-Forwarded-Proto", "https").send();
        assert!([200, 404].contains(&response.status), "{response:?}");
    }
}

fn request(app: &TestApp, route: &Route, end: &str, credential: Option<&str>) -> Request {
    let request = app
        .request(route.method, format!("{}{end}", route.target))
        .host(HOST)
        .header("X-Forwarded-Proto", "https")
        .header("X-Forwarded-Host", HOST)
        .header("X-Forwarded-For", "192.0.2.1");
    let request = match credential {
        Some(value) => request.header("Token", value),
        None => request,
    };
    let form = "application/x-www-form-urlencoded";
    match route.body {
        Body::None => request,
        Body::Json(json) => request
            .header("Content-Type", "application/json")
            .body(json),
        Body::Form(fields) => request.header("Content-Type", form).body(fields),
    }
}

fn check(route: &Route, end: &str, response: &Response) {
    let what = format!(
        "{} {}{end}: {}",
        route.method, route.target, response.status
    );
    for (name, value) in &response.headers {
        assert!(!value.contains("http:"), "{what}: {name}: {value}");
    }
    if THIRD_PARTY.contains(&route.path) {
        return;
    }
    // Auth0's grants are names, not links.
    let body = String::from_utf8_lossy(&response.body).replace("http://auth0.com/oauth/", "");
    if let Some(at) = body.find("http://") {
        panic!(
            "{what}: {}",
            body[at..].chars().take(80).collect::<String>()
        );
    }
}
