//! What the other tests take for granted.

use chrono::{DateTime, TimeDelta};
use tokenhouse::Clock;

use super::{Backend, STATIC_KEY, TestApp, on_both_databases};

on_both_databases!(
    people_register_and_sign_in,
    every_app_has_a_database_of_its_own_unless_it_is_beside_another,
    the_server_goes_by_the_clock_of_the_test,
    a_connection_serves_several_requests,
);

fn people_register_and_sign_in(backend: Backend) {
    let app = TestApp::start(backend);
    let alice = app.register("alice");
    let answer = app.get("/users/me").bearer(&alice.sign_in()).send();
    assert_eq!(
        (answer.status, &answer.json()["email"]),
        (200, &alice.email.into())
    );
}

fn every_app_has_a_database_of_its_own_unless_it_is_beside_another(backend: Backend) {
    let app = TestApp::start(backend);
    let token = app.register("alice").sign_in();
    let status = |app: &TestApp| app.get("/users/me").bearer(&token).send().status;
    assert_eq!(status(&app.sibling().start()), 200);
    assert_eq!(status(&TestApp::start(backend)), 401);
}

fn the_server_goes_by_the_clock_of_the_test(backend: Backend) {
    let clock = Clock::manual(DateTime::UNIX_EPOCH);
    let app = TestApp::builder(backend)
        .setting("TOKENHOUSE_TOKEN_LIFETIME", "60")
        .clock(clock.clone())
        .start();
    let token = app.register("alice").sign_in();
    let status = || app.get("/users/me").bearer(&token).send().status;
    assert_eq!(status(), 200);
    clock.advance(TimeDelta::seconds(60));
    assert_eq!(status(), 401);
}

fn a_connection_serves_several_requests(backend: Backend) {
    let app = TestApp::start(backend);
    let mut connection = app.connect().expect("the server listens");
    for _ in 0..3 {
        let request = app.get("/page").header("Token", STATIC_KEY);
        let answer = connection
            .send(&request)
            .expect("the connection stays open");
        assert_eq!(answer.status, 200);
    }
}
