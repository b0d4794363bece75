//! Users rename their second factors.

use serde_json::json;

use super::app::{begin, builder, enrol};
use crate::harness::{Backend, on_both_databases, send};
use crate::pages::browser::{Browser, location};

on_both_databases!(factor_gets_another_name, page_gives_a_factor_another_name,);

fn factor_gets_another_name(backend: Backend) {
    let (builder, clock) = builder(backend);
    let app = builder.start();
    let ada = enrol(&app, &clock, "ada");
    let path = format!("/users/me/factors/{}", ada.factor);
    let rename =
        |token: &str, path: &str, body: serde_json::Value| send(&app, "PATCH", path, token, &body);
    let renamed = rename(&ada.token, &path, json!({ "name": " Work\u{202e} phone " }));
    assert_eq!(renamed.status, 200, "{renamed:?}");
    let body = renamed.json();
    assert_eq!(
        (&body["id"], &body["kind"]),
        (&json!(ada.factor), &json!("totp"))
    );
    let listed = app
        .get("/users/me/factors")
        .bearer(&ada.token)
        .send()
        .json();
    assert_eq!(listed["factors"][0], body);
    let name = body["name"].as_str().unwrap();
    assert!(
        name.starts_with("Work") && name.ends_with("phone"),
        "{name:?}"
    );
    assert!(!name.contains('\u{202e}'), "{name:?}");
    for bad in [
        json!({ "name": "  " }),
        json!({ "name": 1 }),
        json!({}),
        json!({ "name": "a", "kind": "webauthn" }),
    ] {
        assert_eq!(rename(&ada.token, &path, bad).status, 422);
    }
    // Neither another user nor one that does not count yet.
    let bob = app.register("bob").sign_in();
    assert_eq!(rename(&bob, &path, json!({ "name": "mine" })).status, 404);
    let (pending, _) = begin(&app, &bob);
    let pending = format!("/users/me/factors/{pending}");
    assert_eq!(
        rename(&bob, &pending, json!({ "name": "mine" })).status,
        404
    );
    let recorded = "audit_events WHERE action = 'factor.rename' AND result = 'ok'";
    assert_eq!(app.database().count(recorded), 1);
}

fn page_gives_a_factor_another_name(backend: Backend) {
    const PAGE: &str = "/account/factors";
    let (builder, clock) = builder(backend);
    let app = builder.start();
    let bob = app.register("bob");
    let person = app.register("ada");
    let mut browser = Browser::of(&person);
    let ada = super::app::enrol_as(&app, &clock, person);
    let path = format!("{PAGE}/{}/rename", ada.factor);
    let renamed = browser.submit(PAGE, &path, &[("name", "<b>Tablet</b>")]);
    assert_eq!(location(&renamed), "/account/factors?renamed");
    let page = browser.page("/account/factors?renamed");
    assert!(page.contains("The new name is saved."), "{page}");
    assert!(
        page.contains("<bdi>&#60;b&#62;Tablet&#60;/b&#62;</bdi>"),
        "{page}"
    );
    let refused = browser.submit(PAGE, &path, &[("name", " ")]);
    assert_eq!(refused.status, 422, "{refused:?}");
    assert!(
        refused.text().contains(r#"aria-invalid="true""#),
        "{refused:?}"
    );
    let mut other = Browser::of(&bob);
    let elsewhere = other.submit(PAGE, &path, &[("name", "mine")]);
    assert_eq!(location(&elsewhere), PAGE);
    assert!(browser.page(PAGE).contains("Tablet"));
}
