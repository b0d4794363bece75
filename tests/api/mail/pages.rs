//! The pages to which mails lead: a link only shows a form, and the form does what the mail is about.

use serde_json::json;

use super::inbox::PUBLIC_URL;
use super::{Inbox, Mail};
use crate::harness::{Backend, OWN_SCOPES, TestApp, on_both_databases};
use crate::pages::browser::{Browser, hidden, location, title};

on_both_databases!(
    forgotten_password_is_chosen_again,
    code_is_typed_in_place_of_the_link,
    address_is_confirmed_changed_and_taken_back,
    button_pressed_again_says_that_it_is_done,
    invitation_is_accepted,
    refusals_are_heard,
    pages_can_be_off,
);

const NEW: &str = "another password altogether";

/// A browser that reaches the service under its public name.
fn browser(app: &TestApp) -> Browser {
    Browser::new(app).at(PUBLIC_URL.trim_start_matches("https://"))
}

/// Opens the link of a mail several times, as a scanner does; returns the page.
#[track_caller]
fn open(app: &TestApp, path: &str, mail: &Mail) -> String {
    let link = format!("{path}?t={}", mail.token);
    let mut page = String::new();
    for _ in 0..3 {
        page = browser(app).page(&link);
    }
    assert_eq!(hidden(&page, "token").as_ref(), Some(&mail.token), "{page}");
    page
}

/// Opens the link of a mail, and presses its button.
#[track_caller]
fn follow(app: &TestApp, path: &str, mail: &Mail, fields: &[(&str, &str)]) -> String {
    open(app, path, mail);
    let own = [("token", mail.token.as_str())];
    let fields = [&own, fields].concat();
    let done = browser(app).post(&format!("{path}/form"), &fields);
    let location = location(&done);
    let shown = browser(app).page(&location);
    assert!(shown.contains(r#"role="status""#), "{shown}");
    location
}

fn forgotten_password_is_chosen_again(backend: Backend) {
    let inbox = Inbox::new();
    let app = inbox.app(backend).start();
    let alice = app.register("alice");
    let sign_in = browser(&app).page("/signin");
    assert!(sign_in.contains(r#"href="/forgot-password""#), "{sign_in}");
    browser(&app).page("/forgot-password");
    let path = "/forgot-password/form";
    let nobody = browser(&app).post(path, &[("email", "nobody@example.com")]);
    let asked = browser(&app).post(path, &[("email", &alice.email)]);
    assert_eq!(location(&asked), "/reset-password?sent");
    assert_eq!(location(&nobody), location(&asked));
    let no_address = browser(&app).post(path, &[("email", "alice")]);
    assert_eq!(no_address.status, 422);
    assert!(no_address.text().contains(r#"value="alice""#));
    let mail = inbox.wait_for(1);

    open(&app, "/reset-password", &mail);
    let form = "/reset-password/form";
    let own = ("token", mail.token.as_str());
    let weak = browser(&app).post(form, &[own, ("password", "short")]);
    assert_eq!(weak.status, 422, "{weak:?}");
    assert_eq!(hidden(weak.text(), "token").as_ref(), Some(&mail.token));
    // A form of another site.
    let foreign = app.post(form).form(&[own, ("password", NEW)]);
    assert_eq!(browser(&app).send(foreign).status, 403);
    let to = follow(&app, "/reset-password", &mail, &[("password", NEW)]);
    assert_eq!(to, "/signin?password-reset");
    assert_eq!(alice.try_sign_in(&alice.password, "").status, 401);
    assert_eq!(alice.try_sign_in(NEW, "").status, 200);
    let again = browser(&app).post(form, &[own, ("password", NEW)]);
    assert_eq!(again.status, 400);
    assert!(again.text().contains("not valid any more"), "{again:?}");
}

fn code_is_typed_in_place_of_the_link(backend: Backend) {
    let inbox = Inbox::new();
    let app = inbox.app(backend).start();
    let alice = app.register("alice");
    let path = "/forgot-password/form";
    browser(&app).post(path, &[("email", &alice.email)]);
    let code = inbox.wait_for(1).code.to_lowercase();
    let page = browser(&app).page("/reset-password?sent");
    assert!(page.contains(r#"name="code""#) && page.contains(r#"role="status""#));
    let form = "/reset-password/form";
    let missing = browser(&app).post(form, &[("email", ""), ("password", NEW)]);
    assert_eq!(missing.status, 422);
    let fields = [
        ("email", alice.email.as_str()),
        ("code", code.as_str()),
        ("password", NEW),
    ];
    let done = browser(&app).post(form, &fields);
    assert_eq!(location(&done), "/signin?password-reset");
    assert_eq!(alice.try_sign_in(NEW, "").status, 200);
}

fn address_is_confirmed_changed_and_taken_back(backend: Backend) {
    let inbox = Inbox::new();
    let app = inbox.app(backend).start();
    let alice = app.register("alice");
    let email = || {
        let token = alice.sign_in();
        let me = app.get("/users/me").bearer(&token).send().json();
        (me["email"].clone(), token)
    };
    let body = json!({ "email": alice.email });
    app.post("/verify-email/request").json(&body).send();
    let mail = inbox.wait_for(1);
    let to = follow(&app, "/verify-email", &mail, &[]);
    assert_eq!(to, "/signin?address-confirmed");

    let (_, token) = email();
    let body = json!({ "email": "alice@example.org" });
    let asked = app.post("/users/me/email").bearer(&token).json(&body);
    assert_eq!(asked.send().status, 202);
    let mail = inbox.wait_for(2);
    follow(&app, "/change-email", &mail, &[]);
    let me = app.get("/users/me").bearer(&token).send().json();
    assert_eq!(me["email"], "alice@example.org");

    let notice = inbox.wait_for(3);
    assert_eq!(notice.purpose, "address-changed");
    let to = follow(&app, "/change-email/undo", &notice, &[]);
    assert_eq!(to, "/signin?address-restored");
    assert_eq!(app.status("/users/me", &token), 401);
    assert_eq!(email().0, alice.email.as_str());
}

/// N38: in two tabs, reloaded, and the link opened again.
fn button_pressed_again_says_that_it_is_done(backend: Backend) {
    let inbox = Inbox::new();
    let app = inbox.app(backend).start();
    let alice = app.register("alice");
    let body = json!({ "email": alice.email });
    app.post("/verify-email/request").json(&body).send();
    let mail = inbox.wait_for(1);
    follow(&app, "/verify-email", &mail, &[]);
    open(&app, "/verify-email", &mail);
    let fields = [("token", mail.token.as_str())];
    let again = browser(&app).post("/verify-email/form", &fields);
    assert!(again.text().contains("confirmed already"), "{again:?}");
    assert!(again.text().contains(r#"href="/signin""#), "{again:?}");
    let events = "audit_events WHERE action = 'email.verify' AND result = 'ok'";
    assert_eq!(app.database().count(events), 1);
}

fn invitation_is_accepted(backend: Backend) {
    let inbox = Inbox::new();
    let app = inbox.app(backend).start();
    let admin = app.register_with("admin", OWN_SCOPES);
    let body = json!({ "email": "guest@example.com", "name": "Guest" });
    let invited = app.post("/admin/invitations").bearer(&admin.sign_in());
    assert_eq!(invited.json(&body).send().status, 201);
    let mail = inbox.wait_for(1);
    let path = "/invitations/accept";
    let fields = [("name", "Grace Guest"), ("password", NEW)];
    let to = follow(&app, path, &mail, &fields);
    assert_eq!(to, "/signin?invitation-accepted");
    let form = [("username", "guest@example.com"), ("password", NEW)];
    assert_eq!(app.post("/token").form(&form).send().status, 200);
    let own = [("token", mail.token.as_str())];
    let again = browser(&app).post("/invitations/accept/form", &[&own[..], &fields].concat());
    assert_eq!(again.status, 410, "{again:?}");
}

/// N30: the title begins with the error, which comes before the form and belongs to its fields; what was typed stays,
/// except secrets.
fn refusals_are_heard(backend: Backend) {
    let inbox = Inbox::new();
    let app = inbox.app(backend).start();
    let alice = app.register("alice");
    let admin = app.register_with("admin", OWN_SCOPES);
    let body = json!({ "email": "guest@example.com", "name": "Guest" });
    let invited = app.post("/admin/invitations").bearer(&admin.sign_in());
    assert_eq!(invited.json(&body).send().status, 201);
    let invitation = inbox.wait_for(1).token;
    let forgotten = [("email", alice.email.as_str())];
    browser(&app).post("/forgot-password/form", &forgotten);
    let reset = inbox.wait_for(2).token;
    let email = ("email", "alice@example.com");
    let typed_code = [email, ("code", "ZZZZ2222"), ("password", NEW)];
    let over = [
        ("token", "of-an-old-mail"),
        ("name", "Grace"),
        ("password", NEW),
    ];
    for (path, fields, status, wrong) in [
        (
            "/forgot-password",
            &[("email", "alice")][..],
            422,
            &["email"][..],
        ),
        ("/reset-password", &[], 422, &["email", "code", "password"]),
        ("/reset-password", &typed_code, 400, &["code"]),
        (
            "/reset-password",
            &[("token", reset.as_str()), ("password", "short")],
            422,
            &["password"],
        ),
        ("/reset-password", &over, 400, &[]),
        ("/verify-email", &[], 422, &["email", "code"]),
        ("/verify-email", &typed_code, 400, &["code"]),
        ("/verify-email", &over, 400, &[]),
        ("/change-email", &over, 400, &[]),
        ("/change-email/undo", &over, 400, &[]),
        (
            "/invitations/accept",
            &[
                ("token", invitation.as_str()),
                ("name", "Grace"),
                ("password", "short"),
            ],
            422,
            &["password"],
        ),
        ("/invitations/accept", &over, 400, &[]),
    ] {
        let refused = browser(&app).post(&format!("{path}/form"), fields);
        assert_eq!(refused.status, status, "{path} {fields:?}: {refused:?}");
        let page = refused.text();
        assert!(
            title(page).starts_with("Error: "),
            "{path}: {}",
            title(page)
        );
        let (before, form) = page.split_once("<form").expect("the form again");
        assert!(
            before.contains(r#"role="alert""#),
            "{path} {fields:?}: {page}"
        );
        assert!(!page.contains("autofocus") && page.matches(r#"name="code""#).count() <= 1);
        let marked = form.matches(r#"aria-invalid="true""#).count();
        assert_eq!(marked, wrong.len(), "{path} {fields:?}: {page}");
        for field in wrong {
            let tied = format!(r#"aria-invalid="true" aria-describedby="{field}-error""#);
            assert!(form.contains(&tied), "{path} {field}: {page}");
            assert!(
                form.contains(&format!(r#"id="{field}-error""#)),
                "{path} {field}"
            );
        }
        for (name, value) in fields {
            let is_kept = ["email", "name"].contains(name);
            let shown = form.contains(&format!(r#"value="{value}""#));
            // A page that has no field for it does not repeat it.
            let has_field = form.contains(&format!(r#"name="{name}""#));
            assert!(!is_kept || !has_field || shown, "{path} {name}: {page}");
            assert!(
                !["code", "password"].contains(name) || !shown,
                "{path} {name}"
            );
        }
    }
}

fn pages_can_be_off(backend: Backend) {
    let inbox = Inbox::new();
    let app = inbox.app(backend).setting("TOKENHOUSE_PAGES", "off");
    let app = app.start();
    for path in ["/forgot-password", "/reset-password?t=x", "/verify-email"] {
        let response = browser(&app).get(path);
        assert_eq!(response.status, 405, "{path}");
        assert_eq!(response.header("allow").as_deref(), Some("POST"));
    }
    // Without mail, only the links that were printed lead somewhere.
    let app = TestApp::start(backend);
    assert_eq!(Browser::new(&app).get("/forgot-password").status, 404);
    assert_eq!(Browser::new(&app).get("/reset-password?t=x").status, 200);
}
