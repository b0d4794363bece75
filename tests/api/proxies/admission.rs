//! Which requests reach the app, and until when: none when Tokenhouse does not answer, or not
//! correctly.

use std::thread;
use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};
use serde_json::json;
use tokenhouse::Clock;

use super::{Caller, FORGED, Guarded, IDENTITY, SCOPE, Tally};
use crate::harness::proxy::on_both_proxies;
use crate::harness::{
    Backend, Client, Proxy, Recorder, Request, STATIC_KEY, TestApp, wait_for_cache_expiry,
};

on_both_proxies!(
    only_valid_credentials_reach_the_app,
    revoked_credentials_are_rejected_at_the_next_request,
    scopes_are_checked_where_required,
    client_query_does_not_reach_the_check,
    long_identities_are_forwarded_in_full,
    database_outage_blocks_all_requests,
    unreachable_tokenhouse_blocks_all_requests,
    request_with_many_headers_is_never_an_error_of_the_server,
    response_other_than_200_blocks_the_request,
    permission_without_identity_passes_no_identity,
    auth_request_has_no_body_and_reuses_the_connection,
);

const BACKENDS: [Backend; 2] = [Backend::Sqlite, Backend::Postgres];

/// Requests that present a credential in every supported place.
fn in_every_place(client: &Client, path: &str, credential: &str) -> Vec<Request> {
    let get = || client.get(path);
    vec![
        get().bearer(credential),
        get().header("authorization", format!("bEARER  {credential}")),
        get().header("Authorization", format!("Token {credential}")),
        get().header("Token", credential),
        get().header("TOKEN", credential).bearer(credential),
    ]
}

fn only_valid_credentials_reach_the_app(proxy: Proxy) {
    let mut guarded = Guarded::start(proxy, Backend::Sqlite);
    let token = guarded.register_reader("alice").sign_in();
    let (_, key) = guarded.create_key(&token, SCOPE);
    let client = *guarded.proxy;
    for credential in [&token, &key] {
        let caller = guarded.caller(credential);
        for path in ["/", "/reports/1"] {
            for request in in_every_place(&client, path, credential) {
                guarded.assert_passes(request, &caller);
            }
        }
    }

    let last = if key.ends_with('x') { "y" } else { "x" };
    let mistyped = format!("{}{last}", &key[..key.len() - 1]);
    let unknown = "A".repeat(43);
    for path in ["/", "/reports/1"] {
        let get = || client.get(path);
        let none = guarded.assert_rejected(get(), 401);
        assert_eq!(none, r#"Bearer realm="tokenhouse""#);
        for credential in [&unknown, &mistyped, "x", STATIC_KEY, &token[1..], "\u{e9}"] {
            for request in in_every_place(&client, path, credential) {
                let challenge = guarded.assert_rejected(request, 401);
                assert!(challenge.starts_with("Bearer realm="), "{challenge}");
            }
        }
        for request in [
            get().header("Authorization", &token),
            get().header("Authorization", format!("Basic {token}")),
            get().header("Authorization", format!("Bearer {token},{token}")),
            get().header("Authorization", ""),
            get().header("Token", ""),
            get().header("Cookie", format!("Token={token}")),
            get().header("Token", &key).bearer(&token),
            get().header("Proxy-Authorization", format!("Bearer {token}")),
            client.get(&format!("{path}?access_token={token}&token={token}")),
        ] {
            guarded.assert_rejected(request, 401);
        }
        // nginx forwards the first of them, Caddy both.
        let two = get().header("Token", "x").header("Token", &key);
        guarded.assert_rejected(two, 401);
    }
}

/// More headers than Tokenhouse accepts itself: nginx forwards only those that the check needs.
fn request_with_many_headers_is_never_an_error_of_the_server(proxy: Proxy) {
    let mut guarded = Guarded::start(proxy, Backend::Sqlite);
    let token = guarded.register_reader("alice").sign_in();
    let caller = guarded.caller(&token);
    let plain = guarded.tokenhouse.register("bobby").sign_in();
    let client = *guarded.proxy;
    let get = |path: &str| {
        let request = client.get(path);
        (0..150).fold(request, |request, number| {
            request.header(format!("X-Extra-{number}"), "value")
        })
    };
    if proxy == Proxy::Caddy {
        guarded.assert_rejected(get("/").bearer(&token), 431);
        return;
    }
    for path in ["/", "/reports/1"] {
        guarded.assert_passes(get(path).bearer(&token), &caller);
        guarded.assert_passes(get(path).header("Token", &token), &caller);
        let none = guarded.assert_rejected(get(path), 401);
        assert_eq!(none, r#"Bearer realm="tokenhouse""#);
    }
    guarded.assert_rejected(get("/reports/1").bearer(&plain), 403);
}

fn revoked_credentials_are_rejected_at_the_next_request(proxy: Proxy) {
    for backend in BACKENDS {
        let clock = Clock::manual(Utc::now());
        let tokenhouse = TestApp::builder(backend).clock(clock.clone());
        let mut guarded = Guarded::with(proxy, tokenhouse);
        let alice = guarded.register_reader("alice");
        let (proxy, tokenhouse) = (*guarded.proxy, *guarded.tokenhouse);
        let get = |credential: &str| proxy.get("/").bearer(credential);
        for _ in 0..5 {
            // Signed out.
            let token = alice.sign_in();
            let caller = guarded.caller(&token);
            guarded.assert_passes(get(&token), &caller);
            let response = tokenhouse.post("/logout").bearer(&token).send();
            assert_eq!(response.status, 204);
            guarded.assert_rejected(get(&token), 401);

            // Signed in again, and a key revoked.
            let (earlier, token) = (alice.sign_in(), alice.sign_in());
            guarded.assert_rejected(get(&earlier), 401);
            let (id, key) = guarded.create_key(&token, "");
            let caller = guarded.caller(&key);
            guarded.assert_passes(get(&key), &caller);
            let key_path = format!("/users/me/keys/{id}");
            let response = tokenhouse
                .request("DELETE", &key_path)
                .bearer(&token)
                .send();
            assert_eq!(response.status, 204);
            guarded.assert_rejected(get(&key), 401);
        }

        let token = alice.sign_in();
        let (_, key) = guarded.create_key(&token, SCOPE);
        let callers = [guarded.caller(&token), guarded.caller(&key)];
        guarded.run(&["user", "disable", &alice.email]);
        for caller in &callers {
            guarded.assert_rejected(get(&caller.credential), 401);
        }
        guarded.run(&["user", "enable", &alice.email]);
        for caller in &callers {
            guarded.assert_rejected(get(&caller.credential), 401);
        }

        let token = alice.sign_in();
        let (_, key) = guarded.create_key(&token, SCOPE);
        let callers = [guarded.caller(&token), guarded.caller(&key)];
        for caller in &callers {
            guarded.assert_passes(get(&caller.credential), caller);
        }
        // A login token lives for one day, a key for 90.
        clock.advance(TimeDelta::days(1));
        guarded.assert_rejected(get(&token), 401);
        guarded.assert_passes(get(&key), &callers[1]);
        clock.advance(TimeDelta::days(89));
        guarded.assert_rejected(get(&key), 401);
    }
}

fn scopes_are_checked_where_required(proxy: Proxy) {
    let mut guarded = Guarded::start(proxy, Backend::Sqlite);
    let alice = guarded.register_reader("alice");
    let token = alice.sign_in();
    let (_, key_with) = guarded.create_key(&token, SCOPE);
    let (_, key_without) = guarded.create_key(&token, "");
    let other_user = guarded.tokenhouse.register("bobby").sign_in();
    let client = *guarded.proxy;

    for credential in [&token, &key_with] {
        let caller = guarded.caller(credential);
        guarded.assert_passes(client.get("/reports").bearer(credential), &caller);
    }
    for credential in [&key_without, &other_user] {
        let caller = guarded.caller(credential);
        assert_eq!(caller.identity[3], "");
        guarded.assert_passes(client.get("/").bearer(credential), &caller);
        for path in ["/reports", "/reports/", "/reports/1", "/reports?scope=x"] {
            for request in in_every_place(&client, path, credential) {
                let challenge = guarded.assert_rejected(request, 403);
                assert_eq!(
                    challenge,
                    r#"Bearer realm="tokenhouse", error="insufficient_scope", scope="reports:read""#
                );
            }
        }
    }

    // Revoking the scope from the user also removes it from existing credentials.
    guarded.run(&["user", "grant", "--revoke", &alice.email, SCOPE]);
    for credential in [&token, &key_with] {
        guarded.assert_rejected(client.get("/reports").bearer(credential), 403);
        let caller = guarded.caller(credential);
        guarded.assert_passes(client.get("/").bearer(credential), &caller);
    }
}

/// Queries that say something to `/verify`, as the callback of an OAuth client does.
const QUERIES: [&str; 8] = [
    "?scope=admin",
    "?code=1&scope=openid+email&state=x",
    "?scope=",
    "?scopes=x",
    "?scope=%FF%FE",
    "?",
    "??scope=admin",
    "?%73cope=admin&max_age=0",
];

fn client_query_does_not_reach_the_check(proxy: Proxy) {
    let mut guarded = Guarded::start(proxy, Backend::Sqlite);
    let reader = guarded.register_reader("alice").sign_in();
    let other_user = guarded.tokenhouse.register("bobby").sign_in();
    let client = *guarded.proxy;
    for query in QUERIES {
        for credential in [&reader, &other_user] {
            let caller = guarded.caller(credential);
            let request = client.get(&format!("/{query}")).bearer(credential);
            guarded.assert_passes(request, &caller);
        }
        let caller = guarded.caller(&reader);
        let reports = || client.get(&format!("/reports{query}"));
        guarded.assert_passes(reports().bearer(&reader), &caller);
        guarded.assert_rejected(reports().bearer(&other_user), 403);
    }
    let refused = guarded.tokenhouse.database();
    let refused = refused.count("audit_events WHERE level <> '' AND action = 'scope.refused'");
    assert_eq!(refused, QUERIES.len() as i64);
}

fn long_identities_are_forwarded_in_full(proxy: Proxy) {
    let mut guarded = Guarded::start(proxy, Backend::Sqlite);
    let alice = guarded.tokenhouse.register("alice");
    let scopes: String = (0..180).map(|n| format!("scope:{n:04} ")).collect();
    guarded.run(&["user", "grant", &alice.email, &scopes]);
    let token = alice.sign_in();
    let name = json!({ "name": "\u{1f600}%\u{e9}".repeat(150) });
    let response = guarded
        .tokenhouse
        .request("PATCH", "/users/me")
        .bearer(&token)
        .json(&name)
        .send();
    assert_eq!(response.status, 200, "{response:?}");
    let caller = guarded.caller(&token);
    assert!(
        caller.identity.concat().len() > 3_300,
        "{:?}",
        caller.identity
    );
    let client = *guarded.proxy;
    guarded.assert_passes(client.get("/").bearer(&token), &caller);
}

fn database_outage_blocks_all_requests(proxy: Proxy) {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let mut guarded = Guarded::start(proxy, backend);
        let client = *guarded.proxy;
        let token = guarded.register_reader("alice").sign_in();
        let caller = guarded.caller(&token);
        let get = || client.get("/").bearer(&token);
        guarded.assert_passes(get(), &caller);

        guarded.tokenhouse.database().make_unavailable();
        wait_for_cache_expiry(|| guarded.send(get(), Some(&caller)).status);
        for _ in 0..3 {
            let response = guarded.send(get(), None);
            assert!(response.status >= 500, "{response:?}");
        }
        guarded.assert_rejected(client.get("/"), 401);

        guarded.tokenhouse.database().make_available();
        let back = Instant::now();
        while guarded.send(get(), Some(&caller)).status != 200 {
            assert!(back.elapsed() < Duration::from_secs(5), "did not recover");
        }
    }
}

fn unreachable_tokenhouse_blocks_all_requests(proxy: Proxy) {
    let Guarded {
        tokenhouse,
        app,
        proxy: running,
        mut tally,
    } = Guarded::start(proxy, Backend::Sqlite);
    let token = tokenhouse.register("alice").sign_in();
    let get = || running.get("/").bearer(&token);
    assert_eq!(get().send().status, 200);
    app.take();
    drop(tokenhouse);
    for request in [get(), get(), running.get("/"), running.get("/reports")] {
        let response = request.send();
        assert!(response.status >= 500, "{response:?}");
        tally.count(&app.take(), None);
    }
}

fn response_other_than_200_blocks_the_request(proxy: Proxy) {
    const RESPONSES: [&str; 12] = [
        "",
        "nonsense",
        "HTTP/1.1 ",
        "HTTP/1.1 200",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 403 Forbidden\r\nX-Auth-User-Id: 1\r\nContent-Length: 0\r\n\r\n",
    ];
    let authority = Recorder::start(|auth_request| {
        let number = auth_request.header("x-case").and_then(|n| n.parse().ok());
        let response = number.and_then(|number: usize| RESPONSES.get(number));
        match response {
            Some(response) => response.as_bytes().to_vec(),
            None => {
                thread::sleep(Duration::from_secs(8));
                Vec::new()
            }
        }
    });
    let app = Recorder::echo();
    let running = proxy.start(authority.address(), app.address());
    let mut tally = Tally::new(proxy);
    for (number, response) in RESPONSES.iter().enumerate() {
        let request = running.get("/").bearer("x");
        let refused = request.header("X-Case", number.to_string()).send();
        assert!(refused.status >= 300, "{response:?}: {refused:?}");
        tally.count(&app.take(), None);
    }
    // Accepts the auth request and never responds.
    let started = Instant::now();
    let refused = running.get("/").bearer("x").send();
    assert!(refused.status >= 500, "{refused:?}");
    assert!(started.elapsed() < Duration::from_secs(7));
    tally.count(&app.take(), None);
}

fn permission_without_identity_passes_no_identity(proxy: Proxy) {
    let authority = Recorder::start(|_| b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec());
    let app = Recorder::echo();
    let running = proxy.start(authority.address(), app.address());
    let anonymous = Caller {
        credential: "the-credential".to_owned(),
        identity: Default::default(),
    };
    let mut tally = Tally::new(proxy);
    for name in IDENTITY {
        let request = running.get("/").header(name, FORGED);
        let response = request.bearer(&anonymous.credential).send();
        assert_eq!(response.status, 200, "{response:?}");
        tally.count(&app.take(), Some(&anonymous));
    }
    assert_eq!(tally.reached(), IDENTITY.len());
}

fn auth_request_has_no_body_and_reuses_the_connection(proxy: Proxy) {
    let permission = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    let authority = Recorder::start(|_| permission.as_bytes().to_vec());
    let app = Recorder::echo();
    let running = proxy.start(authority.address(), app.address());
    let body = "x".repeat(100_000);
    for method in [
        "GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PROPFIND",
    ] {
        let request = || {
            running
                .request(method, "/reports/1?scope=other")
                .bearer("x")
                .header("X-Forwarded-For", "192.0.2.1")
        };
        let requests = [
            request().body(body.clone()),
            request()
                .header("Transfer-Encoding", "chunked")
                .raw_body(format!("186a0\r\n{body}\r\n0\r\n\r\n")),
        ];
        for request in requests {
            assert_eq!(request.send().status, 200, "{method}");
            let auth_requests = authority.take();
            let [auth_request] = auth_requests.as_slice() else {
                panic!("{method}: {auth_requests:?}");
            };
            assert_eq!(auth_request.line(), "GET /verify?scope=reports:read");
            assert_eq!(auth_request.header("authorization"), Some("Bearer x"));
            assert_eq!(auth_request.header("x-forwarded-for"), Some("127.0.0.1"));
            assert!(auth_request.body.is_empty(), "{auth_request:?}");
            assert_eq!(auth_request.header("transfer-encoding"), None);
            assert!(matches!(
                auth_request.header("content-length"),
                None | Some("0")
            ));
            // The app receives the complete body.
            let [got] = &app.take()[..] else {
                panic!("{method} did not reach the app once");
            };
            let letters = got.body.iter().filter(|byte| **byte == b'x').count();
            assert_eq!(letters, body.len(), "{method}: {}", got.head);
        }
    }
    assert_eq!(authority.connections(), 1);
}
