//! Routes and scopes that need more than any sign-in (RFC 9470).

use chrono::TimeDelta;
use serde_json::json;

use super::app::{access_token, begin, builder, confirm, enrol, password_with};
use crate::harness::{Backend, Response, STATIC_KEY, TestApp, on_both_databases, send};

on_both_databases!(
    scopes_are_withheld_without_a_second_factor,
    proxy_requires_a_second_factor_and_a_recent_sign_in,
);

#[track_caller]
fn assert_challenge(response: &Response, expected: &str) {
    let challenge = response.header("WWW-Authenticate").unwrap_or_default();
    let error = r#"error="insufficient_user_authentication""#;
    let expected = format!(r#"Bearer realm="tokenhouse", {error}, {expected}"#);
    assert_eq!(
        (response.status, challenge),
        (401, expected),
        "{response:?}"
    );
}

fn introspect(app: &TestApp, token: &str) -> serde_json::Value {
    let request = app.post("/introspect").bearer(STATIC_KEY);
    request.form(&[("token", token)]).send().json()
}

fn scopes_are_withheld_without_a_second_factor(backend: Backend) {
    let (builder, clock) = builder(backend);
    let app = builder
        .setting("TOKENHOUSE_MFA_SCOPES", "users:read, users:write")
        .start();
    let admin = app.register_with("admin", "users:read users:write events:read");
    let (token, other) = (admin.sign_in(), admin.sign_in());
    // The client learns what it may do.
    assert_eq!(
        password_with(&app, &admin, &[]).json()["scope"],
        "events:read"
    );
    let get = |token: &str, path: &str| app.get(path).bearer(token).send();
    assert_challenge(&get(&token, "/admin/users"), r#"acr_values="mfa""#);
    assert_challenge(
        &get(&token, "/verify?scope=users:read"),
        r#"acr_values="mfa""#,
    );
    assert_eq!(get(&token, "/admin/events").status, 200);
    let introspected = introspect(&app, &token);
    assert_eq!(
        (&introspected["scope"], introspected.get("acr")),
        (&json!("events:read"), None)
    );
    // A key is no way round.
    let key = |scopes: &str| {
        let body = json!({ "name": "k", "scopes": scopes });
        send(&app, "POST", "/users/me/keys", &token, &body)
    };
    assert_challenge(&key("events:read users:read"), r#"acr_values="mfa""#);
    assert_eq!(key("events:read").status, 201);

    // The session that confirms a factor has them from then on, on every process, and no other.
    let (id, authenticator) = begin(&app, &token);
    let code = authenticator.code(clock.now().and_utc());
    assert_eq!(confirm(&app, &token, id, &code).status, 200);
    assert_eq!(get(&token, "/admin/users").status, 200);
    assert_eq!(key("users:read").status, 201);
    assert_challenge(&get(&other, "/admin/users"), r#"acr_values="mfa""#);
    clock.advance(TimeDelta::seconds(30));
    let code = authenticator.code(clock.now().and_utc());
    let signed_in = password_with(&app, &admin, &[("otp", &code)]);
    assert_eq!(
        signed_in.json()["scope"],
        "users:read users:write events:read"
    );
    let fresh = access_token(&signed_in);
    assert_eq!(get(&fresh, "/admin/users").status, 200);
    // They are gone with the factor.
    let path = format!("/users/me/factors/{id}");
    assert_eq!(send(&app, "DELETE", &path, &token, &json!({})).status, 204);
    assert_challenge(&get(&fresh, "/admin/users"), r#"acr_values="mfa""#);
    assert_challenge(&get(&token, "/admin/users"), r#"acr_values="mfa""#);
}

fn proxy_requires_a_second_factor_and_a_recent_sign_in(backend: Backend) {
    let (builder, clock) = builder(backend);
    let app = builder.start();
    let ada = enrol(&app, &clock, "ada");
    let bob = app.register("bob").sign_in();
    let verify = |token: &str, query: &str| {
        let request = app.get(&format!("/verify?{query}"));
        request.bearer(token).send()
    };
    assert_challenge(&verify(&bob, "acr=mfa"), r#"acr_values="mfa""#);
    assert_eq!(verify(&bob, "max_age=300").status, 200);
    assert_eq!(verify(&ada.token, "acr=mfa&max_age=300").status, 200);
    assert_eq!(introspect(&app, &ada.token)["acr"], "mfa");
    clock.advance(TimeDelta::seconds(300));
    let both = verify(&ada.token, "acr=mfa&max_age=300");
    assert_challenge(&both, r#"max_age="300""#);
    assert_eq!(verify(&ada.token, "acr=mfa&max_age=3000").status, 200);
    // A key says nothing about a sign-in.
    let code = ada.app.code(clock.now().and_utc());
    let fresh = access_token(&password_with(&app, &ada.person, &[("otp", &code)]));
    let key = app.create_key(&fresh, "").secret;
    for query in ["acr=mfa", "max_age=4000000000"] {
        let refused = verify(&key, query);
        assert_eq!(refused.status, 401, "{query}: {refused:?}");
    }
    // A query that no operator can mean is refused.
    for query in [
        "acr=pwd",
        "acr=",
        "acr=mfa&acr=mfa",
        "max_age=x",
        "max_age=-1",
        "max_age=",
    ] {
        assert_eq!(verify(&fresh, query).status, 403, "{query}");
    }
}
