//! Passkeys in place of a password.

use serde_json::json;

use super::authenticator::{Authenticator, USER_VERIFIED};
use super::{ask, assert_refused, builder, count_events, enrol, expire, sign_in};
use crate::factors::app::access_token;
use crate::harness::{Backend, STATIC_KEY, on_both_databases};
use crate::pages::browser::Browser;

on_both_databases!(
    passkey_signs_in_without_a_password,
    other_passkeys_sign_nobody_in,
    dead_passkey_is_unknown_and_others_are_not,
    outage_says_nothing_about_a_passkey,
    passkey_asks_for_scopes_and_a_device,
    questions_of_one_network_are_limited,
    related_origins_are_listed,
);

fn passkey_signs_in_without_a_password(backend: Backend) {
    let (builder, _clock) = builder(backend, "first");
    let app = builder.start();
    let mut ada = enrol(&app, "ada");
    let (id, options) = ask(&app);
    assert_eq!(options["userVerification"], "required");
    assert_eq!(options["allowCredentials"], json!([]));
    let signed = ada.key.sign(&options);
    let token = access_token(&sign_in(&app, &id, &signed));
    let me = app.get("/users/me").bearer(&token).send().json();
    assert_eq!(me["email"], ada.person.email);
    let introspect = app.post("/introspect").bearer(STATIC_KEY);
    let seen = introspect.form(&[("token", token.as_str())]).send().json();
    assert_eq!(seen["amr"], json!(["hwk", "user", "mfa"]), "{seen}");
    assert_eq!(seen["acr"], "mfa", "{seen}");
    let by_passkey = "audit_events WHERE action = 'login' AND result = 'ok' \
                      AND credential = 'passkey'";
    assert_eq!(app.database().count(by_passkey), 1);
    // The same signature counts once.
    assert_refused(&sign_in(&app, &id, &signed));
}

fn other_passkeys_sign_nobody_in(backend: Backend) {
    type Change = fn(&mut Authenticator);
    let (builder, clock) = builder(backend, "first");
    let app = builder.start();
    let mut ada = enrol(&app, "ada");
    let eve = enrol(&app, "eve");
    let handle = ada.key.handle.clone();
    let changes: [(&str, Change); 5] = [
        ("origin", |key| {
            key.origin = "https://evil.example".to_owned()
        }),
        ("domain", |key| key.rp_id = "evil.example".to_owned()),
        ("frame", |key| key.is_cross_origin = true),
        ("verification", |key| key.flags &= !USER_VERIFIED),
        ("handle", |key| key.handle = None),
    ];
    let flags = ada.key.flags;
    for (what, change) in changes {
        let (id, options) = ask(&app);
        change(&mut ada.key);
        let refused = sign_in(&app, &id, &ada.key.sign(&options));
        assert!(refused.status == 400, "{what}: {refused:?}");
        let body = assert_refused(&refused);
        assert!(body["unknown_credential"].is_null(), "{what}: {body}");
        ada.key.origin = super::ORIGIN.to_owned();
        ada.key.rp_id = super::RP_ID.to_owned();
        ada.key.handle.clone_from(&handle);
        (ada.key.flags, ada.key.is_cross_origin) = (flags, false);
    }
    assert_eq!(count_events(&app, "login", "\"passkey\":\"origin\""), 2);
    assert_eq!(
        count_events(&app, "login", "\"passkey\":\"user-not-verified\""),
        1
    );
    // The key of one user with the handle of another.
    ada.key.handle.clone_from(&eve.key.handle);
    let (id, options) = ask(&app);
    assert_refused(&sign_in(&app, &id, &ada.key.sign(&options)));
    ada.key.handle.clone_from(&handle);
    let (id, options) = ask(&app);
    expire(&clock);
    assert_refused(&sign_in(&app, &id, &ada.key.sign(&options)));
    // One question with the id of another.
    let (_, options) = ask(&app);
    let (id, _) = ask(&app);
    assert_refused(&sign_in(&app, &id, &ada.key.sign(&options)));
    for unknown in ["x", &"A".repeat(43)] {
        let (_, options) = ask(&app);
        let refused = sign_in(&app, unknown, &ada.key.sign(&options));
        assert!(assert_refused(&refused)["unknown_credential"].is_null());
    }
    let (id, options) = ask(&app);
    access_token(&sign_in(&app, &id, &ada.key.sign(&options)));
}

fn dead_passkey_is_unknown_and_others_are_not(backend: Backend) {
    let (builder, _clock) = builder(backend, "first");
    let app = builder.start();
    let mut ada = enrol(&app, "ada");
    let mut stranger = Authenticator::new();
    stranger.handle.clone_from(&ada.key.handle);
    let (id, options) = ask(&app);
    let refused = sign_in(&app, &id, &stranger.sign(&options));
    assert_eq!(assert_refused(&refused)["unknown_credential"], true);
    // A user who is disabled has a passkey that the browser must not forget.
    let admin = app
        .register_with("root", "users:read users:write")
        .sign_in();
    let me = app.get("/users/me").bearer(&ada.token).send().json();
    let path = format!("/admin/users/{}", me["id"]);
    let set = |disabled: bool| {
        let change = app.request("PATCH", &path).bearer(&admin);
        let changed = change.json(&json!({ "disabled": disabled })).send();
        assert_eq!(changed.status, 200, "{changed:?}");
    };
    set(true);
    let (id, options) = ask(&app);
    let refused = sign_in(&app, &id, &ada.key.sign(&options));
    assert!(assert_refused(&refused)["unknown_credential"].is_null());
    assert_eq!(count_events(&app, "login", "\"passkey\":\"disabled\""), 1);
    set(false);
    let (id, options) = ask(&app);
    let token = access_token(&sign_in(&app, &id, &ada.key.sign(&options)));
    let remove = app.request("DELETE", format!("/users/me/factors/{}", ada.factor));
    let removed = remove.bearer(&token).json(&json!({})).send();
    assert_eq!(removed.status, 204, "{removed:?}");
    let (id, options) = ask(&app);
    let refused = sign_in(&app, &id, &ada.key.sign(&options));
    assert_eq!(assert_refused(&refused)["unknown_credential"], true);
}

fn outage_says_nothing_about_a_passkey(backend: Backend) {
    let (builder, _clock) = builder(backend, "first");
    let app = builder.start();
    let mut ada = enrol(&app, "ada");
    let mut stranger = Authenticator::new();
    stranger.handle.clone_from(&ada.key.handle);
    let asked = [(); 4].map(|()| ask(&app));
    match backend {
        // What was asked is found, and no passkey.
        Backend::Sqlite => app
            .database()
            .execute("ALTER TABLE passkeys RENAME TO gone"),
        Backend::Postgres => app.database().make_unavailable(),
    }
    for (key, asked) in [&mut ada.key, &mut stranger]
        .into_iter()
        .zip(asked.chunks(2))
    {
        let (id, options) = &asked[0];
        let refused = sign_in(&app, id, &key.sign(options));
        assert_eq!(refused.status, 503, "{refused:?}");
        assert!(
            !refused.text().contains("unknown_credential"),
            "{refused:?}"
        );
        let (id, options) = &asked[1];
        let credential = key.sign(options).to_string();
        let form = [("challenge_id", id.as_str()), ("credential", &credential)];
        let page = Browser::new(&app)
            .at("auth.example")
            .post("/signin/passkey", &form);
        assert_eq!(page.status, 503, "{page:?}");
        assert!(!page.text().contains("data-passkey-signal"), "{page:?}");
    }
    match backend {
        Backend::Sqlite => app
            .database()
            .execute("ALTER TABLE gone RENAME TO passkeys"),
        Backend::Postgres => app.database().make_available(),
    }
    let (id, options) = ask(&app);
    access_token(&sign_in(&app, &id, &ada.key.sign(&options)));
}

fn passkey_asks_for_scopes_and_a_device(backend: Backend) {
    let (builder, _clock) = builder(backend, "first");
    let app = builder.start();
    let mut ada = enrol(&app, "ada");
    let mut with = |more: &[(&str, &str)]| {
        let (id, options) = ask(&app);
        let credential = ada.key.sign(&options).to_string();
        let mut form = vec![
            ("grant_type", "urn:tokenhouse:grant-type:passkey"),
            ("challenge_id", id.as_str()),
            ("credential", credential.as_str()),
        ];
        form.extend_from_slice(more);
        app.post("/token").form(&form).send()
    };
    let refused = with(&[("scope", "users:write")]);
    assert_eq!(refused.json()["error"], "invalid_scope", "{refused:?}");
    let issued = with(&[("scope", "offline_access"), ("device_name", "Tablet")]);
    let token = access_token(&issued);
    assert!(issued.json()["refresh_token"].is_string(), "{issued:?}");
    let sessions = app.get("/users/me/sessions").bearer(&token).send().json();
    assert_eq!(sessions["sessions"][0]["name"], "Tablet");
    let missing = [("grant_type", "urn:tokenhouse:grant-type:passkey")];
    assert_eq!(app.post("/token").form(&missing).send().status, 422);
}

fn questions_of_one_network_are_limited(backend: Backend) {
    let (builder, _clock) = builder(backend, "first");
    let app = builder
        .setting("TOKENHOUSE_LIMITS", "on")
        .setting("TOKENHOUSE_LIMIT_ADDRESS", "3")
        .start();
    let ask = || app.post("/passkeys/options").json(&json!({})).send().status;
    let answers: Vec<u16> = (0..5).map(|_| ask()).collect();
    assert_eq!(answers, [200, 200, 200, 429, 429]);
}

fn related_origins_are_listed(backend: Backend) {
    let (builder, _clock) = builder(backend, "first");
    let app = builder
        .setting("TOKENHOUSE_PASSKEY_ORIGINS", "https://app.example")
        .start();
    let listed = app.get("/.well-known/webauthn").send();
    assert_eq!(
        listed.json(),
        json!({ "origins": ["https://auth.example", "https://app.example"] })
    );
    let mut ada = enrol(&app, "ada");
    ada.key.origin = "https://app.example".to_owned();
    let (id, options) = ask(&app);
    access_token(&sign_in(&app, &id, &ada.key.sign(&options)));
}
