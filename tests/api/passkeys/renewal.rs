//! Signed-in users show a passkey once more: `POST /users/me/reauthenticate`.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::authenticator::{Authenticator, USER_PRESENT, USER_VERIFIED};
use super::{ask, ask_again, begin, builder, confirm, count_events, enrol, expire, renew};
use crate::factors::app::{access_token, assert_wrong, builder as without_passkeys};
use crate::harness::{Backend, STATIC_KEY, TestApp, on_both_databases, send};

on_both_databases!(
    passkey_renews_the_session,
    passkey_makes_a_session_one_with_two_factors,
    other_signatures_renew_nothing,
    verification_is_required_where_passkeys_stand_alone,
    only_sessions_of_users_with_a_passkey_are_asked,
);

fn amr(app: &TestApp, token: &str) -> Value {
    let introspect = app.post("/introspect").bearer(STATIC_KEY);
    introspect.form(&[("token", token)]).send().json()["amr"].clone()
}

fn passkey_renews_the_session(backend: Backend) {
    let (builder, clock) = builder(backend, "first");
    let app = builder.start();
    let mut ada = enrol(&app, "ada");
    clock.advance(TimeDelta::minutes(16));
    let key = json!({ "name": "k" });
    let create = |token: &str| send(&app, "POST", "/users/me/keys", token, &key).status;
    assert_eq!(create(&ada.token), 403);
    let (id, options) = ask_again(&app, &ada.token);
    assert_eq!(options["userVerification"], "required");
    assert_eq!(options["allowCredentials"].as_array().unwrap().len(), 1);
    let signed = ada.key.sign(&options);
    let next = access_token(&renew(&app, &ada.token, &id, &signed));
    assert_eq!(app.status("/users/me", &ada.token), 401);
    assert_eq!(create(&next), 201);
    assert_eq!(amr(&app, &next), json!(["pwd", "hwk", "user", "mfa"]));
    assert_eq!(app.database().count("sessions"), 1);
    // The same signature counts once.
    assert_wrong(&renew(&app, &next, &id, &signed));
    assert_eq!(count_events(&app, "session.renew", "wrong-code"), 1);
    // With the password, it does as well.
    let (id, options) = ask_again(&app, &next);
    let body = json!({
        "password": ada.person.password,
        "challenge_id": id,
        "credential": ada.key.sign(&options),
    });
    access_token(&send(
        &app,
        "POST",
        "/users/me/reauthenticate",
        &next,
        &body,
    ));
}

fn passkey_makes_a_session_one_with_two_factors(backend: Backend) {
    let (builder, _clock) = builder(backend, "second");
    let app = builder.start();
    let person = app.register("ada");
    let (earlier, token) = (person.sign_in(), person.sign_in());
    let (factor, options) = begin(&app, &token);
    let (mut key, made) = Authenticator::make(&options);
    assert_eq!(confirm(&app, &token, factor, &made).status, 200);
    let verify = |token: &str| {
        let request = app.get("/verify?acr=mfa&max_age=300").bearer(token);
        request.send().status
    };
    assert_eq!(verify(&earlier), 401);
    let (id, options) = ask_again(&app, &earlier);
    assert_eq!(options["userVerification"], "preferred");
    let stepped_up = access_token(&renew(&app, &earlier, &id, &key.sign(&options)));
    assert_eq!(verify(&stepped_up), 200);
    let path = format!("/users/me/factors/{factor}");
    let removed = send(&app, "DELETE", &path, &stepped_up, &json!({}));
    assert_eq!(removed.status, 204, "{removed:?}");
}

fn other_signatures_renew_nothing(backend: Backend) {
    let (builder, clock) = builder(backend, "first");
    let app = builder.start();
    let mut ada = enrol(&app, "ada");
    let mut eve = enrol(&app, "eve");
    let token = ada.token.clone();
    // What another session, another user and a sign-in were asked.
    let (id, options) = ask(&app);
    let own = access_token(&super::sign_in(&app, &id, &ada.key.sign(&options)));
    for (id, options) in [
        ask_again(&app, &own),
        ask_again(&app, &eve.token),
        ask(&app),
    ] {
        assert_wrong(&renew(&app, &token, &id, &ada.key.sign(&options)));
    }
    // Nor does it sign anybody in.
    let (id, options) = ask_again(&app, &token);
    super::assert_refused(&super::sign_in(&app, &id, &ada.key.sign(&options)));
    let (id, options) = ask_again(&app, &token);
    assert_wrong(&renew(&app, &token, &id, &eve.key.sign(&options)));
    let (id, options) = ask_again(&app, &token);
    ada.key.origin = "https://evil.example".to_owned();
    assert_wrong(&renew(&app, &token, &id, &ada.key.sign(&options)));
    ada.key.origin = super::ORIGIN.to_owned();
    let (id, options) = ask_again(&app, &token);
    let signed = ada.key.sign(&options);
    expire(&clock);
    assert_wrong(&renew(&app, &token, &id, &signed));
    let (id, options) = ask_again(&app, &token);
    let signed = ada.key.sign(&options);
    for malformed in [
        json!({ "challenge_id": id }),
        json!({ "credential": signed }),
        json!({ "challenge_id": 1, "credential": signed }),
        json!({ "challenge_id": id, "credential": signed.to_string() }),
        json!({ "challenge_id": id, "credential": signed, "otp": "123456" }),
        json!({ "challenge_id": id, "credential": signed, "recovery_code": "3-ABCDE-FGHJK" }),
    ] {
        let refused = send(&app, "POST", "/users/me/reauthenticate", &token, &malformed);
        assert_eq!(refused.status, 422, "{malformed}: {refused:?}");
    }
    // None of that has used up the question.
    access_token(&renew(&app, &token, &id, &signed));
}

fn verification_is_required_where_passkeys_stand_alone(backend: Backend) {
    for (mode, is_accepted) in [("first", false), ("second", true)] {
        let (builder, _clock) = builder(backend, mode);
        let app = builder.start();
        let mut ada = enrol(&app, "ada");
        ada.key.flags = USER_PRESENT;
        let (id, options) = ask_again(&app, &ada.token);
        let answer = renew(&app, &ada.token, &id, &ada.key.sign(&options));
        assert_eq!(answer.status == 200, is_accepted, "{mode}: {answer:?}");
        ada.key.flags |= USER_VERIFIED;
    }
}

fn only_sessions_of_users_with_a_passkey_are_asked(backend: Backend) {
    let path = "/users/me/reauthenticate/options";
    let (builder, _clock) = builder(backend, "second");
    let app = builder.start();
    let bob = app.register("bob").sign_in();
    assert_eq!(send(&app, "POST", path, &bob, &json!({})).status, 404);
    let ada = enrol(&app, "ada");
    let key = app.create_key(&ada.token, "").secret;
    assert_eq!(send(&app, "POST", path, &key, &json!({})).status, 403);
    assert_eq!(
        send(&app, "POST", path, &ada.token, &json!({ "x": 1 })).status,
        422
    );
    let (builder, _clock) = without_passkeys(backend);
    let app = builder.start();
    let ada = app.register("ada").sign_in();
    assert_eq!(send(&app, "POST", path, &ada, &json!({})).status, 409);
}
