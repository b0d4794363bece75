//! Headers of every response, and responses for unknown paths and methods.

use crate::harness::{Backend, OWN_SCOPES, Response, STATIC_KEY, TestApp};

const ROUTES: [(&str, &str); 28] = [
    ("/register", "POST"),
    ("/token", "POST"),
    ("/logout", "POST"),
    ("/users/me", "GET, HEAD, PATCH, DELETE"),
    ("/users/me/password", "POST"),
    ("/users/me/keys", "GET, HEAD, POST"),
    ("/users/me/keys/1", "DELETE"),
    ("/users/me/events", "GET, HEAD"),
    ("/revoke", "POST"),
    ("/introspect", "POST"),
    ("/.well-known/oauth-authorization-server", "GET, HEAD"),
    ("/admin/users", "GET, HEAD, POST"),
    ("/admin/users/1", "GET, HEAD, PATCH, DELETE"),
    ("/admin/users/1/tokens", "DELETE"),
    ("/admin/events", "GET, HEAD"),
    ("/page", "GET, HEAD"),
    ("/protected", "GET, HEAD"),
    ("/health/live", "GET, HEAD"),
    ("/health/ready", "GET, HEAD"),
    ("/livez", "GET, HEAD"),
    ("/metrics", "GET, HEAD"),
    ("/readyz", "GET, HEAD"),
    ("/docs", "GET, HEAD"),
    ("/redoc", "GET, HEAD"),
    ("/openapi.json", "GET, HEAD"),
    ("/docs/init.js", "GET, HEAD"),
    ("/redoc/redoc.standalone.js", "GET, HEAD"),
    // Any method; see `forward_auth.rs`.
    ("/verify", ""),
];

#[test]
fn every_response_has_the_security_headers() {
    let app = TestApp::start(Backend::Sqlite);
    for (path, _) in ROUTES.into_iter().chain([("/nope", ""), ("/page/", "")]) {
        for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "FOO"] {
            let response = app
                .request(method, path)
                .header("X-Request-Id", "mine-1.2_3")
                .send();
            let header = |name| response.header(name).unwrap_or_default();
            assert_eq!(header("x-request-id"), "mine-1.2_3", "{method} {path}");
            assert_eq!(
                header("x-content-type-options"),
                "nosniff",
                "{method} {path}"
            );
            assert_eq!(header("referrer-policy"), "no-referrer", "{method} {path}");
            let policy = header("content-security-policy");
            assert!(
                policy.contains("frame-ancestors 'none'"),
                "{method} {path}: {policy:?}"
            );
            assert_eq!(response.header("server"), None, "{method} {path}");
            let is_page = path.starts_with("/docs") || path.starts_with("/redoc");
            if !(is_page && response.status == 200) {
                assert_eq!(header("cache-control"), "no-store", "{method} {path}");
            }
        }
    }
}

#[test]
fn missing_or_invalid_request_id_is_replaced() {
    let app = TestApp::start(Backend::Sqlite);
    let too_long = "a".repeat(129);
    let mut seen = std::collections::HashSet::new();
    for given in ["", "a b", "a\"b", "é", &too_long] {
        let response = app.get("/livez").header("X-Request-Id", given).send();
        let id = response.header("x-request-id").unwrap();
        assert!(
            id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()),
            "{id}"
        );
        assert!(seen.insert(id));
    }
}

#[test]
fn unsupported_methods_are_405_with_allow() {
    let app = TestApp::start(Backend::Sqlite);
    for (path, allow) in ROUTES.into_iter().filter(|(path, _)| *path != "/verify") {
        for method in [
            "GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "get", "FOO",
        ] {
            if allow.split(", ").any(|allowed| allowed == method) {
                continue;
            }
            let response = app.request(method, path).send();
            assert_eq!(response.status, 405, "{method} {path}");
            assert_eq!(
                response.header("allow").as_deref(),
                Some(allow),
                "{method} {path}"
            );
            assert_eq!(response.text(), r#"{"detail":"Method Not Allowed"}"#);
        }
    }
}

#[test]
fn head_returns_the_headers_of_get() {
    let app = TestApp::start(Backend::Sqlite);
    for path in [
        "/page",
        "/users/me",
        "/livez",
        "/readyz",
        "/docs",
        "/openapi.json",
        "/.well-known/oauth-authorization-server",
        "/users/me/keys",
        "/users/me/events",
        "/verify",
        "/admin/users",
        "/admin/users/1",
        "/admin/events",
        "/nope",
    ] {
        let get = app.get(path).header("Token", STATIC_KEY).send();
        let head = app.request("HEAD", path).header("Token", STATIC_KEY).send();
        assert_eq!(head.status, get.status, "{path}");
        for name in ["content-type", "content-length", "www-authenticate"] {
            assert_eq!(head.header(name), get.header(name), "{path} {name}");
        }
    }
}

#[test]
fn head_works_for_authorized_callers() {
    let app = TestApp::start(Backend::Sqlite);
    let token = app.register_with("admin", OWN_SCOPES).sign_in();
    for path in [
        "/users/me",
        "/users/me/keys",
        "/users/me/events",
        "/verify",
        "/admin/users?search=a",
        "/admin/users/1",
        "/admin/events?limit=1",
    ] {
        let get = app.get(path).bearer(&token).send();
        let head = app.request("HEAD", path).bearer(&token).send();
        assert_eq!((get.status, head.status), (200, 200), "{path}");
        // Each read adds an event, so the second page is longer.
        if !path.contains("events") {
            let length = |response: &Response| response.header("content-length");
            assert_eq!(length(&head), length(&get), "{path}");
        }
    }
}

#[test]
fn health_needs_no_credential() {
    let app = TestApp::start(Backend::Sqlite);
    for path in ["/livez", "/readyz", "/health/live", "/health/ready"] {
        let response = app.get(path).send();
        assert_eq!(
            (response.status, response.text()),
            (200, r#"{"status":"ok"}"#),
            "{path}"
        );
    }
}

#[test]
fn cors_allows_only_listed_origins() {
    let app = TestApp::builder(Backend::Sqlite)
        .setting(
            "TOKENHOUSE_CORS_ORIGINS",
            "HTTPS://App.Example:443/, https://other.example",
        )
        .start();
    let preflight = |origin: &str| {
        app.request("OPTIONS", "/token")
            .header("Origin", origin)
            .header("Access-Control-Request-Method", "POST")
            .header("Access-Control-Request-Headers", "content-type")
            .send()
    };
    let allowed = preflight("https://app.example");
    let origin = allowed.header("access-control-allow-origin");
    assert_eq!(
        (allowed.status, origin.as_deref()),
        (200, Some("https://app.example"))
    );
    let refused = preflight("https://evil.example");
    assert_eq!(refused.header("access-control-allow-origin"), None);
    // An administrator's page sends the ETag of the displayed user.
    let conditional = app
        .request("OPTIONS", "/admin/users/1")
        .header("Origin", "https://app.example")
        .header("Access-Control-Request-Method", "PATCH")
        .header("Access-Control-Request-Headers", "authorization, if-match");
    assert_eq!(conditional.send().status, 200);
    let response = app
        .get("/livez")
        .header("Origin", "https://app.example")
        .send();
    let exposed = response.header("access-control-expose-headers").unwrap();
    let exposed = exposed.to_ascii_lowercase();
    for name in ["etag", "retry-after", "www-authenticate", "x-request-id"] {
        assert!(exposed.split(", ").any(|other| other == name), "{exposed}");
    }
}

#[test]
fn docs_can_be_disabled() {
    let app = TestApp::builder(Backend::Sqlite)
        .setting("TOKENHOUSE_DOCS", "false")
        .start();
    for path in ["/docs", "/redoc", "/openapi.json", "/docs/swagger-ui.css"] {
        assert_eq!(app.get(path).send().status, 404, "{path}");
    }
}

#[test]
fn docs_are_served_without_external_resources() {
    let app = TestApp::start(Backend::Sqlite);
    for path in [
        "/docs/init.js",
        "/docs/swagger-ui.css",
        "/docs/swagger-ui-bundle.js",
        "/docs/oauth2-redirect.html",
        "/docs/favicon-32x32.png",
        "/redoc/redoc.standalone.js",
    ] {
        let response = app.get(path).send();
        assert!(
            response.status == 200 && response.body.len() > 100,
            "{path}"
        );
    }
    for page in ["/docs", "/redoc"] {
        let response = app.get(page).send();
        assert!(!response.text().contains("//"), "{page} names another host");
        let policy = response.header("content-security-policy").unwrap();
        assert!(policy.contains("default-src 'self'"), "{policy}");
    }
}
