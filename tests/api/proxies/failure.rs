//! Failures of Tokenhouse: no request reaches the app when it does not answer, or not correctly.

use std::thread;
use std::time::{Duration, Instant};

use super::{Caller, FORGED, Guarded, IDENTITY, Tally};
use crate::harness::proxy::on_both_proxies;
use crate::harness::{Backend, Proxy, Recorder, wait_for_cache_expiry};

on_both_proxies!(
    database_outage_blocks_all_requests,
    unreachable_tokenhouse_blocks_all_requests,
    response_other_than_200_blocks_the_request,
    permission_without_identity_passes_no_identity,
    auth_request_has_no_body_and_reuses_the_connection,
);

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
