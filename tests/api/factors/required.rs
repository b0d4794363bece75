//! `TOKENHOUSE_MFA=required`: a user without a second factor adds one before the session begins.

use chrono::TimeDelta;
use serde_json::json;
use tokenhouse::Clock;

use super::app::{
    Authenticator, access_token, assert_wrong, begin, builder, confirm, enrol, mfa_token, otp,
    password, password_with, with_settings,
};
use crate::harness::{
    Backend, Person, Response, STATIC_KEY, TestApp, concurrently, on_both_databases, send, text,
};
use crate::pages::browser::{Browser, hidden, location};

on_both_databases!(
    user_without_a_factor_adds_one_and_is_signed_in,
    enrolment_ends_with_its_reason,
    one_of_several_enrolments_counts,
    page_leads_through_the_enrolment,
    sign_up_leads_through_the_enrolment,
);

/// A server that requires a second factor.
fn start(backend: Backend) -> (TestApp, Clock) {
    let (builder, clock) = builder(backend);
    (builder.setting("TOKENHOUSE_MFA", "required").start(), clock)
}

/// The token with which a user enrols.
fn enrolment_token(response: &Response) -> String {
    assert_eq!(response.status, 403, "{response:?}");
    let body = response.json();
    assert_eq!(body["error"], "mfa_enrollment_required", "{body}");
    text(&body["mfa_token"])
}

/// The last step of the sign-in.
fn finish(app: &TestApp, mfa_token: &str) -> Response {
    let grant = "urn:tokenhouse:grant-type:mfa-enrollment";
    let form = [("grant_type", grant), ("mfa_token", mfa_token)];
    app.post("/token").form(&form).send()
}

#[track_caller]
fn assert_over(response: &Response) {
    let body = response.json();
    assert_eq!(
        (response.status, &body["error"]),
        (400, &json!("invalid_grant")),
        "{body}"
    );
}

fn user_without_a_factor_adds_one_and_is_signed_in(backend: Backend) {
    let (app, clock) = start(backend);
    let ada = app.register("ada");
    let form = [("username", &*ada.email), ("password", "wrong")];
    assert_eq!(app.post("/token").form(&form).send().status, 401);
    // A code does not help a user who has no app.
    for more in [&[("device_name", "Tablet")][..], &[("otp", "123456")]] {
        enrolment_token(&password_with(&app, &ada, more));
    }
    let asked = password_with(&app, &ada, &[("device_name", "Tablet")]);
    assert_eq!(asked.header("Cache-Control").as_deref(), Some("no-store"));
    let body = asked.json();
    assert_eq!(
        (&body["expires_in"], &body["methods"]),
        (&json!(600), &json!(["totp"]))
    );
    let waiting = enrolment_token(&asked);
    // It adds a factor, and does nothing else.
    for (method, path) in [
        ("GET", "/users/me"),
        ("GET", "/users/me/factors"),
        ("DELETE", "/users/me/factors/1"),
        ("POST", "/users/me/recovery-codes"),
        ("POST", "/users/me/keys"),
        ("POST", "/logout"),
    ] {
        let refused = send(&app, method, path, &waiting, &json!({ "name": "k" }));
        assert_eq!(refused.status, 401, "{method} {path}: {refused:?}");
    }
    for refused in [finish(&app, &waiting), otp(&app, &waiting, "123456")] {
        assert_over(&refused);
    }

    let (id, authenticator) = begin(&app, &waiting);
    let code = authenticator.code(clock.now().and_utc());
    assert_wrong(&confirm(&app, &waiting, id, "000000"));
    assert_over(&finish(&app, &waiting));
    let confirmed = confirm(&app, &waiting, id, &code);
    assert_eq!(confirmed.status, 200, "{confirmed:?}");
    let codes = confirmed.json()["recovery_codes"].clone();
    assert_eq!(codes.as_array().unwrap().len(), 10);
    assert_eq!(confirm(&app, &waiting, id, &code).status, 401);

    let signed_in = finish(&app, &waiting);
    let token = access_token(&signed_in);
    assert_over(&finish(&app, &waiting));
    let sessions = app.get("/users/me/sessions").bearer(&token).send().json();
    assert_eq!(sessions["sessions"][0]["name"], "Tablet", "{sessions}");
    let introspect = app.post("/introspect").bearer(STATIC_KEY);
    let introspected = introspect.form(&[("token", &token)]).send().json();
    assert_eq!(introspected["amr"], json!(["pwd", "otp", "mfa"]));
    // The next sign-in asks for a code, in two steps or in one; API keys go on without.
    clock.advance(TimeDelta::seconds(30));
    mfa_token(&password(&app, &ada));
    let code = authenticator.code(clock.now().and_utc());
    access_token(&password_with(&app, &ada, &[("otp", &code)]));
    let key = app.create_key(&token, "").secret;
    assert_eq!(app.status("/users/me", &key), 200);
    let added = "audit_events WHERE action = 'factor.add' AND result = 'ok' \
                 AND credential = 'password'";
    assert_eq!(app.database().count(added), 1);
}

fn enrolment_ends_with_its_reason(backend: Backend) {
    let (app, clock) = start(backend);
    let optional = with_settings(app.sibling()).clock(clock.clone()).start();
    let begun = |token: &str| {
        let request = app.post("/users/me/factors").bearer(token);
        request.json(&json!({ "kind": "totp" })).send().status
    };
    let ada = app.register("ada");
    let waiting = enrolment_token(&password(&app, &ada));
    clock.advance(TimeDelta::minutes(10));
    assert_eq!(begun(&waiting), 401);
    // With the password.
    let session = access_token(&password(&optional, &ada));
    let waiting = enrolment_token(&password(&app, &ada));
    let (id, authenticator) = begin(&app, &waiting);
    let body = json!({
        "current_password": ada.password,
        "new_password": "mulberry-Tram-71",
    });
    let changed = send(&app, "POST", "/users/me/password", &session, &body);
    assert_eq!(changed.status, 204, "{changed:?}");
    let code = authenticator.code(clock.now().and_utc());
    assert_eq!(confirm(&app, &waiting, id, &code).status, 401);
    // Of a disabled user.
    let bob = app.register("bob");
    let waiting = enrolment_token(&password(&app, &bob));
    app.database()
        .execute("UPDATE users SET disabled_at = created_at WHERE email = 'bob@example.com'");
    assert_eq!(begun(&waiting), 401);
    // A sign-in that waits for a code adds no factor.
    let eve = enrol(&optional, &clock, "eve");
    let waiting = mfa_token(&password(&app, &eve.person));
    assert_eq!(begun(&waiting), 401);
    assert_eq!(begun(&format!("tkm_{}", "A".repeat(43))), 401);
    // Nor does one of a page, at the API.
    let carol = app.register("carol");
    let page = Browser::new(&app).sign_in(&carol);
    let waiting = hidden(page.text(), "mfa_token").unwrap();
    assert_eq!(begun(&waiting), 401);
}

fn one_of_several_enrolments_counts(backend: Backend) {
    let (first, clock) = start(backend);
    let second = with_settings(first.sibling())
        .setting("TOKENHOUSE_MFA", "required")
        .clock(clock.clone())
        .start();
    let apps = [&first, &second];
    let ada = first.register("ada");
    let waiting: Vec<(String, i64, Authenticator)> = (0..4)
        .map(|_| {
            let token = enrolment_token(&password(&first, &ada));
            let (id, authenticator) = begin(&first, &token);
            (token, id, authenticator)
        })
        .collect();
    let code = |n: usize| waiting[n].2.code(clock.now().and_utc());
    let statuses = concurrently(4, 4, |n| {
        let (token, id, _) = &waiting[n];
        (n, confirm(apps[n % 2], token, *id, &code(n)).status)
    });
    let won: Vec<usize> = statuses
        .iter()
        .filter(|(_, status)| *status == 200)
        .map(|(n, _)| *n)
        .collect();
    assert_eq!(won.len(), 1, "{statuses:?}");
    let won = won[0];
    // Only that sign-in goes on, and only once.
    for (n, (token, ..)) in waiting.iter().enumerate().filter(|(n, _)| *n != won) {
        assert_over(&finish(apps[n % 2], token));
    }
    let statuses = concurrently(4, 4, |n| finish(apps[n % 2], &waiting[won].0).status);
    let count = statuses.iter().filter(|status| **status == 200).count();
    assert_eq!(count, 1, "{statuses:?}");
}

/// Sends the form of a page that asks for the first code of an app.
fn send_code(browser: &mut Browser, page: &str, code: &str) -> Response {
    let names = ["mfa_token", "factor", "secret", "next"];
    let values = names.map(|name| hidden(page, name).unwrap_or_default());
    let mut fields: Vec<(&str, &str)> = names
        .into_iter()
        .zip(values.iter().map(String::as_str))
        .collect();
    fields.push(("otp", code));
    browser.post("/signin/enrol", &fields)
}

/// Confirms the app of a page, and follows it to the account.
fn complete(app: &TestApp, clock: &Clock, browser: &mut Browser, page: &str) {
    let authenticator = Authenticator::scan(&hidden(page, "secret").unwrap());
    for typed in ["12", "000000"] {
        // The picture stays, so that it need not be scanned again.
        let refused = send_code(browser, page, typed);
        assert_eq!(refused.status, 422, "{refused:?}");
        assert!(refused.text().contains("<svg ") && refused.header("Set-Cookie").is_none());
        assert_eq!(hidden(refused.text(), "secret"), hidden(page, "secret"));
    }
    let code = authenticator.code(clock.now().and_utc());
    // The sign-in cannot be finished elsewhere.
    let token = hidden(page, "mfa_token").unwrap();
    assert_over(&finish(app, &token));
    let arrived = send_code(browser, page, &code);
    assert_eq!(arrived.status, 200, "{arrived:?}");
    assert_eq!(arrived.text().matches("<li><code>").count(), 10);
    assert!(arrived.text().contains("/signin/continue?next="));
    assert_eq!(arrived.header("Cache-Control").as_deref(), Some("no-store"));
    assert!(browser.is_signed_in());
    let over = send_code(browser, page, &code);
    assert_eq!(over.status, 400, "{over:?}");
    assert!(!over.text().contains("mfa_token"), "{over:?}");
}

fn page_leads_through_the_enrolment(backend: Backend) {
    let (app, clock) = start(backend);
    let ada: Person = app.register("ada");
    let mut browser = Browser::new(&app);
    let next = ("next", "/account/keys");
    let asked = browser.sign_in_with(&ada, &[next]);
    assert_eq!(asked.status, 200, "{asked:?}");
    assert!(asked.header("Set-Cookie").is_none(), "{asked:?}");
    let page = asked.text();
    assert!(page.contains("<svg ") && page.contains("otpauth://totp/"));
    assert_eq!(hidden(page, "next").as_deref(), Some("/account/keys"));
    complete(&app, &clock, &mut browser, page);
    // A step has no address of its own.
    let elsewhere = Browser::new(&app).get("/signin/enrol?lang=de");
    assert_eq!(location(&elsewhere), "/signin?lang=de");
    // The next sign-in asks for a code.
    let asked = Browser::new(&app).sign_in(&ada);
    assert!(asked.text().contains(r#"action="/signin/factor""#));
    let nothing = Browser::new(&app).post("/signin/enrol", &[("mfa_token", "tkm_x")]);
    assert_eq!(nothing.status, 400);
    assert!(!nothing.text().contains("tkm_x"), "{nothing:?}");
}

fn sign_up_leads_through_the_enrolment(backend: Backend) {
    let (app, clock) = start(backend);
    let mut browser = Browser::new(&app);
    let fields = [
        ("name", "Ada Example"),
        ("email", "ada@example.com"),
        ("password", "mulberry-Tram-71"),
    ];
    let asked = browser.post("/signup", &fields);
    assert_eq!(asked.status, 200, "{asked:?}");
    complete(&app, &clock, &mut browser, asked.text());
}
