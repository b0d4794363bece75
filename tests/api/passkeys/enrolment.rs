//! Users add passkeys.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde_json::json;

use super::authenticator::{Authenticator, BACKED_UP, BACKUP_ELIGIBLE, USER_VERIFIED};
use super::key_pair::KeyPair;
use super::{
    assert_refused, begin, builder, confirm, count_events, enrol, expire, forget, sign_in,
};
use crate::factors::app::{builder as without_passkeys, enrol as enrol_app};
use crate::harness::{Backend, on_both_databases, send, text};

on_both_databases!(
    passkey_is_added_and_removed,
    passkey_has_the_name_that_its_user_gives,
    options_follow_the_mode,
    every_algorithm_that_is_asked_for_signs_in,
    keys_of_other_algorithms_are_refused,
    other_ceremonies_add_no_passkey,
    passkeys_of_an_account_do_not_name_the_next,
    passkeys_are_off_by_default,
    passkey_needs_the_factor_before_it,
    doctor_names_passkeys_of_another_domain,
);

fn passkey_is_added_and_removed(backend: Backend) {
    let (builder, _clock) = builder(backend, "second");
    let app = builder.start();
    let ada = app.register("ada").sign_in();
    let (id, options) = begin(&app, &ada);
    assert_eq!(options["rp"]["id"], "auth.example");
    assert_eq!(options["attestation"], "none");
    let handle = BASE64.decode(text(&options["user"]["id"])).unwrap();
    assert_eq!(handle.len(), 64);
    let (key, credential) = Authenticator::make(&options);
    let confirmed = confirm(&app, &ada, id, &credential);
    assert_eq!(confirmed.status, 200, "{confirmed:?}");
    let codes = confirmed.json()["recovery_codes"].clone();
    assert_eq!(codes.as_array().unwrap().len(), 10);
    let listed = app.get("/users/me/factors").bearer(&ada).send().json();
    let factor = &listed["factors"][0];
    // It is called by its model.
    assert_eq!(
        (
            &factor["id"],
            &factor["kind"],
            &factor["name"],
            &factor["backed_up"]
        ),
        (
            &json!(id),
            &json!("webauthn"),
            &json!("KeePassXC"),
            &json!(false)
        )
    );
    assert_eq!(count_events(&app, "factor.add", "\"kind\":\"webauthn\""), 1);
    // The next one excludes it, and the authenticator is the same for the same user.
    let (second, options) = begin(&app, &ada);
    assert_eq!(
        options["excludeCredentials"][0]["id"],
        BASE64.encode(&key.id)
    );
    assert_eq!(text(&options["user"]["id"]), BASE64.encode(handle));
    let mut again = key;
    let known = again.register(&options);
    assert_refused(&confirm(&app, &ada, second, &known));
    let remove = app
        .request("DELETE", format!("/users/me/factors/{id}"))
        .bearer(&ada);
    assert_eq!(remove.json(&json!({})).send().status, 204);
    assert_eq!(app.database().count("passkeys"), 0);
    let listed = app.get("/users/me/factors").bearer(&ada).send().json();
    assert_eq!(listed["factors"], json!([]));
}

fn passkey_has_the_name_that_its_user_gives(backend: Backend) {
    let (builder, _clock) = builder(backend, "second");
    let app = builder.start();
    let ada = app.register("ada").sign_in();
    let name = |id: i64| {
        let listed = app.get("/users/me/factors").bearer(&ada).send().json();
        let factors = listed["factors"].as_array().unwrap().clone();
        let named = factors.into_iter().find(|factor| factor["id"] == id);
        text(&named.unwrap()["name"])
    };
    let body = json!({ "kind": "webauthn", "name": "My key" });
    let begun = send(&app, "POST", "/users/me/factors", &ada, &body).json();
    let named = begun["id"].as_i64().unwrap();
    let (_, made) = Authenticator::make(&begun["publicKey"]);
    assert_eq!(confirm(&app, &ada, named, &made).status, 200);
    assert_eq!(name(named), "My key");
    // A model that is not known has a neutral name.
    let (unknown, options) = begin(&app, &ada);
    let mut key = Authenticator::new();
    key.aaguid = [7; 16];
    let made = key.register(&options);
    assert_eq!(confirm(&app, &ada, unknown, &made).status, 200);
    assert_eq!(name(unknown), "Passkey");
    let path = format!("/users/me/factors/{unknown}");
    let renamed = send(&app, "PATCH", &path, &ada, &json!({ "name": "Spare" }));
    let body = renamed.json();
    assert_eq!(
        (renamed.status, &body["name"], &body["backed_up"]),
        (200, &json!("Spare"), &json!(false))
    );
    assert_eq!(name(unknown), "Spare");
}

fn options_follow_the_mode(backend: Backend) {
    for (mode, resident, verified) in [
        ("second", "discouraged", "preferred"),
        ("first", "required", "required"),
    ] {
        let (builder, _clock) = builder(backend, mode);
        let app = builder.start();
        let (_, options) = begin(&app, &app.register("ada").sign_in());
        let asked = &options["authenticatorSelection"];
        assert_eq!(
            (&asked["residentKey"], &asked["userVerification"]),
            (&json!(resident), &json!(verified)),
            "{mode}"
        );
        assert_eq!(asked["requireResidentKey"], json!(mode == "first"));
    }
}

fn every_algorithm_that_is_asked_for_signs_in(backend: Backend) {
    let (builder, _clock) = builder(backend, "first");
    let app = builder.start();
    let ada = app.register("ada").sign_in();
    for (algorithm, pair) in [
        (-7, KeyPair::es256()),
        (-35, KeyPair::es384()),
        (-257, KeyPair::rs256()),
    ] {
        let (id, options) = begin(&app, &ada);
        let asked = options["pubKeyCredParams"].as_array().unwrap();
        let asked: Vec<_> = asked.iter().map(|asked| asked["alg"].clone()).collect();
        assert_eq!(asked, [-7, -35, -257]);
        let mut key = Authenticator::with(pair);
        let confirmed = confirm(&app, &ada, id, &key.register(&options));
        assert_eq!(confirmed.status, 200, "{algorithm}: {confirmed:?}");
        let (challenge_id, options) = super::ask(&app);
        let signed_in = sign_in(&app, &challenge_id, &key.sign(&options));
        assert_eq!(signed_in.status, 200, "{algorithm}: {signed_in:?}");
    }
}

/// The library verifies no signature with Ed25519, so a key of it would never sign in.
fn keys_of_other_algorithms_are_refused(backend: Backend) {
    let (builder, _clock) = builder(backend, "first");
    let app = builder.start();
    let ada = app.register("ada").sign_in();
    let (id, options) = begin(&app, &ada);
    let made = Authenticator::with(KeyPair::ed25519()).register(&options);
    assert_refused(&confirm(&app, &ada, id, &made));
    assert_eq!(app.database().count("passkeys"), 0);
    let reason = "\"reason\":\"algorithm\"";
    assert_eq!(count_events(&app, "factor.add", reason), 1);
}

fn other_ceremonies_add_no_passkey(backend: Backend) {
    type Change = fn(&mut Authenticator);
    let (builder, clock) = builder(backend, "first");
    let app = builder.start();
    let ada = app.register("ada").sign_in();
    let changes: [(&str, Change); 7] = [
        ("origin", |key| {
            key.origin = "https://evil.example".to_owned()
        }),
        ("port", |key| {
            key.origin = "https://auth.example:8443".to_owned()
        }),
        ("subdomain", |key| {
            key.origin = "https://a.auth.example".to_owned()
        }),
        ("domain", |key| key.rp_id = "evil.example".to_owned()),
        ("frame", |key| key.is_cross_origin = true),
        ("verification", |key| key.flags &= !USER_VERIFIED),
        ("backup", |key| key.flags |= BACKED_UP),
    ];
    for (what, change) in changes {
        let (id, options) = begin(&app, &ada);
        let mut key = Authenticator::new();
        change(&mut key);
        let refused = confirm(&app, &ada, id, &key.register(&options));
        assert!(refused.status == 400, "{what}: {refused:?}");
        // What was asked counts once, whatever the answer was.
        let (_, right) = Authenticator::make(&options);
        assert_refused(&confirm(&app, &ada, id, &right));
        forget(&app, &ada, id);
    }
    // A challenge that is too old, one of another factor, and one of another user.
    let (id, options) = begin(&app, &ada);
    expire(&clock);
    let (_, late) = Authenticator::make(&options);
    assert_refused(&confirm(&app, &ada, id, &late));
    let (first, options) = begin(&app, &ada);
    let (second, _) = begin(&app, &ada);
    let (_, other) = Authenticator::make(&options);
    assert_refused(&confirm(&app, &ada, second, &other));
    let bob = app.register("bob").sign_in();
    assert_eq!(confirm(&app, &bob, first, &other).status, 404);
    for malformed in [json!({}), json!({ "id": 1 })] {
        let (id, _) = begin(&app, &ada);
        assert_refused(&confirm(&app, &ada, id, &malformed));
        forget(&app, &ada, id);
        let (id, _) = begin(&app, &ada);
        let path = format!("/users/me/factors/{id}/confirm");
        for no_object in [json!("{}"), json!([malformed]), json!(null)] {
            let body = json!({ "credential": no_object });
            let refused = app.post(&path).bearer(&ada).json(&body).send();
            assert_eq!(refused.status, 422, "{refused:?}");
        }
    }
    assert_eq!(app.database().count("passkeys"), 0);
    // A key that is in a password manager is one.
    let (id, options) = begin(&app, &ada);
    let mut key = Authenticator::new();
    key.flags |= BACKUP_ELIGIBLE | BACKED_UP;
    let confirmed = confirm(&app, &ada, id, &key.register(&options));
    assert_eq!(confirmed.status, 200, "{confirmed:?}");
}

fn passkeys_of_an_account_do_not_name_the_next(backend: Backend) {
    let (builder, _clock) = builder(backend, "first");
    let app = builder.start();
    let mut ada = enrol(&app, "ada");
    let first = ada.key.handle.clone();
    let delete = app.request("DELETE", "/users/me").bearer(&ada.token);
    let body = json!({ "current_password": ada.person.password });
    let deleted = delete.json(&body).send();
    assert_eq!(deleted.status, 204, "{deleted:?}");
    assert_eq!(app.database().count("user_handles"), 0);
    let (challenge_id, options) = super::ask(&app);
    let refused = sign_in(&app, &challenge_id, &ada.key.sign(&options));
    assert_eq!(assert_refused(&refused)["unknown_credential"], true);
    let again = enrol(&app, "ada");
    assert_ne!(again.key.handle, first);
}

fn passkeys_are_off_by_default(backend: Backend) {
    let (builder, _clock) = without_passkeys(backend);
    let app = builder.start();
    let ada = app.register("ada").sign_in();
    let begun = app.post("/users/me/factors").bearer(&ada);
    let refused = begun.json(&json!({ "kind": "webauthn" })).send();
    assert_eq!(refused.status, 409, "{refused:?}");
    for (path, body) in [
        ("/passkeys/options", json!({})),
        ("/mfa/webauthn/options", json!({ "mfa_token": "x" })),
    ] {
        assert_eq!(app.post(path).json(&body).send().status, 409, "{path}");
    }
    assert_eq!(app.get("/.well-known/webauthn").send().status, 404);
    assert_eq!(sign_in(&app, "x", &json!({})).status, 409);
}

fn passkey_needs_the_factor_before_it(backend: Backend) {
    let (builder, clock) = builder(backend, "second");
    let app = builder.start();
    let ada = enrol_app(&app, &clock, "ada");
    let (id, options) = begin(&app, &ada.token);
    let (_, credential) = Authenticator::make(&options);
    let confirmed = confirm(&app, &ada.token, id, &credential);
    assert_eq!(confirmed.status, 200, "{confirmed:?}");
    // Only the first factor comes with recovery codes.
    assert_eq!(confirmed.json(), json!({ "id": id }));
    let asked = crate::factors::app::password(&app, &ada.person);
    let methods = &asked.json()["methods"];
    assert_eq!(methods, &json!(["totp", "webauthn", "recovery_code"]));
}

fn doctor_names_passkeys_of_another_domain(backend: Backend) {
    let (builder, _clock) = builder(backend, "second");
    let app = builder.start();
    enrol(&app, "ada");
    let report = |settings: &[(&str, &str)]| {
        let mut command = app.program(&["doctor"]);
        let output = command.envs(settings.iter().copied()).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(
        report(&[]).contains("passkeys\t1 for auth.example"),
        "{}",
        report(&[])
    );
    let moved = report(&[("TOKENHOUSE_PUBLIC_URL", "https://login.example")]);
    assert!(
        moved.contains("passkeys\t1 of 1 are made for another domain"),
        "{moved}"
    );
}
