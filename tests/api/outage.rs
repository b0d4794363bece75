//! A database that is gone: 503, never a guess, and no restart needed when it is back.

use std::time::{Duration, Instant};

use crate::harness::{Backend, STATIC_KEY, TestApp, on_both_databases};

on_both_databases!(an_outage_is_503_everywhere_and_heals_by_itself);

fn an_outage_is_503_everywhere_and_heals_by_itself(backend: Backend) {
    let app = TestApp::start(backend);
    let alice = app.register("alice");
    let token = alice.sign_in();
    app.database().make_unavailable();
    // What is in memory is good for at most a second after the last word from Postgres.
    let taken_away = Instant::now();
    let use_token = || app.get("/users/me").bearer(&token).send().status;
    while use_token() == 200 && taken_away.elapsed() < Duration::from_secs(1) {}

    let sign_in = [
        ("username", alice.email.as_str()),
        ("password", &alice.password),
    ];
    let mut asked = vec![
        app.get("/users/me").bearer(&token),
        app.get("/users/me").bearer("unknown"),
        app.post("/logout").bearer(&token),
        app.post("/token").form(&sign_in),
    ];
    if backend == Backend::Postgres {
        asked.push(app.get("/readyz"));
        asked.push(
            app.post("/token")
                .form(&[("username", "bob@example.com"), ("password", "x")]),
        );
    }
    for request in asked {
        let answer = request.send();
        assert_eq!(
            (answer.status, answer.text()),
            (503, r#"{"detail":"Service Unavailable"}"#)
        );
        assert_eq!(answer.header("retry-after").as_deref(), Some("1"));
        assert_eq!(answer.header("www-authenticate"), None);
    }
    // What needs no database goes on.
    assert_eq!(app.get("/livez").send().status, 200);
    assert_eq!(app.get("/users/me").send().status, 401);
    assert_eq!(
        app.get("/page").header("Token", STATIC_KEY).send().status,
        200
    );

    app.database().make_available();
    let back = Instant::now();
    while app.get("/users/me").bearer(&token).send().status != 200 {
        assert!(back.elapsed() < Duration::from_secs(5), "did not recover");
    }
}
