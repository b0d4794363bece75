//! Trusted devices: sign-ins there need the password only, for a fixed time.

use chrono::TimeDelta;
use serde_json::{Value, json};
use tokenhouse::{Auth, Clock};

use super::app::{
    Enrolled, access_token, begin, builder, confirm, enrol, mfa_token, password, password_with,
    with_settings,
};
use crate::harness::{
    Backend, Response, STATIC_KEY, TestApp, on_both_databases, runtime, send, text,
};
use crate::pages::browser::{Browser, hidden, location};

on_both_databases!(
    trusted_device_needs_the_password_only,
    every_change_of_what_a_sign_in_needs_ends_the_trust,
    scopes_that_need_a_factor_are_never_trusted,
    devices_of_a_user_are_limited_and_pruned,
    page_trusts_the_browser_and_forgets_it,
    operator_lists_and_forgets_devices,
);

/// The second step, after which the device is trusted. Returns its secret.
fn trust(app: &TestApp, clock: &Clock, user: &Enrolled, device: &str) -> String {
    let waiting = mfa_token(&password_with(
        app,
        &user.person,
        &[("device_name", device)],
    ));
    let remembered = remember(app, &waiting, &user.app.code(clock.now().and_utc()), "true");
    clock.advance(TimeDelta::seconds(30));
    text(&remembered.json()["device_token"])
}

fn remember(app: &TestApp, mfa_token: &str, code: &str, remember_device: &str) -> Response {
    let form = [
        ("grant_type", "urn:tokenhouse:grant-type:mfa-otp"),
        ("mfa_token", mfa_token),
        ("otp", code),
        ("remember_device", remember_device),
    ];
    app.post("/token").form(&form).send()
}

/// A sign-in with the password on a device.
fn on_device(app: &TestApp, user: &Enrolled, device: &str) -> Response {
    password_with(app, &user.person, &[("device_token", device)])
}

fn devices(app: &TestApp, token: &str) -> Vec<Value> {
    let listed = app.get("/users/me/devices").bearer(token).send();
    assert_eq!(listed.status, 200, "{listed:?}");
    listed.json()["devices"].as_array().unwrap().clone()
}

fn trusted_device_needs_the_password_only(backend: Backend) {
    let (builder, clock) = builder(backend);
    let app = builder.start();
    let other = with_settings(app.sibling()).clock(clock.clone()).start();
    let ada = enrol(&app, &clock, "ada");
    let waiting = mfa_token(&password(&app, &ada.person));
    let code = ada.app.code(clock.now().and_utc());
    // A malformed field costs no try, and the code is not used.
    assert_eq!(remember(&app, &waiting, &code, "perhaps").status, 422);
    let plain = remember(&app, &waiting, &code, "false");
    access_token(&plain);
    assert_eq!(plain.json().get("device_token"), None);
    clock.advance(TimeDelta::seconds(30));

    let device = trust(&app, &clock, &ada, "<Tablet>");
    assert!(device.starts_with("tkd_") && device.len() == 47, "{device}");
    let begun = clock.now();
    let token = access_token(&on_device(&other, &ada, &device));
    let introspected = app
        .post("/introspect")
        .bearer(STATIC_KEY)
        .form(&[("token", &token)])
        .send()
        .json();
    // No factor was shown.
    assert_eq!(introspected["amr"], json!(["pwd"]), "{introspected}");
    assert_eq!(introspected.get("acr"), None);
    let listed = devices(&app, &token);
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0]["name"], "<Tablet>");
    assert!(listed[0]["last_used_at"].is_string(), "{listed:?}");
    let login = "audit_events WHERE action = 'login' AND detail LIKE '%\"device\":%'";
    assert_eq!(app.database().count(login), 1);
    // It opens nothing by itself, and nothing of another user.
    assert_eq!(app.status("/users/me", &device), 401);
    let wrong = [
        ("username", &*ada.person.email),
        ("password", "wrong"),
        ("device_token", &device),
    ];
    assert_eq!(app.post("/token").form(&wrong).send().status, 401);
    let bob = enrol(&app, &clock, "bob");
    mfa_token(&on_device(&app, &bob, &device));
    for malformed in ["tkd_", &device[4..], &format!("{device}A")] {
        mfa_token(&on_device(&app, &ada, malformed));
    }
    // The factors are changed with a code, as ever.
    let path = format!("/users/me/factors/{}", ada.factor);
    assert_eq!(send(&app, "DELETE", &path, &token, &json!({})).status, 401);
    // The time is fixed, however often it is used.
    clock.set(
        (begun + TimeDelta::days(30) - TimeDelta::seconds(31)).and_utc(),
        false,
    );
    access_token(&on_device(&app, &ada, &device));
    clock.advance(TimeDelta::seconds(2));
    mfa_token(&on_device(&app, &ada, &device));
    // Not where no device is trusted.
    let off = with_settings(app.sibling()).setting("TOKENHOUSE_DEVICE_LIFETIME", "0");
    let off = off.clock(clock.clone()).start();
    let device = trust(&app, &clock, &ada, "");
    mfa_token(&on_device(&off, &ada, &device));
    let waiting = mfa_token(&password(&off, &ada.person));
    let signed_in = remember(&off, &waiting, &ada.app.code(clock.now().and_utc()), "true");
    access_token(&signed_in);
    assert_eq!(signed_in.json().get("device_token"), None);
}

fn every_change_of_what_a_sign_in_needs_ends_the_trust(backend: Backend) {
    let (builder, clock) = builder(backend);
    let app = builder
        .setting("TOKENHOUSE_PUBLIC_URL", "https://auth.example.com")
        .start();
    let other = with_settings(app.sibling()).clock(clock.clone()).start();
    type Change = fn(&TestApp, &Clock, &Enrolled, &str);
    let changes: [(&str, Change); 9] = [
        ("password", |app, _, ada, token| {
            let body = json!({
                "current_password": ada.person.password,
                "new_password": ada.person.password,
            });
            let changed = send(app, "POST", "/users/me/password", token, &body);
            assert_eq!(changed.status, 204, "{changed:?}");
        }),
        ("reset", |app, _, ada, _| {
            let (_, printed) = app.run(&["user", "reset-link", &ada.person.email]);
            let (_, link) = printed.trim().split_once("?t=").unwrap();
            let body = json!({ "token": link, "password": ada.person.password });
            assert_eq!(app.post("/reset-password").json(&body).send().status, 200);
        }),
        ("new factor", |app, clock, _, token| {
            let (id, authenticator) = begin(app, token);
            let code = authenticator.code(clock.now().and_utc());
            assert_eq!(confirm(app, token, id, &code).status, 200);
        }),
        ("removed factor", |app, clock, ada, token| {
            let (id, authenticator) = begin(app, token);
            let code = authenticator.code(clock.now().and_utc());
            assert_eq!(confirm(app, token, id, &code).status, 200);
            clock.advance(TimeDelta::seconds(30));
            let device = trust(app, clock, ada, "");
            access_token(&on_device(app, ada, &device));
            let path = format!("/users/me/factors/{id}");
            assert_eq!(send(app, "DELETE", &path, token, &json!({})).status, 204);
            mfa_token(&on_device(app, ada, &device));
        }),
        ("end of all sessions", |app, _, _, token| {
            let ended = app.request("DELETE", "/users/me/sessions").bearer(token);
            assert_eq!(ended.send().status, 204);
        }),
        ("end of the others", |app, _, _, token| {
            let path = "/users/me/sessions?keep=current";
            let ended = app.request("DELETE", path).bearer(token);
            assert_eq!(ended.send().status, 204);
        }),
        ("sign-out everywhere", |app, _, _, token| {
            let ended = app.post("/logout?all=true").bearer(token);
            assert_eq!(ended.send().status, 204);
        }),
        ("operator", |app, _, ada, _| {
            let (code, printed) = app.run(&["user", "sign-out", &ada.person.email, "--yes"]);
            assert_eq!(code, Some(0), "{printed}");
        }),
        ("device", |app, _, _, token| {
            let id = devices(app, token)[0]["id"].as_i64().unwrap();
            let path = format!("/users/me/devices/{id}");
            assert_eq!(
                app.request("DELETE", &path).bearer(token).send().status,
                204
            );
            assert_eq!(
                app.request("DELETE", &path).bearer(token).send().status,
                404
            );
        }),
    ];
    for (n, (what, change)) in changes.into_iter().enumerate() {
        let ada = enrol(&app, &clock, &format!("ada{n}"));
        let device = trust(&app, &clock, &ada, "");
        access_token(&on_device(&other, &ada, &device));
        change(&app, &clock, &ada, &ada.token);
        let asked = on_device(&other, &ada, &device);
        assert_eq!(asked.status, 403, "{what}: {asked:?}");
        mfa_token(&asked);
    }
    // An administrator's reset leaves no factor to ask for, and the device of a later one counts.
    let bob = enrol(&app, &clock, "bob");
    let device = trust(&app, &clock, &bob, "");
    let (code, printed) = app.run(&["user", "reset-factors", &bob.person.email]);
    assert_eq!(code, Some(0), "{printed}");
    let again = super::app::enrol_as(&app, &clock, bob.person);
    mfa_token(&on_device(&other, &again, &device));
    // All of a user at once; those of another user stay.
    let eve = enrol(&app, &clock, "eve");
    let secrets = [(); 2].map(|()| trust(&app, &clock, &eve, ""));
    let kept = trust(&app, &clock, &again, "");
    let ended = app
        .request("DELETE", "/users/me/devices")
        .bearer(&eve.token);
    assert_eq!(ended.send().status, 204);
    for device in &secrets {
        mfa_token(&on_device(&app, &eve, device));
    }
    access_token(&on_device(&app, &again, &kept));
}

fn operator_lists_and_forgets_devices(backend: Backend) {
    let (builder, clock) = builder(backend);
    let app = builder.start();
    let ada = enrol(&app, &clock, "ada");
    let devices = [(); 3].map(|()| trust(&app, &clock, &ada, ""));
    let email = ada.person.email.as_str();
    let (code, listed) = app.run(&["device", "list", email]);
    assert_eq!((code, listed.lines().count()), (Some(0), 3), "{listed}");
    let newest = listed.split('\t').next().unwrap();
    let (code, printed) = app.run(&["device", "end", email, newest]);
    assert_eq!(code, Some(0), "{printed}");
    mfa_token(&on_device(&app, &ada, &devices[2]));
    access_token(&on_device(&app, &ada, &devices[1]));
    let (code, printed) = app.run(&["device", "end", email, newest]);
    assert_eq!(code, Some(1), "{printed}");
    let (code, printed) = app.run(&["device", "end", email, "--all", "--yes"]);
    assert_eq!(code, Some(0), "{printed}");
    for device in &devices {
        mfa_token(&on_device(&app, &ada, device));
    }
    // Sessions stay.
    assert_eq!(app.status("/users/me", &ada.token), 200);
    let events = "audit_events WHERE action = 'device.end' AND actor LIKE 'operator%'";
    assert_eq!(app.database().count(events), 2);
}

fn scopes_that_need_a_factor_are_never_trusted(backend: Backend) {
    let (builder, clock) = builder(backend);
    let builder = builder.setting("TOKENHOUSE_MFA_SCOPES", "users:read");
    let app = builder.start();
    let ada = enrol(&app, &clock, "ada");
    app.set_scopes(&ada.person, "users:read orders:read");
    let device = trust(&app, &clock, &ada, "");
    mfa_token(&on_device(&app, &ada, &device));
    let narrow = [("device_token", &*device), ("scope", "orders:read")];
    let token = password_with(&app, &ada.person, &narrow);
    access_token(&token);
    assert_eq!(token.json()["scope"], "orders:read");
    let wide = [("device_token", &*device), ("scope", "users:read")];
    mfa_token(&password_with(&app, &ada.person, &wide));
}

fn devices_of_a_user_are_limited_and_pruned(backend: Backend) {
    let (builder, clock) = builder(backend);
    let app = builder.start();
    let ada = enrol(&app, &clock, "ada");
    let first = trust(&app, &clock, &ada, "");
    let later = [(); 20].map(|()| trust(&app, &clock, &ada, ""));
    let token = access_token(&on_device(&app, &ada, &later[0]));
    let listed = devices(&app, &token);
    assert_eq!(listed.len(), 20);
    mfa_token(&on_device(&app, &ada, &first));
    let oldest = listed.last().unwrap()["id"].as_i64().unwrap();
    app.database().execute(&format!(
        "UPDATE trusted_devices SET expires_at = '2020-01-01 00:00:00' WHERE id > {oldest}"
    ));
    let auth = Auth::open(&app.config()).unwrap();
    runtime().block_on(auth.prune_factors()).unwrap();
    assert_eq!(app.database().count("trusted_devices"), 1);
}

fn page_trusts_the_browser_and_forgets_it(backend: Backend) {
    let (builder, clock) = builder(backend);
    let app = builder.start();
    let ada = enrol(&app, &clock, "ada");
    let mut browser =
        Browser::new(&app).with("User-Agent", "Mozilla/5.0 (X11; Linux) Firefox/140.0");
    let enter = |browser: &mut Browser, remember: &str| {
        let asked = browser.sign_in(&ada.person);
        assert_eq!(asked.status, 200, "{asked:?}");
        assert!(asked.text().contains("No code for 30 days."), "{asked:?}");
        let token = hidden(asked.text(), "mfa_token").unwrap();
        let wrong = [
            ("mfa_token", &*token),
            ("code", "12"),
            ("remember", remember),
        ];
        let refused = browser.post("/signin/factor", &wrong);
        let is_checked = refused.text().contains(r#"value="yes" checked"#);
        assert_eq!((refused.status, is_checked), (422, remember == "yes"));
        let code = ada.app.code(clock.now().and_utc());
        let right = [
            ("mfa_token", &*token),
            ("code", &code),
            ("remember", remember),
        ];
        let arrived = browser.post("/signin/factor", &right);
        location(&arrived);
        clock.advance(TimeDelta::seconds(30));
        arrived
    };
    let leave = |browser: &mut Browser| {
        location(&browser.submit("/account", "/signout", &[]));
    };
    enter(&mut browser, "no");
    assert!(browser.cookie("tokenhouse-device").is_none());
    leave(&mut browser);
    let arrived = enter(&mut browser, "yes");
    let cookies: Vec<&String> = arrived
        .headers
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"))
        .map(|(_, value)| value)
        .collect();
    assert_eq!(cookies.len(), 2, "{arrived:?}");
    let device = cookies.iter().find(|value| value.contains("-device=tkd_"));
    for attribute in ["HttpOnly", "SameSite=Lax", "Max-Age=2592000", "Path=/"] {
        assert!(device.unwrap().contains(attribute), "{device:?}");
    }
    leave(&mut browser);
    // Signed in at once, also with another browser's session gone.
    location(&browser.sign_in(&ada.person));
    assert!(browser.is_signed_in());
    let page = browser.page("/account/factors");
    assert!(
        page.contains("Trusted devices") && page.contains("Firefox"),
        "{page}"
    );
    let (_, rest) = page.split_once("/account/devices/").unwrap();
    let path = format!("/account/devices/{}", rest.split('"').next().unwrap());
    for _press in 0..2 {
        let forgotten = browser.submit("/account/factors", &path, &[]);
        assert_eq!(location(&forgotten), "/account/factors?forgotten");
    }
    leave(&mut browser);
    assert_eq!(browser.sign_in(&ada.person).status, 200);
}
