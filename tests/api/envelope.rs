//! Headers of every response, and responses for unknown paths and methods.

use crate::harness::{Backend, Log, OWN_SCOPES, Response, Running, STATIC_KEY, TestApp};

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
    assert_eq!(allowed.header("access-control-allow-credentials"), None);
    let refused = preflight("https://evil.example");
    assert_eq!(refused.header("access-control-allow-origin"), None);
    assert_eq!(
        (refused.status, refused.text()),
        (400, r#"{"detail":"Disallowed CORS origin"}"#)
    );
    let preflight_of = |path: &str, method: &str, headers: &str| {
        app.request("OPTIONS", path)
            .header("Origin", "https://app.example")
            .header("Access-Control-Request-Method", method)
            .header("Access-Control-Request-Headers", headers)
            .send()
    };
    let put = preflight_of("/token", "PUT", "content-type");
    assert_eq!(put.text(), r#"{"detail":"Disallowed CORS method"}"#);
    let odd = preflight_of("/token", "POST", "content-type, x-odd");
    assert_eq!(odd.text(), r#"{"detail":"Disallowed CORS headers"}"#);
    // A proxy would read success as a valid credential.
    assert_eq!(preflight_of("/verify", "GET", "authorization").status, 401);
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
    assert_eq!(response.header("vary").as_deref(), Some("Origin"));
    let exposed = response.header("access-control-expose-headers").unwrap();
    let exposed = exposed.to_ascii_lowercase();
    for name in ["etag", "retry-after", "www-authenticate", "x-request-id"] {
        assert!(exposed.split(", ").any(|other| other == name), "{exposed}");
    }
}

/// In the browser the developer of the script sees only that the request failed.
#[test]
fn refused_origin_is_logged_once_with_the_setting() {
    let app = TestApp::start(Backend::Sqlite);
    for origins in ["", "https://app.example"] {
        let mut log = Log::new();
        let mut command = app.program(&["serve"]);
        command
            .env("TOKENHOUSE_CORS_ORIGINS", origins)
            .stderr(log.writer());
        let (server, client) = Running::serve(&mut command);
        let own = format!("http://{}", client.address());
        let send = |origin: &str| client.get("/livez").header("Origin", origin).send();
        for origin in ["https://spa.example", "https://app.example", &own] {
            for _ in 0..3 {
                assert_eq!(send(origin).status, 200);
            }
        }
        let documentation = client
            .get("/livez")
            .header("Origin", "https://docs.example");
        documentation.header("Sec-Fetch-Site", "same-origin").send();
        send("https://a.example\u{1b}[31m");
        for number in 0..100 {
            send(&format!("https://{number}.example"));
        }
        server.signal("TERM");
        server.wait();
        let log = String::from_utf8(log.bytes()).unwrap();
        let lines: Vec<&str> = log
            .lines()
            .filter(|line| line.contains("TOKENHOUSE_CORS_ORIGINS"))
            .collect();
        let of = |origin: &str| lines.iter().filter(|line| line.contains(origin)).count();
        assert_eq!(of("https://spa.example"), 1, "{log}");
        assert_eq!(
            of("https://app.example"),
            usize::from(origins.is_empty()),
            "{log}"
        );
        assert_eq!(
            of(&own) + of("docs.example") + of("a.example\u{1b}"),
            0,
            "{log}"
        );
        assert!(lines.len() <= 20 && lines[0].contains("WARN"), "{log}");
    }
}

/// What a response announces is how long the connection is kept.
#[test]
fn idle_connection_is_kept_as_long_as_announced() {
    let app = TestApp::start(Backend::Sqlite);
    let (_server, client) = app.spawn_server();
    let livez = client.get("/livez");
    let mut connection = client.connect().unwrap();
    let announced = connection.send(&livez).unwrap().header("keep-alive");
    assert_eq!(announced.as_deref(), Some("timeout=5"));
    std::thread::sleep(std::time::Duration::from_millis(4_900));
    assert_eq!(connection.send(&livez).unwrap().status, 200);
    std::thread::sleep(std::time::Duration::from_millis(6_800));
    assert!(
        connection.send(&livez).is_err(),
        "the connection is still open"
    );
    let close = client.get("/livez").header("Connection", "close");
    assert_eq!(close.send().header("keep-alive"), None);
    // A proxy on this machine that the settings do not name.
    let forwarded = || client.get("/livez").header("X-Forwarded-For", "192.0.2.1");
    let mut connection = client.connect().unwrap();
    let announced = connection.send(&forwarded()).unwrap().header("keep-alive");
    assert_eq!(announced.as_deref(), Some("timeout=630"));
    std::thread::sleep(std::time::Duration::from_millis(7_500));
    assert_eq!(connection.send(&livez).unwrap().status, 200);
}

#[test]
fn browser_gets_a_start_page_and_programs_get_404() {
    let app = TestApp::start(Backend::Sqlite);
    let browser = "text/html,application/xhtml+xml,*/*;q=0.8";
    let page = app.get("/").header("Accept", browser).send();
    assert_eq!(page.status, 200);
    assert!(page.text().contains("Ready for requests"));
    assert!(page.text().contains("href=\"docs\""));
    assert!(!page.text().contains("<script") && !page.text().contains("<!--"));
    let policy = page.header("content-security-policy").unwrap();
    assert!(
        policy.starts_with("default-src 'none'") && !policy.contains("unsafe"),
        "{policy}"
    );
    let head = app.request("HEAD", "/").header("Accept", browser).send();
    assert_eq!((head.status, head.body.len()), (200, 0));
    for request in [
        app.get("/"),
        app.get("/").header("Accept", "*/*"),
        app.get("/").header("Accept", "application/json"),
        app.get("/").header("Accept", "text/html;q=0"),
        app.post("/").header("Accept", browser),
        app.get("/index.html").header("Accept", browser),
    ] {
        let response = request.send();
        assert_eq!(
            (response.status, response.text()),
            (404, r#"{"detail":"Not Found"}"#)
        );
    }
    let without_docs = TestApp::builder(Backend::Sqlite)
        .setting("TOKENHOUSE_DOCS", "false")
        .start();
    let page = without_docs.get("/").header("Accept", browser).send();
    assert!(!page.text().contains("docs") && page.text().contains("health/ready"));
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
        "/docs/style.css",
        "/docs/oauth2-redirect",
        "/docs/swagger-ui.css",
        "/docs/swagger-ui-bundle.js",
        "/docs/oauth2-redirect.html",
        "/docs/oauth2-redirect.js",
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
