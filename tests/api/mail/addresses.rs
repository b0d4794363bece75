//! Addresses that are easily read as others: with a plus, in capitals, or wanted by several users.

use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};
use tokenhouse::Clock;

use super::Inbox;
use super::inbox::PUBLIC_URL;
use crate::harness::{Backend, OWN_SCOPES, Response, TestApp, on_both_databases};
use crate::pages::browser::{Browser, location};

on_both_databases!(
    plus_survives_every_form_and_link,
    plus_survives_a_change_of_address,
    plus_survives_an_invitation,
    pending_address_stops_nobody_else,
    mail_goes_to_the_address_as_stored,
    expired_link_is_no_success_even_of_a_verified_user,
);

const PLUS: &str = "user+tag@example.com";
const PASSWORD: &str = "correct horse battery";
const NEW: &str = "another password altogether";

fn browser(app: &TestApp) -> Browser {
    Browser::new(app).at(PUBLIC_URL.trim_start_matches("https://"))
}

fn register(app: &TestApp, email: &str) {
    let body = json!({
        "name": "Ulla Tag", "surname": "", "website": "", "email": email, "password": PASSWORD,
    });
    let registered = app.post("/register").json(&body).send();
    assert_eq!(registered.status, 201, "{registered:?}");
}

fn sign_in(app: &TestApp, email: &str, password: &str) -> String {
    let form = [("username", email), ("password", password)];
    let answer = app.post("/token").form(&form).send();
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["access_token"].as_str().unwrap().to_owned()
}

fn email_of(app: &TestApp, token: &str) -> Value {
    app.get("/users/me").bearer(token).send().json()["email"].clone()
}

fn ask_to_change(app: &TestApp, token: &str, email: &str) -> Response {
    let body = json!({ "email": email });
    app.post("/users/me/email").bearer(token).json(&body).send()
}

fn confirm(app: &TestApp, token: &str) -> Response {
    let body = json!({ "token": token });
    app.post("/change-email").json(&body).send()
}

/// N31: a plus in a query is a space.
fn plus_survives_every_form_and_link(backend: Backend) {
    let inbox = Inbox::new();
    let app = inbox.app(backend).start();
    register(&app, PLUS);

    // By the link, which needs no address.
    let body = json!({ "email": PLUS });
    let asked = app.post("/verify-email/request").json(&body).send();
    assert_eq!(asked.status, 202, "{asked:?}");
    let mail = inbox.wait_for(1);
    assert_eq!(mail.to, PLUS);
    let (links, rest): (Vec<&str>, Vec<&str>) = mail
        .text
        .split_whitespace()
        .partition(|word| word.starts_with("https://"));
    assert!(links.iter().all(|link| !link.contains("user")), "{links:?}");
    assert!(rest.iter().all(|word| !word.contains("user tag")));
    let fields = [("token", mail.token.as_str())];
    let done = browser(&app).post("/verify-email/form", &fields);
    assert_eq!(location(&done), "/signin?address-confirmed");

    // By the code, after a mistake.
    let asked = browser(&app).post("/forgot-password/form", &[("email", PLUS)]);
    assert!(!location(&asked).contains("user"), "{asked:?}");
    let mail = inbox.wait_for(2);
    let form = |code: &str| {
        let fields = [("email", PLUS), ("code", code), ("password", NEW)];
        browser(&app).post("/reset-password/form", &fields)
    };
    let wrong = form("ZZZZZZZZ");
    assert_eq!(wrong.status, 400, "{wrong:?}");
    assert!(wrong.text().contains(&format!("value=\"{PLUS}\"")));
    assert_eq!(location(&form(&mail.code)), "/signin?password-reset");
    sign_in(&app, PLUS, NEW);

    let form = |password: &str| {
        let fields = [("email", PLUS), ("password", password)];
        browser(&app).post("/signin", &fields)
    };
    let wrong = form(PASSWORD);
    assert!(wrong.text().contains(&format!("value=\"{PLUS}\"")));
    assert_eq!(form(NEW).status, 303);
}

/// N31
fn plus_survives_a_change_of_address(backend: Backend) {
    let inbox = Inbox::new();
    let app = inbox.app(backend).start();
    let token = app.register("alice").sign_in();
    assert_eq!(ask_to_change(&app, &token, PLUS).status, 202);
    let mail = inbox.wait_for(1);
    assert_eq!(mail.to, PLUS);
    assert_eq!(confirm(&app, &mail.token).status, 200);
    assert_eq!(email_of(&app, &token), PLUS);
}

/// N31
fn plus_survives_an_invitation(backend: Backend) {
    let inbox = Inbox::new();
    let app = inbox.app(backend).start();
    let admin = app.register_with("admin", OWN_SCOPES).sign_in();
    let invited = app
        .post("/admin/invitations")
        .bearer(&admin)
        .json(&json!({ "email": PLUS }))
        .send();
    assert_eq!(invited.status, 201, "{invited:?}");
    let mail = inbox.wait_for(1);
    assert_eq!(mail.to, PLUS);
    let fields = [
        ("token", mail.token.as_str()),
        ("name", "Ulla Tag"),
        ("password", NEW),
    ];
    let done = browser(&app).post("/invitations/accept/form", &fields);
    assert_eq!(location(&done), "/signin?invitation-accepted");
    sign_in(&app, PLUS, NEW);
}

/// N36: it reserves nothing, and its owner may never have asked.
fn pending_address_stops_nobody_else(backend: Backend) {
    let inbox = Inbox::new();
    let app = inbox.app(backend).start();
    let alice = app.register("alice");
    let token = alice.sign_in();
    assert_eq!(ask_to_change(&app, &token, "new@example.com").status, 202);
    let mail = inbox.wait_for(1);
    register(&app, "NEW@example.com");
    let late = confirm(&app, &mail.token);
    assert_eq!(late.status, 409, "{late:?}");
    assert_eq!(confirm(&app, &mail.token).status, 400);
    assert_eq!(email_of(&app, &token), alice.email.as_str());
    let pending = "users WHERE pending_email IS NOT NULL OR pending_email_key IS NOT NULL";
    assert_eq!(app.database().count(pending), 0);
    sign_in(&app, "new@example.com", PASSWORD);
}

/// N37: whatever was typed.
fn mail_goes_to_the_address_as_stored(backend: Backend) {
    let inbox = Inbox::new();
    let app = inbox.app(backend).start();
    register(&app, "Carol@example.com");
    for (number, path) in ["/forgot-password", "/verify-email/request"]
        .into_iter()
        .enumerate()
    {
        let body = json!({ "email": "CAROL@EXAMPLE.COM" });
        assert_eq!(app.post(path).json(&body).send().status, 202);
        assert_eq!(inbox.wait_for(number + 1).to, "Carol@example.com", "{path}");
    }
}

/// N38: only a link that has confirmed the address says that it is confirmed.
fn expired_link_is_no_success_even_of_a_verified_user(backend: Backend) {
    let inbox = Inbox::new();
    let clock = Clock::manual(Utc::now());
    let app = inbox.app(backend).clock(clock.clone()).start();
    let alice = app.register("alice");
    let body = json!({ "email": alice.email });
    app.post("/verify-email/request").json(&body).send();
    let unused = inbox.wait_for(1);
    assert_eq!(app.run(&["user", "verify", &alice.email]).0, Some(0));
    clock.advance(TimeDelta::days(30));
    let body = json!({ "token": unused.token });
    let refused = app.post("/verify-email").json(&body).send();
    let error = refused.json()["error"].clone();
    assert_eq!((refused.status, error), (400, json!("bad_token")));
    let page = browser(&app).post("/verify-email/form", &[("token", &unused.token)]);
    assert_eq!(page.status, 400, "{page:?}");
}
