//! Passkeys as the second factor.

use serde_json::{Value, json};

use super::authenticator::{
    Authenticator, BACKED_UP, BACKUP_ELIGIBLE, USER_PRESENT, USER_VERIFIED,
};
use super::{ask_second, begin, builder, confirm, count_events, enrol, expire, second_step};
use crate::factors::app::{access_token, assert_wrong, mfa_token, password, recovery_code};
use crate::harness::{Backend, STATIC_KEY, TestApp, on_both_databases};

on_both_databases!(
    sign_in_asks_for_the_passkey,
    other_signatures_are_wrong,
    user_need_not_be_verified_after_the_password,
    counter_that_goes_back_is_reported,
    backup_flags_may_change,
    passkey_is_not_asked_for_once_it_is_off,
);

/// How the user of a token has authenticated.
fn amr(app: &TestApp, token: &str) -> Value {
    let introspect = app.post("/introspect").bearer(STATIC_KEY);
    introspect.form(&[("token", token)]).send().json()["amr"].clone()
}

fn sign_in_asks_for_the_passkey(backend: Backend) {
    let (builder, _clock) = builder(backend, "second");
    let app = builder.start();
    let mut ada = enrol(&app, "ada");
    assert_eq!(amr(&app, &ada.token), json!(["pwd", "hwk", "user", "mfa"]));
    let asked = password(&app, &ada.person);
    assert_eq!(
        asked.json()["methods"],
        json!(["webauthn", "recovery_code"])
    );
    let waiting = mfa_token(&asked);
    let (id, options) = ask_second(&app, &waiting);
    assert_eq!(options["userVerification"], "preferred");
    assert_eq!(options["rpId"], "auth.example");
    let allowed = &options["allowCredentials"];
    assert_eq!(allowed.as_array().unwrap().len(), 1);
    assert_eq!(allowed[0]["transports"], json!(["internal", "hybrid"]));
    let signed = ada.key.sign(&options);
    let token = access_token(&second_step(&app, &waiting, &id, &signed));
    assert_eq!(amr(&app, &token), json!(["pwd", "hwk", "user", "mfa"]));
    let listed = app.get("/users/me/factors").bearer(&token).send().json();
    assert!(listed["factors"][0]["last_used_at"].is_string(), "{listed}");
    // The sign-in and what was asked are used up.
    assert_eq!(second_step(&app, &waiting, &id, &signed).status, 400);
    let other = mfa_token(&password(&app, &ada.person));
    assert_wrong(&second_step(&app, &other, &id, &signed));
    // It opens nothing in place of a code.
    let (id, options) = ask_second(&app, &other);
    let signed = ada.key.sign(&options);
    let alone = super::sign_in(&app, &id, &signed);
    assert_eq!(alone.status, 409, "{alone:?}");
}

fn other_signatures_are_wrong(backend: Backend) {
    type Change = fn(&mut Authenticator);
    let (builder, clock) = builder(backend, "second");
    let app = builder.start();
    let mut ada = enrol(&app, "ada");
    let mut eve = enrol(&app, "eve");
    let (origin, domain) = (ada.key.origin.clone(), ada.key.rp_id.clone());
    let (flags, handle) = (ada.key.flags, ada.key.handle.clone());
    let changes: [(&str, Change); 6] = [
        ("origin", |key| {
            key.origin = "https://evil.example".to_owned()
        }),
        ("domain", |key| key.rp_id = "evil.example".to_owned()),
        ("frame", |key| key.is_cross_origin = true),
        ("presence", |key| key.flags &= !USER_PRESENT),
        ("backup", |key| key.flags |= BACKED_UP),
        ("handle", |key| key.handle = Some(vec![7; 64])),
    ];
    let mut tried = 0;
    for (what, change) in changes {
        let waiting = mfa_token(&password(&app, &ada.person));
        let (id, options) = ask_second(&app, &waiting);
        change(&mut ada.key);
        let wrong = second_step(&app, &waiting, &id, &ada.key.sign(&options));
        assert!(wrong.status == 403, "{what}: {wrong:?}");
        assert_eq!(assert_wrong(&wrong)["tries_left"], 4, "{what}");
        ada.key.origin.clone_from(&origin);
        ada.key.rp_id.clone_from(&domain);
        ada.key.handle.clone_from(&handle);
        (ada.key.flags, ada.key.is_cross_origin) = (flags, false);
        // What was asked counts once.
        let again = second_step(&app, &waiting, &id, &ada.key.sign(&options));
        assert_wrong(&again);
        // A right signature forgets the wrong ones, so that the account does not wait.
        let (id, options) = ask_second(&app, &waiting);
        access_token(&second_step(&app, &waiting, &id, &ada.key.sign(&options)));
        tried += 2;
    }
    let refused = "audit_events WHERE action = 'login' AND result = 'refused' \
                   AND detail LIKE '%wrong-code%'";
    assert_eq!(app.database().count(refused), tried);
    let waiting = mfa_token(&password(&app, &ada.person));
    // Another user's passkey, and another sign-in's question.
    let (id, options) = ask_second(&app, &waiting);
    assert_wrong(&second_step(&app, &waiting, &id, &eve.key.sign(&options)));
    let other = mfa_token(&password(&app, &ada.person));
    let (id, options) = ask_second(&app, &other);
    assert_wrong(&second_step(&app, &waiting, &id, &ada.key.sign(&options)));
    let of_eve = mfa_token(&password(&app, &eve.person));
    let (id, options) = ask_second(&app, &of_eve);
    assert_wrong(&second_step(&app, &waiting, &id, &ada.key.sign(&options)));
    // Texts that are no signature.
    for malformed in [json!({}), json!("x"), json!([[]])] {
        let (id, _) = ask_second(&app, &other);
        assert_wrong(&second_step(&app, &other, &id, &malformed));
    }
    // A question that is too old ends with its sign-in.
    let (id, options) = ask_second(&app, &waiting);
    expire(&clock);
    let late = second_step(&app, &waiting, &id, &ada.key.sign(&options));
    assert_eq!(late.status, 400, "{late:?}");
    let body = json!({ "mfa_token": waiting });
    let ended = app.post("/mfa/webauthn/options").json(&body).send();
    assert_eq!(ended.json()["error"], "invalid_grant", "{ended:?}");
}

fn user_need_not_be_verified_after_the_password(backend: Backend) {
    let (builder, _clock) = builder(backend, "second");
    let app = builder.start();
    let mut ada = enrol(&app, "ada");
    for verified in [0, USER_VERIFIED] {
        ada.key.flags = USER_PRESENT | verified;
        let waiting = mfa_token(&password(&app, &ada.person));
        let (id, options) = ask_second(&app, &waiting);
        access_token(&second_step(&app, &waiting, &id, &ada.key.sign(&options)));
    }
    // A key without a PIN knows no user handle.
    ada.key.handle = None;
    let waiting = mfa_token(&password(&app, &ada.person));
    let (id, options) = ask_second(&app, &waiting);
    access_token(&second_step(&app, &waiting, &id, &ada.key.sign(&options)));
}

fn counter_that_goes_back_is_reported(backend: Backend) {
    let (builder, _clock) = builder(backend, "second");
    let builder = builder.setting("TOKENHOUSE_MAIL", "memory");
    let builder = builder.setting("TOKENHOUSE_MAIL_FROM", "auth@auth.example");
    let app = builder.start();
    let mut ada = enrol(&app, "ada");
    let mut sign_in = |counter: u32| {
        ada.key.counter = counter;
        let waiting = mfa_token(&password(&app, &ada.person));
        let (id, options) = ask_second(&app, &waiting);
        access_token(&second_step(&app, &waiting, &id, &ada.key.sign(&options)));
    };
    sign_in(10);
    assert_eq!(count_events(&app, "passkey.counter", ""), 0);
    sign_in(10);
    sign_in(4);
    sign_in(5);
    assert_eq!(count_events(&app, "passkey.counter", ""), 2);
    let detail = "\"signed\":4,\"stored\":10";
    assert_eq!(count_events(&app, "passkey.counter", detail), 1);
    let notices = app
        .database()
        .count("mail_outbox WHERE purpose = 'passkey-copied'");
    assert_eq!(notices, 2);
    // One that does not count says nothing.
    let bob = app.register("bob").sign_in();
    let (id, options) = begin(&app, &bob);
    let mut key = Authenticator::new();
    key.counter = 0;
    assert_eq!(confirm(&app, &bob, id, &key.register(&options)).status, 200);
}

fn backup_flags_may_change(backend: Backend) {
    let (builder, _clock) = builder(backend, "second");
    let app = builder.start();
    let mut ada = enrol(&app, "ada");
    let mut token = String::new();
    for (flags, events) in [
        (BACKUP_ELIGIBLE, 1),
        (BACKUP_ELIGIBLE | BACKED_UP, 2),
        (BACKUP_ELIGIBLE | BACKED_UP, 2),
        (BACKUP_ELIGIBLE, 3),
        (0, 4),
        (BACKUP_ELIGIBLE | BACKED_UP, 5),
    ] {
        ada.key.flags = USER_PRESENT | USER_VERIFIED | flags;
        let waiting = mfa_token(&password(&app, &ada.person));
        let (id, options) = ask_second(&app, &waiting);
        token = access_token(&second_step(&app, &waiting, &id, &ada.key.sign(&options)));
        assert_eq!(count_events(&app, "passkey.backup", ""), events, "{flags}");
    }
    assert_eq!(amr(&app, &token), json!(["pwd", "swk", "user", "mfa"]));
    let listed = app.get("/users/me/factors").bearer(&token).send().json();
    assert_eq!(listed["factors"][0]["backed_up"], true);
}

fn passkey_is_not_asked_for_once_it_is_off(backend: Backend) {
    let (builder, clock) = builder(backend, "second");
    let app = builder.start();
    let person = app.register("ada");
    let token = person.sign_in();
    let (id, options) = begin(&app, &token);
    let (_, credential) = Authenticator::make(&options);
    let codes = confirm(&app, &token, id, &credential).json()["recovery_codes"].clone();
    let off = app.sibling().setting("TOKENHOUSE_PASSKEYS", "off");
    let off = off.clock(clock.clone()).start();
    let asked = password(&off, &person);
    assert_eq!(asked.json()["methods"], json!(["recovery_code"]));
    let code = codes[0].as_str().unwrap();
    access_token(&recovery_code(&off, &mfa_token(&asked), code));
}
