//! `/verify`: forward authentication for reverse proxies.

use percent_encoding::percent_decode_str;
use serde_json::json;

use crate::harness::{
    Backend, Log, Response, Running, TestApp, on_both_databases, wait_for_cache_expiry,
};

on_both_databases!(
    every_200_carries_the_identity_for_any_method,
    non_printable_characters_are_escaped_reversibly,
    required_scopes_come_from_the_query,
    invalid_proxy_queries_are_rejected_and_logged,
    verify_only_answers_200_401_or_403,
    verify_fails_closed_without_the_database,
);

const IDENTITY: [&str; 8] = [
    "x-auth-user-id",
    "x-auth-email",
    "x-auth-name",
    "x-auth-scopes",
    "x-auth-method",
    "x-auth-external-id",
    "x-auth-session-id",
    "x-auth-time",
];

fn identity(response: &Response) -> [Option<String>; 8] {
    IDENTITY.map(|name| response.header(name))
}

fn every_200_carries_the_identity_for_any_method(backend: Backend) {
    let app = TestApp::start(backend);
    let alice = app.register_with("alice", "orders:read orders:write");
    let token = alice.sign_in();
    let (key, without) = (
        app.create_key(&token, "orders:read").secret,
        app.create_key(&token, "").secret,
    );
    let known = app.get("/verify").bearer(&token).send();
    let known = ["x-auth-session-id", "x-auth-time"].map(|name| known.header(name).unwrap());
    assert!(
        known
            .iter()
            .all(|value| value.parse::<i64>().is_ok_and(|value| value > 0)),
        "{known:?}"
    );
    let by = |scopes: &str, method: &str| {
        let [session, time] = match method {
            "login" => [known[0].as_str(), known[1].as_str()],
            _ => ["", ""],
        };
        [
            "1",
            "alice@example.com",
            "alice Example",
            scopes,
            method,
            "",
            session,
            time,
        ]
        .map(|v| Some(v.to_owned()))
    };
    for method in [
        "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "get",
    ] {
        for (credential, expected) in [
            (&token, by("orders:read orders:write", "login")),
            (&key, by("orders:read", "key")),
            (&without, by("", "key")),
        ] {
            let request = app.request(method, "/verify").bearer(credential);
            // Identity headers sent by the proxy's client are ignored.
            let request = request
                .header("X-Auth-User-Id", "7")
                .header("X-Auth-Scopes", "all");
            let response = request.send();
            assert_eq!((response.status, response.body.len()), (200, 0), "{method}");
            assert_eq!(identity(&response), expected, "{method}");
            assert_eq!(
                response.header("cache-control").as_deref(),
                Some("no-store")
            );
        }
        let response = app.request(method, "/verify").send();
        let challenge = response.header("www-authenticate");
        assert_eq!(
            (response.status, challenge.as_deref()),
            (401, Some(r#"Bearer realm="tokenhouse""#)),
            "{method}"
        );
        assert_eq!(identity(&response), [const { None }; 8]);
    }
    // The body is not awaited: proxies announce one and do not send it.
    let announced = app
        .post("/verify")
        .bearer(&key)
        .header("Content-Length", "100000");
    assert_eq!(announced.send().status, 200);
}

fn non_printable_characters_are_escaped_reversibly(backend: Backend) {
    let app = TestApp::start(backend);
    let token = app.register("alice").sign_in();
    for (name, header) in [
        ("Zo\u{eb} Doe", "Zo%C3%AB Doe"),
        ("a\r\nX-Auth-User-Id: 7", "a%0D%0AX-Auth-User-Id: 7"),
        ("\t\u{1}\u{7f}\u{85}\u{1b}[31m", "%09%01%7F%C2%85%1B[31m"),
        ("100% %41 sure", "100%25 %2541 sure"),
        (
            "\u{1f980}\u{202e}\u{feff}\u{10ffff}x",
            "%F0%9F%A6%80%E2%80%AE%EF%BB%BF%F4%8F%BF%BFx",
        ),
        ("\"quotes\", commas; \\", "\"quotes\", commas; \\"),
    ] {
        let patch = app.request("PATCH", "/users/me").bearer(&token);
        assert_eq!(
            patch.json(&json!({ "name": name })).send().status,
            200,
            "{name:?}"
        );
        let response = app.get("/verify").bearer(&token).send();
        assert_eq!(response.status, 200);
        assert_eq!(response.header("x-auth-user-id").as_deref(), Some("1"));
        let shown = response.header("x-auth-name").unwrap();
        assert_eq!(shown, header);
        assert_eq!(percent_decode_str(&shown).decode_utf8().unwrap(), name);
    }
    let user = json!({
        "name": "Zo\u{eb} Doe", "surname": "", "email": "zo\u{eb}@b\u{fc}cher.example",
        "website": "", "password": "mulberry-Tram-71",
    });
    assert_eq!(app.post("/register").json(&user).send().status, 201);
    let form = [
        ("username", "zo\u{eb}@b\u{fc}cher.example"),
        ("password", "mulberry-Tram-71"),
    ];
    let token = app.post("/token").form(&form).send().json();
    let response = app
        .get("/verify")
        .bearer(token["access_token"].as_str().unwrap())
        .send();
    let shown = response.header("x-auth-email").unwrap();
    assert!(shown.is_ascii(), "{shown}");
    assert_eq!(
        percent_decode_str(&shown).decode_utf8().unwrap(),
        "zo\u{eb}@b\u{fc}cher.example"
    );
}

fn required_scopes_come_from_the_query(backend: Backend) {
    let app = TestApp::start(backend);
    let token = app.register_with("alice", "a b c").sign_in();
    let key = app.create_key(&token, "a b").secret;
    for (query, missing) in [
        ("", None),
        ("?", None),
        ("?scope=a", None),
        ("?scope=a+b", None),
        ("?scope=b%20a%20a", None),
        ("?scope=a&scope=b", None),
        ("?%73cope=a", None),
        ("?scope=c", Some("c")),
        ("?%73cope=c", Some("c")),
        ("?scope=a+c", Some("c")),
        ("?scope=a&scope=c", Some("c")),
        ("?scope=c&scope=a", Some("c")),
        ("?scope=A", Some("A")),
        ("?scope=a,b", Some("a,b")),
        // Invalid scopes are not echoed.
        ("?scope=a%00", Some("")),
        ("?scope=%22,%20error=%22none", Some("")),
        ("?scope=%0d%0aX-Auth-User-Id:7", Some("")),
        ("?scope=caf%c3%a9", Some("")),
        ("?scope=%ff", Some("")),
        ("?scope=c+%ff", Some("")),
    ] {
        let response = app.get(&format!("/verify{query}")).bearer(&key).send();
        let challenge = response.header("www-authenticate");
        let insufficient = r#"Bearer realm="tokenhouse", error="insufficient_scope""#;
        let expected = missing.map(|name| match name {
            "" => insufficient.to_owned(),
            name => format!(r#"{insufficient}, scope="{name}""#),
        });
        let status = if missing.is_some() { 403 } else { 200 };
        assert_eq!((response.status, challenge), (status, expected), "{query}");
        if missing.is_some() {
            assert_eq!(
                response.json(),
                json!({ "detail": "Not enough permissions" })
            );
            assert_eq!(identity(&response), [const { None }; 8], "{query}");
        }
    }
    let refused = "audit_events WHERE action = 'scope.refused' AND credential = 'key:1'";
    assert_eq!(app.database().count(refused), 13);
}

/// A misspelt parameter must neither accept a caller without the scope, nor one who has it: the
/// operator would not notice the mistake.
fn invalid_proxy_queries_are_rejected_and_logged(backend: Backend) {
    let app = TestApp::start(backend);
    let mut log = Log::new();
    let mut command = app.program(&["serve"]);
    let command = command.env("TOKENHOUSE_WORKERS", "1").stderr(log.writer());
    let (_process, server) = Running::serve(command);
    let token = app.register_with("alice", "a").sign_in();
    let long = "x".repeat(1_000);
    let queries = [
        ("scopes=a", "the unknown parameter scopes,"),
        ("Scope=a", "the unknown parameter Scope,"),
        ("scope%20=a", "the unknown parameter scope ,"),
        ("scope%00=a", "the unknown parameter scope\\u{0},"),
        ("scope[]=a", "the unknown parameter scope[],"),
        ("x=1&scope=a", "the unknown parameter x,"),
        ("scope=a&y", "the unknown parameter y,"),
        ("=", "the unknown parameter ,"),
        ("%0a%1b[31m=", "the unknown parameter \\n\\u{1b}[31m,"),
        ("%e2%80%ae%ff=", "the unknown parameter \\u{202e}\\u{fffd},"),
        ("?scope=a", "the unknown parameter ?scope,"),
        (&long, &format!("the unknown parameter {},", &long[..40])),
        ("scope", "a scope without a name,"),
        ("scope=", "a scope without a name,"),
        ("scope=+%20", "a scope without a name,"),
        ("scope=a&scope=", "a scope without a name,"),
    ];
    for (query, _) in &queries {
        let request = server.get(&format!("/verify?{query}")).bearer(&token);
        let response = request.send();
        assert_eq!(response.status, 403, "{query}");
        let detail = "The query of the reverse proxy is not valid";
        assert_eq!(response.json(), json!({ "detail": detail }));
        assert_eq!(identity(&response), [const { None }; 8], "{query}");
        // Unauthenticated clients cannot write to the log this way.
        let anonymous = server.get(&format!("/verify?{query}")).send();
        assert_eq!(anonymous.status, 401, "{query}");
    }
    let logged = log.bytes();
    let lines: Vec<_> = logged
        .split(|byte| *byte == b'\n')
        .filter(|line| line.windows(5).any(|word| word == b"ERROR"))
        .map(|line| String::from_utf8(line.to_vec()).unwrap())
        .collect();
    assert_eq!(lines.len(), queries.len(), "{lines:#?}");
    for (line, (query, message)) in lines.iter().zip(&queries) {
        assert!(
            line.contains(&format!("was asked with {message}")),
            "{query}: {line}"
        );
        assert!(line.len() < 250 && line.is_ascii(), "{line}");
    }
    for _ in 0..100 {
        assert_eq!(server.status("/verify?scopes=a", &token), 403);
    }
    assert!(
        log.bytes().len() < logged.len() + 2_000,
        "the log is flooded"
    );
    assert_eq!(server.status("/verify?scope=a", &token), 200);
}

fn verify_only_answers_200_401_or_403(backend: Backend) {
    let app = TestApp::start(backend);
    let token = app.register("alice").sign_in();
    let long = "x".repeat(20_000);
    let (good, other) = (format!("Bearer {token}"), "Bearer other");
    let headers: [&[(&str, &str)]; 9] = [
        &[("Authorization", &good)],
        &[("Authorization", &good), ("Token", "other")],
        &[("Authorization", &good), ("Authorization", other)],
        &[("Authorization", "Bearer"), ("Token", "")],
        &[("Authorization", "Basic !!!")],
        &[("Authorization", &long)],
        &[
            ("Authorization", &good),
            ("Content-Type", "application/json"),
            ("Expect", "x"),
        ],
        &[
            ("Token", "\u{e9}\u{1f980}"),
            ("Content-Type", "multipart/form-data"),
        ],
        &[
            ("Authorization", &good),
            ("Accept", "nothing/at-all"),
            ("Range", "bytes=9-1"),
        ],
    ];
    let queries = [
        "",
        "?scope=%",
        "?scope=%zz&&&=",
        "?scope=a;b",
        &format!("?scope={long}"),
    ];
    for method in ["GET", "HEAD", "POST", "DELETE", "BREW"] {
        for query in queries {
            for set in headers {
                let request = app.request(method, format!("/verify{query}"));
                let request = set.iter().fold(request, |request, (name, value)| {
                    request.header(name, value)
                });
                let status = request.body("{\"scope\":").send().status;
                assert!(
                    [200, 401, 403].contains(&status),
                    "{status}: {method} {query} {set:?}"
                );
            }
        }
    }
}

fn verify_fails_closed_without_the_database(backend: Backend) {
    let app = TestApp::start(backend);
    let token = app.register_with("alice", "a").sign_in();
    for path in ["/verify", "/verify?scope=a"] {
        assert_eq!(app.status(path, &token), 200);
    }
    app.database().make_unavailable();
    wait_for_cache_expiry(|| app.status("/verify", &token));
    for path in ["/verify", "/verify?scope=a"] {
        let response = app.get(path).bearer(&token).send();
        assert_eq!(
            (response.status, identity(&response)),
            (503, [const { None }; 8])
        );
    }
}
