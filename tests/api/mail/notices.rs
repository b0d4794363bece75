//! Notices of what may be the work of somebody else.

use serde_json::json;

use super::inbox::PUBLIC_URL;
use super::{Inbox, Mail};
use crate::harness::{Backend, TestApp, on_both_databases};

on_both_databases!(
    user_is_told_of_a_new_password_and_key,
    user_is_told_of_a_new_device_once,
    user_is_told_of_a_reused_refresh_token,
    unverified_address_is_told_nothing,
    setting_chooses_the_notices,
    without_mail_nothing_is_queued,
);

const NEW: &str = "another password altogether";

/// A service that sends all notices.
fn start(inbox: &Inbox, backend: Backend) -> TestApp {
    inbox
        .app(backend)
        .setting("TOKENHOUSE_NOTICES", "all")
        .start()
}

#[track_caller]
fn assert_notice(mail: &Mail, purpose: &str, text: &str) {
    assert_eq!(
        (mail.purpose.as_str(), mail.to.as_str(), mail.token.as_str()),
        (purpose, "alice@example.com", "")
    );
    let remedy = format!("{PUBLIC_URL}/forgot-password");
    assert!(
        mail.text.contains(&remedy) && mail.text.contains(text),
        "{mail:?}"
    );
}

fn user_is_told_of_a_new_password_and_key(backend: Backend) {
    let inbox = Inbox::new();
    let app = start(&inbox, backend);
    let alice = app.register("alice");
    let token = alice.sign_in();
    app.create_key(&token, "");
    assert_notice(&inbox.wait_for(1), "key-created", "127.0.0.1");
    let body = json!({ "current_password": alice.password, "new_password": NEW });
    let changed = app
        .post("/users/me/password")
        .bearer(&token)
        .json(&body)
        .send();
    assert_eq!(changed.status, 204);
    assert_notice(&inbox.wait_for(2), "password-changed", "127.0.0.1");
    // Also after a reset.
    let asked = app
        .post("/forgot-password")
        .json(&json!({ "email": alice.email }));
    assert_eq!(asked.send().status, 202);
    let link = inbox.wait_for(3).token;
    let reset = json!({ "token": link, "password": "a third password of hers" });
    assert_eq!(app.post("/reset-password").json(&reset).send().status, 200);
    assert_notice(&inbox.wait_for(4), "password-changed", "127.0.0.1");
}

fn user_is_told_of_a_new_device_once(backend: Backend) {
    let inbox = Inbox::new();
    let app = start(&inbox, backend);
    let alice = app.register("alice");
    let sign_in = |password: &str, agent: &str| {
        let form = [("username", alice.email.as_str()), ("password", password)];
        let request = app.post("/token").header("User-Agent", agent);
        request.form(&form).send().status
    };
    let firefox = |version: u8| format!("Mozilla/5.0 (X11; Linux x86_64) Firefox/{version}.0");
    // The first sign-in, and another version, are no new device.
    assert_eq!(sign_in(&alice.password, &firefox(140)), 200);
    assert_eq!(sign_in(&alice.password, &firefox(141)), 200);
    assert_eq!(sign_in("a wrong password", "curl/8.5"), 401);
    inbox.stays_at(0);
    assert_eq!(sign_in(&alice.password, "curl/8.5"), 200);
    assert_notice(&inbox.wait_for(1), "new-device", "curl");
    assert_eq!(sign_in(&alice.password, "curl/8.6"), 200);
    inbox.stays_at(1);
}

fn user_is_told_of_a_reused_refresh_token(backend: Backend) {
    let inbox = Inbox::new();
    let app = inbox
        .app(backend)
        .setting("TOKENHOUSE_NOTICES", "all")
        .setting("TOKENHOUSE_REFRESH_GRACE", "0")
        .start();
    let alice = app.register("alice");
    let form = [
        ("username", alice.email.as_str()),
        ("password", alice.password.as_str()),
        ("scope", "offline_access"),
    ];
    let signed_in = app.post("/token").form(&form).send().json();
    let refresh = |token: &str| {
        let form = [("grant_type", "refresh_token"), ("refresh_token", token)];
        app.post("/token").form(&form).send().status
    };
    let token = signed_in["refresh_token"].as_str().unwrap();
    assert_eq!(refresh(token), 200);
    assert_eq!(refresh(token), 400);
    assert_notice(&inbox.wait_for(1), "refresh-reuse", "127.0.0.1");
}

fn unverified_address_is_told_nothing(backend: Backend) {
    let inbox = Inbox::new();
    let app = inbox
        .app(backend)
        .setting("TOKENHOUSE_NOTICES", "all")
        .setting("TOKENHOUSE_VERIFICATION", "mark")
        .start();
    let alice = app.register("alice");
    inbox.wait_for(1);
    let token = alice.sign_in();
    app.create_key(&token, "");
    inbox.stays_at(1);
    assert_eq!(app.run(&["user", "verify", &alice.email]).0, Some(0));
    app.create_key(&token, "");
    assert_eq!(inbox.wait_for(2).purpose, "key-created");
}

fn setting_chooses_the_notices(backend: Backend) {
    let inbox = Inbox::new();
    let app = inbox
        .app(backend)
        .setting("TOKENHOUSE_NOTICES", "password-changed, refresh-reuse")
        .start();
    let alice = app.register("alice");
    let token = alice.sign_in();
    app.create_key(&token, "");
    let body = json!({ "current_password": alice.password, "new_password": NEW });
    let changed = app
        .post("/users/me/password")
        .bearer(&token)
        .json(&body)
        .send();
    assert_eq!(changed.status, 204);
    assert_eq!(inbox.wait_for(1).purpose, "password-changed");
    inbox.stays_at(1);
}

fn without_mail_nothing_is_queued(backend: Backend) {
    let app = TestApp::start(backend);
    let token = app.register("alice").sign_in();
    app.create_key(&token, "");
    assert_eq!(app.database().count("mail_outbox"), 0);
}
