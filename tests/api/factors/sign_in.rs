//! Sign-ins in two steps.

use chrono::TimeDelta;
use serde_json::json;

use super::app::{
    access_token, assert_wrong, builder, enrol, mfa_token, otp, password, password_with,
    second_step,
};
use crate::harness::{Backend, TestApp, on_both_databases, text};
use crate::pages::browser::{Browser, location};

on_both_databases!(
    sign_in_asks_for_the_code,
    code_may_come_with_the_password,
    code_may_be_appended_to_the_password,
    waiting_sign_in_ends_with_its_reason,
    page_asks_for_the_code,
    switched_off_factors_are_not_asked_for,
    lost_key_leaves_recovery_codes,
    clock_that_was_ahead_locks_nobody_out,
);

fn sign_in_asks_for_the_code(backend: Backend) {
    let (builder, clock) = builder(backend);
    let app = builder.start();
    let ada = enrol(&app, &clock, "ada");
    let wrong = [("username", &*ada.person.email), ("password", "wrong")];
    assert_eq!(app.post("/token").form(&wrong).send().status, 401);
    let asked = password_with(&app, &ada.person, &[("device_name", "Tablet")]);
    assert_eq!(asked.header("Cache-Control").as_deref(), Some("no-store"));
    let body = asked.json();
    assert_eq!(
        (&body["detail"], &body["expires_in"], &body["methods"]),
        (
            &json!("Second factor required"),
            &json!(300),
            &json!(["totp", "recovery_code"])
        )
    );
    let waiting = mfa_token(&asked);
    // It opens nothing else.
    assert_eq!(app.status("/users/me", &waiting), 401);
    for malformed in ["", "12345", "1234567", "abcdef"] {
        assert_eq!(otp(&app, &waiting, malformed).status, 422, "{malformed}");
    }
    let now = clock.now().and_utc();
    let early = ada.app.code(now - TimeDelta::seconds(90));
    assert_eq!(assert_wrong(&otp(&app, &waiting, &early))["tries_left"], 4);
    let code = ada.app.code(now + TimeDelta::seconds(20));
    let auth0 = "http://auth0.com/oauth/grant-type/mfa-otp";
    let token = access_token(&second_step(&app, auth0, &waiting, ("otp", &code)));
    let introspected = app
        .post("/introspect")
        .bearer(crate::harness::STATIC_KEY)
        .form(&[("token", &token)])
        .send()
        .json();
    assert_eq!(
        introspected["amr"],
        json!(["pwd", "otp", "mfa"]),
        "{introspected}"
    );
    let sessions = app.get("/users/me/sessions").bearer(&token).send().json();
    assert_eq!(sessions["sessions"][0]["name"], "Tablet");
    // Both are used up.
    let again = otp(&app, &waiting, &code);
    assert_eq!(
        (again.status, &again.json()["error"]),
        (400, &json!("invalid_grant"))
    );
    let other = mfa_token(&password(&app, &ada.person));
    assert_wrong(&otp(&app, &other, &code));
    let refused = app.database().count(
        "audit_events WHERE action = 'login' AND result = 'refused' \
         AND detail LIKE '%\"reason\":\"wrong-code\",\"seconds_away\":-90%'",
    );
    assert_eq!(refused, 1);
}

fn code_may_come_with_the_password(backend: Backend) {
    let (builder, clock) = builder(backend);
    let app = builder.start();
    let ada = enrol(&app, &clock, "ada");
    let code = ada.app.code(clock.now().and_utc());
    let at_once = |code: &str| password_with(&app, &ada.person, &[("otp", code)]);
    assert_eq!(at_once("12345").status, 422);
    let wrong = ada
        .app
        .code(clock.now().and_utc() + TimeDelta::seconds(600));
    assert_wrong(&at_once(&wrong));
    access_token(&at_once(&code));
    assert_wrong(&at_once(&code));
    // Without a second factor it is ignored.
    let bob = app.register("bob");
    access_token(&password_with(&app, &bob, &[("otp", "123456")]));
    // The wrong password tells nothing.
    let form = [
        ("username", &*ada.person.email),
        ("password", "wrong"),
        ("otp", &*code),
    ];
    assert_eq!(app.post("/token").form(&form).send().status, 401);
}

fn code_may_be_appended_to_the_password(backend: Backend) {
    let (builder, clock) = builder(backend);
    let app = builder
        .setting("TOKENHOUSE_OTP_IN_PASSWORD", "true")
        .start();
    let ada = enrol(&app, &clock, "ada");
    let sign_in = |email: &str, password: String| {
        let form = [("username", email), ("password", &*password)];
        app.post("/token").form(&form).send()
    };
    let code = ada.app.code(clock.now().and_utc());
    let both = format!("{}{code}", ada.person.password);
    access_token(&sign_in(&ada.person.email, both.clone()));
    assert_wrong(&sign_in(&ada.person.email, both));
    mfa_token(&password(&app, &ada.person));
    // Only the password of a user without a second factor may end in six digits.
    let bob = app.register("bob");
    assert_eq!(
        sign_in(&bob.email, format!("{}123456", bob.password)).status,
        401
    );
}

fn waiting_sign_in_ends_with_its_reason(backend: Backend) {
    let (builder, clock) = builder(backend);
    let app = builder.start();
    let ada = enrol(&app, &clock, "ada");
    let now = || clock.now().and_utc();
    let waiting = mfa_token(&password(&app, &ada.person));
    clock.advance(TimeDelta::minutes(5));
    assert_eq!(otp(&app, &waiting, &ada.app.code(now())).status, 400);
    let waiting = mfa_token(&password(&app, &ada.person));
    let body = json!({
        "current_password": ada.person.password,
        "new_password": "mulberry-Tram-71",
    });
    let changed = app.post("/users/me/password").bearer(&ada.token);
    assert_eq!(changed.json(&body).send().status, 204);
    assert_eq!(otp(&app, &waiting, &ada.app.code(now())).status, 400);
    for unknown in ["", "tkm_", &format!("tkm_{}", "A".repeat(43))] {
        let refused = otp(&app, unknown, "123456");
        assert!([400, 422].contains(&refused.status), "{refused:?}");
    }
}

fn page_asks_for_the_code(backend: Backend) {
    let (builder, clock) = builder(backend);
    let app = builder.start();
    let ada = enrol(&app, &clock, "ada");
    let mut browser = Browser::new(&app);
    let asked = browser.post(
        "/signin",
        &[
            ("email", &ada.person.email),
            ("password", &ada.person.password),
        ],
    );
    assert_eq!(asked.status, 200, "{asked:?}");
    assert!(asked.header("Set-Cookie").is_none(), "{asked:?}");
    let page = asked.text();
    let (_, rest) = page.split_once("name=\"mfa_token\" value=\"").unwrap();
    let waiting = rest.split_once('"').unwrap().0.to_owned();
    let send = |browser: &mut Browser, code: &str| {
        browser.post(
            "/signin/factor",
            &[("mfa_token", &*waiting), ("code", code)],
        )
    };
    assert_eq!(send(&mut browser, "12").status, 422);
    let wrong = ada
        .app
        .code(clock.now().and_utc() + TimeDelta::seconds(600));
    assert_eq!(send(&mut browser, &wrong).status, 422);
    // A sign-in on a page cannot be continued elsewhere.
    let code = ada.app.code(clock.now().and_utc());
    assert_eq!(otp(&app, &waiting, &code).status, 400);
    let arrived = send(&mut browser, &code);
    assert_eq!(location(&arrived), "/signin/continue?next=", "{arrived:?}");
    assert_eq!(browser.get("/account").status, 200);
    let over = send(&mut browser, &code);
    assert_eq!(over.status, 400);
    assert!(!over.text().contains("mfa_token"), "{over:?}");
}

fn switched_off_factors_are_not_asked_for(backend: Backend) {
    let (builder, clock) = builder(backend);
    let app = builder.start();
    let ada = enrol(&app, &clock, "ada");
    let off = app.sibling().setting("TOKENHOUSE_MFA", "off");
    let off = off.clock(clock.clone()).start();
    let token = access_token(&password(&off, &ada.person));
    let begun = off.post("/users/me/factors").bearer(&token);
    assert_eq!(begun.json(&json!({ "kind": "totp" })).send().status, 409);
    mfa_token(&password(&app, &ada.person));
    // Without a key none is offered.
    let without = TestApp::start(backend);
    let bob = without.register("bob").sign_in();
    let begun = without.post("/users/me/factors").bearer(&bob);
    let refused = begun.json(&json!({ "kind": "totp" })).send();
    assert_eq!(refused.status, 409);
    assert!(text(&refused.json()["detail"]).contains("TOKENHOUSE_SECRET_KEY"));
}

fn lost_key_leaves_recovery_codes(backend: Backend) {
    let (builder, clock) = builder(backend);
    let app = builder.start();
    let ada = enrol(&app, &clock, "ada");
    let other = "another key that seals, of 32 characters or more";
    let lost = app.sibling().setting("TOKENHOUSE_SECRET_KEY", other);
    let lost = lost.clock(clock.clone()).start();
    let waiting = mfa_token(&password(&lost, &ada.person));
    let code = ada.app.code(clock.now().and_utc());
    assert_wrong(&otp(&lost, &waiting, &code));
    let recovered = super::app::recovery_code(&lost, &waiting, &ada.recovery_codes[3]);
    access_token(&recovered);
    let rotated = app
        .sibling()
        .setting("TOKENHOUSE_SECRET_KEY", other)
        .setting("TOKENHOUSE_SECRET_KEY_PREVIOUS", super::app::SECRET_KEY);
    let rotated = rotated.clock(clock.clone()).start();
    access_token(&password_with(&rotated, &ada.person, &[("otp", &code)]));
    // Once the seeds are sealed with the new key, the old one is not needed.
    let run = |previous: &[(&str, &str)], arguments: &[&str]| {
        let mut command = app.program(arguments);
        command.env("TOKENHOUSE_SECRET_KEY", other);
        let output = command.envs(previous.iter().copied()).output().unwrap();
        let printed = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(printed).unwrap())
    };
    let (is_done, printed) = run(&[], &["keys", "rotate"]);
    assert!(
        !is_done && printed.contains("1 seed cannot be opened"),
        "{printed}"
    );
    assert!(
        run(&[], &["doctor"])
            .1
            .contains("is not the key that sealed")
    );
    let previous = [("TOKENHOUSE_SECRET_KEY_PREVIOUS", super::app::SECRET_KEY)];
    let (is_done, printed) = run(&previous, &["keys", "rotate"]);
    assert!(is_done && printed.contains("1 seed sealed"), "{printed}");
    assert!(run(&[], &["doctor"]).1.contains("the key opens them"));
    clock.advance(TimeDelta::seconds(30));
    let code = ada.app.code(clock.now().and_utc());
    access_token(&password_with(&lost, &ada.person, &[("otp", &code)]));
}

fn clock_that_was_ahead_locks_nobody_out(backend: Backend) {
    let (builder, clock) = builder(backend);
    let app = builder.start();
    let ada = enrol(&app, &clock, "ada");
    let sign_in = |code: &str| password_with(&app, &ada.person, &[("otp", code)]);
    let right = clock.now().and_utc();
    clock.advance(TimeDelta::minutes(7));
    access_token(&sign_in(&ada.app.code(right + TimeDelta::minutes(7))));
    // The time of the service does not go back; the apps have been right all the time.
    clock.set(right, false);
    let code = ada.app.code(right);
    access_token(&sign_in(&code));
    assert_wrong(&sign_in(&code));
}
