//! Recovery codes, and resets of the password, which replace no second factor.

use serde_json::json;

use super::app::{
    access_token, assert_wrong, builder, enrol, mfa_token, otp, password, recovery_code,
};
use crate::harness::{Backend, on_both_databases, text};

on_both_databases!(recovery_codes_count_once, reset_by_mail_replaces_no_factor);

fn recovery_codes_count_once(backend: Backend) {
    let (builder, clock) = builder(backend);
    let app = builder.start();
    let ada = enrol(&app, &clock, "ada");
    let code = &ada.recovery_codes[3];
    assert!(code.starts_with("3-"), "{code}");
    let sign_in = |code: &str| {
        let waiting = mfa_token(&password(&app, &ada.person));
        recovery_code(&app, &waiting, code)
    };
    let list = ada.recovery_codes.join("\n");
    for malformed in [&*list, "123456", &format!("{code}A"), ""] {
        assert_eq!(sign_in(malformed).status, 422, "{malformed}");
    }
    let typed = code
        .to_lowercase()
        .replacen('-', "\u{2013}", 1)
        .replace('0', "O");
    access_token(&sign_in(&format!(" {typed}\n")));
    assert_wrong(&sign_in(code));
    assert_wrong(&sign_in(&format!("4{}", &ada.recovery_codes[5][1..])));
    let left = app.get("/users/me/factors").bearer(&ada.token).send();
    assert_eq!(left.json()["recovery_codes"]["left"], 9);
    let used = "audit_events WHERE action = 'factor.recovery-code-use' AND result = 'ok'";
    assert_eq!(app.database().count(used), 1);

    let made = app.post("/users/me/recovery-codes").bearer(&ada.token);
    let made = made.json(&json!({})).send();
    assert_eq!(made.status, 200, "{made:?}");
    assert_wrong(&sign_in(&ada.recovery_codes[4]));
    access_token(&sign_in(&text(&made.json()["recovery_codes"][4])));
    // A user without a second factor has no use for them.
    let bob = app.register("bob").sign_in();
    let none = app.post("/users/me/recovery-codes").bearer(&bob);
    assert_eq!(none.json(&json!({})).send().status, 404);
}

fn reset_by_mail_replaces_no_factor(backend: Backend) {
    let (builder, clock) = builder(backend);
    let app = builder
        .setting("TOKENHOUSE_PUBLIC_URL", "https://auth.example.com")
        .start();
    let ada = enrol(&app, &clock, "ada");
    let waiting = mfa_token(&password(&app, &ada.person));
    let (_, printed) = app.run(&["user", "reset-link", &ada.person.email]);
    let (_, token) = printed.trim().split_once("?t=").unwrap();
    let body = json!({ "token": token, "password": "mulberry-Tram-71" });
    let reset = app.post("/reset-password").json(&body).send();
    assert_eq!(reset.status, 200, "{reset:?}");
    let code = ada.app.code(clock.now().and_utc());
    assert_eq!(otp(&app, &waiting, &code).status, 400);
    let form = [
        ("username", &*ada.person.email),
        ("password", "mulberry-Tram-71"),
    ];
    let waiting = mfa_token(&app.post("/token").form(&form).send());
    access_token(&otp(&app, &waiting, &code));
}
