//! Users add and remove authenticator apps.

use chrono::TimeDelta;
use serde_json::json;

use super::app::{
    Authenticator, assert_wrong, begin, builder, confirm, enrol, mfa_token, otp, password,
};
use crate::harness::{Backend, TestApp, on_both_databases, text};

on_both_databases!(
    app_counts_once_it_is_confirmed,
    only_a_session_with_both_factors_changes_them,
    last_factor_takes_the_rest_with_it,
    administrator_resets_lost_factors,
);

fn app_counts_once_it_is_confirmed(backend: Backend) {
    let (builder, clock) = builder(backend);
    let app = builder
        .setting("TOKENHOUSE_BRAND_NAME", "Müller & Co: Test")
        .start();
    let ada = app.register("user+tag");
    let token = ada.sign_in();
    let now = || clock.now().and_utc();
    let factors = || app.get("/users/me/factors").bearer(&token).send().json();
    assert_eq!(factors(), json!({ "factors": [], "recovery_codes": null }));

    let begun = app.post("/users/me/factors").bearer(&token);
    let begun = begun
        .json(&json!({ "kind": "totp", "name": "Phone" }))
        .send();
    assert_eq!(begun.status, 201, "{begun:?}");
    let begun = begun.json();
    let (id, secret) = (begun["id"].as_i64().unwrap(), text(&begun["secret"]));
    let uri = format!(
        "otpauth://totp/M%C3%BCller%20%26%20Co%20Test:{}?secret={secret}\
         &issuer=M%C3%BCller%20%26%20Co%20Test",
        ada.email.replace('+', "%2B").replace('@', "%40")
    );
    assert_eq!(begun["otpauth_uri"], json!(uri));
    assert!(text(&begun["qr_svg"]).starts_with("<svg xmlns="));
    let authenticator = Authenticator::scan(&secret);
    // It does not count yet, and a wrong code changes nothing.
    assert_eq!(factors()["factors"], json!([]));
    assert_eq!(password(&app, &ada).status, 200);
    let far = authenticator.code(now() + TimeDelta::seconds(300));
    assert_wrong(&confirm(&app, &token, id, &far));
    for malformed in [
        json!(123_456),
        json!("12345"),
        json!("1234567"),
        json!("abcdef"),
    ] {
        let path = format!("/users/me/factors/{id}/confirm");
        let request = app.post(&path).bearer(&token);
        let refused = request.json(&json!({ "otp": malformed })).send();
        assert_eq!(refused.status, 422, "{refused:?}");
    }
    let code = authenticator.code(now());
    let spaced = format!(" {} {}\u{a0}", &code[..3], &code[3..]);
    let confirmed = confirm(&app, &token, id, &spaced);
    assert_eq!(confirmed.status, 200, "{confirmed:?}");
    let codes = confirmed.json()["recovery_codes"].clone();
    assert_eq!(codes.as_array().unwrap().len(), 10, "{codes}");
    assert_eq!(confirm(&app, &token, id, &code).status, 404);
    assert_eq!(factors()["factors"][0]["name"], "Phone");
    assert_eq!(factors()["recovery_codes"]["left"], 10);
    // The code that confirmed counts no more.
    let waiting = mfa_token(&password(&app, &ada));
    assert_wrong(&otp(&app, &waiting, &code));
    clock.advance(TimeDelta::seconds(30));
    assert_eq!(otp(&app, &waiting, &authenticator.code(now())).status, 200);

    // One that is not confirmed is forgotten, and the other one goes on counting.
    let (other, second) = begin(&app, &token);
    clock.advance(TimeDelta::minutes(10));
    assert_eq!(
        confirm(&app, &token, other, &second.code(now())).status,
        404
    );
    let sealed = format!("factors WHERE secret_sealed = '' OR secret_sealed LIKE '%{secret}%'");
    assert_eq!(app.database().count(&sealed), 0);
    let added = "audit_events WHERE action = 'factor.add' AND result = 'ok'";
    assert_eq!(app.database().count(added), 1);
}

fn only_a_session_with_both_factors_changes_them(backend: Backend) {
    let (builder, clock) = builder(backend);
    let app = builder.start();
    let ada = app.register("ada");
    let old = ada.sign_in();
    let token = ada.sign_in();
    let (id, authenticator) = begin(&app, &token);
    let code = authenticator.code(clock.now().and_utc());
    assert_eq!(confirm(&app, &token, id, &code).status, 200);
    let remove = |token: &str, body: serde_json::Value| {
        let path = format!("/users/me/factors/{id}");
        app.request("DELETE", &path)
            .bearer(token)
            .json(&body)
            .send()
    };
    // A session from before has not shown it, even with the password.
    let body = json!({ "current_password": ada.password });
    let refused = remove(&old, body.clone());
    assert_eq!(refused.status, 401, "{refused:?}");
    let challenge = refused.header("WWW-Authenticate").unwrap();
    assert!(
        challenge.contains(r#"error="insufficient_user_authentication", acr_values="mfa""#),
        "{challenge}"
    );
    let codes = app.post("/users/me/recovery-codes").bearer(&old);
    assert_eq!(codes.json(&body).send().status, 401);
    let begun = app.post("/users/me/factors").bearer(&old);
    assert_eq!(begun.json(&json!({ "kind": "totp" })).send().status, 401);
    // The session that has confirmed it has, but not for ever without the password.
    clock.advance(TimeDelta::minutes(16));
    assert_eq!(remove(&token, json!({})).status, 403);
    assert_eq!(remove(&token, body).status, 204);
    assert_eq!(password(&app, &ada).status, 200);
}

fn last_factor_takes_the_rest_with_it(backend: Backend) {
    let (builder, clock) = builder(backend);
    let app = builder.start();
    let ada = enrol(&app, &clock, "ada");
    let waiting = mfa_token(&password(&app, &ada.person));
    let path = format!("/users/me/factors/{}", ada.factor);
    let removed = app.request("DELETE", &path).bearer(&ada.token);
    assert_eq!(removed.json(&json!({})).send().status, 204);
    let factors = app.get("/users/me/factors").bearer(&ada.token).send();
    assert_eq!(
        factors.json(),
        json!({ "factors": [], "recovery_codes": null })
    );
    let code = ada.app.code(clock.now().and_utc());
    assert_eq!(otp(&app, &waiting, &code).status, 400);
    let sessions = app.get("/users/me/sessions").bearer(&ada.token).send();
    assert_eq!(sessions.json()["sessions"][0]["amr"], "pwd");
    assert_eq!(password(&app, &ada.person).status, 200);
}

fn administrator_resets_lost_factors(backend: Backend) {
    let (builder, clock) = builder(backend);
    let app = builder.start();
    let admin = app.register_with("admin", "users:write").sign_in();
    let ada = enrol(&app, &clock, "ada");
    let id = app.get("/users/me").bearer(&ada.token).send().json()["id"].clone();
    let reset = |path: &str| app.request("DELETE", path).bearer(&admin).send().status;
    assert_eq!(reset(&format!("/admin/users/{id}/factors/999")), 404);
    assert_eq!(app.status("/users/me", &ada.token), 200);
    assert_eq!(
        reset(&format!("/admin/users/{id}/factors/{}", ada.factor)),
        204
    );
    // Everywhere at once.
    assert_eq!(app.status("/users/me", &ada.token), 401);
    assert_eq!(password(&app, &ada.person).status, 200);
    assert_eq!(app.database().count("recovery_codes"), 0);

    let bob = enrol(&app, &clock, "bob");
    // The note goes to standard error.
    let output = run(&app, &["user", "reset-factors", &bob.person.email]);
    assert!(output.contains("has no second factor any more"), "{output}");
    assert_eq!(password(&app, &bob.person).status, 200);
    let events = "audit_events WHERE action = 'factor.reset' AND result = 'ok'";
    assert_eq!(app.database().count(events), 2);
}

fn run(app: &TestApp, arguments: &[&str]) -> String {
    let output = app.program(arguments).output().unwrap();
    String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
}
