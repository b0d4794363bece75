//! Signed-in users show once more who they are: `POST /users/me/reauthenticate`.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::app::{access_token, assert_wrong, builder, enrol, enrol_as, password_with};
use crate::harness::{Backend, Response, STATIC_KEY, TestApp, on_both_databases, send, text};

on_both_databases!(
    password_renews_the_session,
    code_makes_a_session_one_with_two_factors,
    guesses_share_the_budgets_of_sign_ins,
    session_with_a_refresh_token_goes_on,
);

fn renew(app: &TestApp, token: &str, body: &Value) -> Response {
    send(app, "POST", "/users/me/reauthenticate", token, body)
}

fn introspect(app: &TestApp, token: &str) -> Value {
    let request = app.post("/introspect").bearer(STATIC_KEY);
    request.form(&[("token", token)]).send().json()
}

fn password_renews_the_session(backend: Backend) {
    let (builder, clock) = builder(backend);
    let app = builder.start();
    let ada = app.register_with("ada", "orders:read");
    let token = ada.sign_in();
    let before = introspect(&app, &token);
    clock.advance(TimeDelta::minutes(16));
    let key = json!({ "name": "k" });
    assert_eq!(
        send(&app, "POST", "/users/me/keys", &token, &key).status,
        403
    );
    for malformed in [
        json!({}),
        json!({ "password": 1 }),
        json!({ "otp": 123456 }),
        json!({ "otp": "12" }),
        json!({ "recovery_code": "123456" }),
        json!({ "otp": "123456", "recovery_code": "3-ABCDE-FGHJK" }),
        json!({ "password": ada.password, "current_password": ada.password }),
    ] {
        assert_eq!(renew(&app, &token, &malformed).status, 422, "{malformed}");
    }
    assert_eq!(
        renew(&app, &token, &json!({ "password": "wrong" })).status,
        403
    );
    assert_eq!(app.status("/users/me", &token), 200);

    let renewed = renew(&app, &token, &json!({ "password": ada.password }));
    assert_eq!(renewed.header("Cache-Control").as_deref(), Some("no-store"));
    let next = access_token(&renewed);
    let body = renewed.json();
    assert_eq!(
        (
            &body["token_type"],
            &body["scope"],
            body.get("refresh_token")
        ),
        (&json!("bearer"), &json!("orders:read"), None)
    );
    assert_eq!(app.status("/users/me", &token), 401);
    let after = introspect(&app, &next);
    let seconds = |of: &Value, name: &str| of[name].as_i64().unwrap();
    assert_eq!(
        seconds(&after, "auth_time"),
        seconds(&before, "auth_time") + 960
    );
    assert_eq!(
        (&after["exp"], &after["amr"]),
        (&before["exp"], &json!(["pwd"]))
    );
    // It is the same session, in which the operation is allowed now.
    assert_eq!(app.database().count("sessions"), 1);
    assert_eq!(
        send(&app, "POST", "/users/me/keys", &next, &key).status,
        201
    );
    let recorded = |result: &str| {
        let rows = format!("audit_events WHERE action = 'session.renew' AND result = '{result}'");
        app.database().count(&rows)
    };
    assert_eq!((recorded("ok"), recorded("refused")), (1, 1));
    // No key renews anything.
    let key = app.create_key(&next, "orders:read").secret;
    assert_eq!(
        renew(&app, &key, &json!({ "password": ada.password })).status,
        403
    );
}

fn code_makes_a_session_one_with_two_factors(backend: Backend) {
    let (builder, clock) = builder(backend);
    let app = builder.start();
    let person = app.register("ada");
    let earlier = person.sign_in();
    let ada = enrol_as(&app, &clock, person);
    let verify = |token: &str| {
        let request = app.get("/verify?acr=mfa&max_age=300").bearer(token);
        request.send().status
    };
    assert_eq!(verify(&earlier), 401);
    // A factor that the session has not shown cannot be removed in it.
    let path = format!("/users/me/factors/{}", ada.factor);
    let password = json!({ "current_password": ada.person.password });
    assert_eq!(send(&app, "DELETE", &path, &earlier, &password).status, 401);
    let now = || clock.now().and_utc();
    let wrong = ada.app.code(now() + TimeDelta::seconds(600));
    assert_wrong(&renew(&app, &earlier, &json!({ "otp": wrong })));
    let code = ada.app.code(now());
    let stepped_up = access_token(&renew(&app, &earlier, &json!({ "otp": code })));
    assert_eq!(
        introspect(&app, &stepped_up)["amr"],
        json!(["pwd", "otp", "mfa"])
    );
    assert_eq!((verify(&stepped_up), verify(&earlier)), (200, 401));
    // A code counts once, wherever it is used.
    assert_wrong(&renew(&app, &stepped_up, &json!({ "otp": code })));
    assert_wrong(&password_with(&app, &ada.person, &[("otp", &code)]));
    // Later, with both, and with a recovery code.
    clock.advance(TimeDelta::minutes(6));
    assert_eq!(verify(&stepped_up), 401);
    let both = json!({ "password": ada.person.password, "otp": ada.app.code(now()) });
    let stepped_up = access_token(&renew(&app, &stepped_up, &both));
    assert_eq!(verify(&stepped_up), 200);
    let recovery = json!({ "recovery_code": ada.recovery_codes[3] });
    let stepped_up = access_token(&renew(&app, &stepped_up, &recovery));
    assert_wrong(&renew(&app, &stepped_up, &recovery));
    assert_eq!(
        send(&app, "DELETE", &path, &stepped_up, &json!({})).status,
        204
    );
    // Without a factor no code is right.
    assert_wrong(&renew(&app, &stepped_up, &json!({ "otp": "123456" })));
}

fn guesses_share_the_budgets_of_sign_ins(backend: Backend) {
    let (builder, clock) = builder(backend);
    let app = builder.setting("TOKENHOUSE_LIMIT_ACCOUNT", "100").start();
    let ada = enrol(&app, &clock, "ada");
    let now = || clock.now().and_utc();
    for _ in 0..10 {
        let wrong = ada.app.code(now() + TimeDelta::seconds(600));
        assert_wrong(&renew(&app, &ada.token, &json!({ "otp": wrong })));
    }
    let code = ada.app.code(now());
    let refused = renew(&app, &ada.token, &json!({ "otp": code }));
    assert_eq!(refused.status, 429, "{refused:?}");
    assert!(refused.header("Retry-After").is_some());
    let at_sign_in = password_with(&app, &ada.person, &[("otp", &code)]);
    assert_eq!(at_sign_in.status, 429, "{at_sign_in:?}");
    clock.advance(TimeDelta::minutes(1));
    let code = ada.app.code(now());
    access_token(&renew(&app, &ada.token, &json!({ "otp": code })));
}

fn session_with_a_refresh_token_goes_on(backend: Backend) {
    let (builder, clock) = builder(backend);
    let app = builder.start();
    let ada = app.register("ada");
    let signed_in = password_with(&app, &ada, &[("scope", "offline_access")]).json();
    let refresh = |token: &Value| {
        let form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", token.as_str().unwrap()),
        ];
        let refreshed = app.post("/token").form(&form).send();
        assert_eq!(refreshed.status, 200, "{refreshed:?}");
        refreshed.json()
    };
    let first = text(&signed_in["access_token"]);
    let second = refresh(&signed_in["refresh_token"]);
    assert_eq!(app.status("/users/me", &first), 200);
    clock.advance(TimeDelta::minutes(10));
    let body = json!({ "password": ada.password });
    let renewed = renew(&app, &text(&second["access_token"]), &body);
    let next = access_token(&renewed);
    // Every earlier login token has ended; the refresh token goes on, with the new time.
    for ended in [&first, &text(&second["access_token"])] {
        assert_eq!(app.status("/users/me", ended), 401);
    }
    assert_eq!(app.status("/users/me", &next), 200);
    let auth_time = introspect(&app, &next)["auth_time"].clone();
    let third = refresh(&second["refresh_token"]);
    let third = introspect(&app, &text(&third["access_token"]));
    assert_eq!(
        (&third["active"], &third["auth_time"]),
        (&json!(true), &auth_time)
    );
}
