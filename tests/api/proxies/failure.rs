//! Tokenhouse does not answer, or not as it should: then nobody gets through.

use std::thread;
use std::time::{Duration, Instant};

use super::tally::{FORGED, Tally};
use super::{Caller, Guarded, IDENTITY};
use crate::harness::proxy::on_both_proxies;
use crate::harness::{Backend, Proxy, Recorder};

on_both_proxies!(
    without_a_database_nobody_gets_through,
    without_tokenhouse_nobody_gets_through,
    an_answer_that_is_no_permission_is_a_refusal,
    a_permission_without_an_identity_is_nobodys,
    the_question_has_no_body_and_its_connection_stays_open,
);

fn without_a_database_nobody_gets_through(proxy: Proxy) {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let mut guarded = Guarded::start(proxy, backend);
        let client = *guarded.proxy;
        let token = guarded.register_reader("alice").sign_in();
        let caller = guarded.caller(&token);
        let get = || client.get("/").bearer(&token);
        guarded.passes(get(), &caller);

        guarded.tokenhouse.database().make_unavailable();
        // What is in memory is good for at most a second after the last word from Postgres.
        let taken_away = Instant::now();
        while guarded.send(get(), Some(&caller)).status == 200
            && taken_away.elapsed() < Duration::from_secs(1)
        {}
        for _ in 0..3 {
            let answer = guarded.send(get(), None);
            assert!(answer.status >= 500, "{answer:?}");
        }
        guarded.is_refused(client.get("/"), 401);

        guarded.tokenhouse.database().make_available();
        let back = Instant::now();
        while guarded.send(get(), Some(&caller)).status != 200 {
            assert!(back.elapsed() < Duration::from_secs(5), "did not recover");
        }
    }
}

fn without_tokenhouse_nobody_gets_through(proxy: Proxy) {
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
        let answer = request.send();
        assert!(answer.status >= 500, "{answer:?}");
        tally.count(&app.take(), None);
    }
}

fn an_answer_that_is_no_permission_is_a_refusal(proxy: Proxy) {
    const ANSWERS: [&str; 12] = [
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
    let authority = Recorder::start(|question| {
        let number = question.header("x-answer").and_then(|n| n.parse().ok());
        let answer = number.and_then(|number: usize| ANSWERS.get(number));
        match answer {
            Some(answer) => answer.as_bytes().to_vec(),
            None => {
                thread::sleep(Duration::from_secs(8));
                Vec::new()
            }
        }
    });
    let app = Recorder::echo();
    let running = proxy.start(authority.address(), app.address());
    let mut tally = Tally::of(proxy);
    for (number, answer) in ANSWERS.iter().enumerate() {
        let request = running.get("/").bearer("x");
        let refused = request.header("X-Response", number.to_string()).send();
        assert!(refused.status >= 300, "{answer:?}: {refused:?}");
        tally.count(&app.take(), None);
    }
    // It takes the question, and says nothing.
    let asked = Instant::now();
    let refused = running.get("/").bearer("x").send();
    assert!(refused.status >= 500, "{refused:?}");
    assert!(asked.elapsed() < Duration::from_secs(7));
    tally.count(&app.take(), None);
}

fn a_permission_without_an_identity_is_nobodys(proxy: Proxy) {
    let authority = Recorder::start(|_| b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec());
    let app = Recorder::echo();
    let running = proxy.start(authority.address(), app.address());
    let nobody = Caller {
        credential: "the-credential".to_owned(),
        identity: Default::default(),
    };
    let mut tally = Tally::of(proxy);
    for name in IDENTITY {
        let request = running.get("/").header(name, FORGED);
        let answer = request.bearer(&nobody.credential).send();
        assert_eq!(answer.status, 200, "{answer:?}");
        tally.count(&app.take(), Some(&nobody));
    }
    assert_eq!(tally.reached(), IDENTITY.len());
}

fn the_question_has_no_body_and_its_connection_stays_open(proxy: Proxy) {
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
            let asked = authority.take();
            let [question] = asked.as_slice() else {
                panic!("{method}: {asked:?}");
            };
            assert_eq!(question.line(), "GET /verify?scope=reports:read");
            assert_eq!(question.header("authorization"), Some("Bearer x"));
            assert_eq!(question.header("x-forwarded-for"), Some("127.0.0.1"));
            assert!(question.body.is_empty(), "{question:?}");
            assert_eq!(question.header("transfer-encoding"), None);
            assert!(matches!(
                question.header("content-length"),
                None | Some("0")
            ));
            // The app gets the body whole.
            let [got] = &app.take()[..] else {
                panic!("{method} did not reach the app once");
            };
            let letters = got.body.iter().filter(|byte| **byte == b'x').count();
            assert_eq!(letters, body.len(), "{method}: {}", got.head);
        }
    }
    assert_eq!(authority.connections(), 1);
}
