//! The metadata for OAuth2 clients (RFC 8414).

use serde_json::{Value, json};

use crate::harness::{Backend, TestApp};

const PATH: &str = "/.well-known/oauth-authorization-server";

fn expected(issuer: &str) -> Value {
    json!({
        "issuer": issuer,
        "token_endpoint": format!("{issuer}/token"),
        "revocation_endpoint": format!("{issuer}/revoke"),
        "introspection_endpoint": format!("{issuer}/introspect"),
        "grant_types_supported": ["password"],
        "response_types_supported": [],
        "token_endpoint_auth_methods_supported": ["none"],
        "revocation_endpoint_auth_methods_supported": ["none"],
        "introspection_endpoint_auth_methods_supported": ["client_secret_basic", "Bearer"],
        "scopes_supported": ["users:read", "users:write", "events:read", "introspect"],
    })
}

/// Names under which a stranger may call.
const HOSTS: [&str; 8] = [
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
fn the_address_of_the_settings_is_the_issuer_whatever_a_client_says() {
    let app = TestApp::builder(Backend::Sqlite)
        .setting("TOKENHOUSE_PUBLIC_URL", "https://auth.example/")
        .start();
    for host in HOSTS.into_iter().chain(["evil.example", "auth.example"]) {
        let request = app.get(PATH).host(host);
        let request = request
            .header("X-Forwarded-Host", "evil.example")
            .header("X-Forwarded-Proto", "http")
            .header("Forwarded", "host=evil.example");
        let answer = request.send();
        assert_eq!(
            (answer.status, answer.json()),
            (200, expected("https://auth.example")),
            "{host}"
        );
    }
}

#[test]
fn without_a_setting_only_a_direct_client_on_this_machine_is_told_an_address() {
    let app = TestApp::start(Backend::Sqlite);
    for host in [
        "127.0.0.1:8000",
        "127.8.9.1",
        "[::1]:8000",
        "[::1]",
        "localhost:8000",
        "LOCALHOST",
    ] {
        let answer = app.get(PATH).host(host).send();
        assert_eq!(answer.json(), expected(&format!("http://{host}")), "{host}");
        assert_eq!(answer.header("cache-control").as_deref(), Some("no-store"));
    }
    // What a proxy with TLS, or a stranger through one, makes of it.
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
    for host in HOSTS.into_iter().chain(others) {
        let status = app.get(PATH).host(host).send().status;
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
        let request = app.get(PATH).header(name, value);
        assert_eq!(request.send().status, 404, "{name}");
    }
}

/// Without the setting, clients behind the proxies of the recipes get no metadata.
#[test]
fn the_recipes_for_the_service_say_how_clients_call_it() {
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
fn what_it_names_is_there() {
    let app = TestApp::start(Backend::Sqlite);
    let metadata = app.get(PATH).send().json();
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
        // Each wants a form or a client, and says so.
        let status = app.post(path).send().status;
        assert!([400, 401, 422].contains(&status), "{path}: {status}");
    }
}
