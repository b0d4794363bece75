//! Registration on a page.

use super::browser::{Browser, location, title};
use crate::harness::{Backend, TestApp, concurrently, on_both_databases};

on_both_databases!(
    user_registers_and_is_signed_in,
    button_pressed_twice_registers_once
);

const FORM: [(&str, &str); 3] = [
    ("name", "Ada Lovelace"),
    ("email", "Ada@Example.com"),
    ("password", "a mulberry on the tram"),
];

fn user_registers_and_is_signed_in(backend: Backend) {
    let app = TestApp::start(backend);
    let mut browser = Browser::new(&app);
    assert!(browser.page("/signin").contains(r#"href="/signup""#));
    browser.page("/signup");
    let bad = [
        ("name", "Ada"),
        ("email", "no address"),
        ("password", "hush"),
    ];
    let response = browser.post("/signup", &bad);
    let page = response.text();
    assert_eq!(response.status, 422);
    assert!(title(page).starts_with("Error: Create an account"));
    assert!(page.contains("Please check the 3 marked fields."));
    for (field, problem) in [
        ("name", "Use at least 5 characters."),
        ("email", "This is not an e-mail address."),
        ("password", "Use at least 8 characters."),
    ] {
        assert!(
            page.contains(&format!(r#"id="{field}-error">{problem}"#)),
            "{page}"
        );
    }
    assert!(page.contains(r#"value="no address""#) && !page.contains("hush"));

    let onward = location(&browser.post("/signup", &FORM));
    assert_eq!(location(&browser.get(&onward)), "/account");
    assert!(browser.page("/account").contains("Ada@example.com"));
    assert_eq!(location(&browser.get("/signup")), "/account");

    // Somebody else with this address.
    let other = [FORM[0], FORM[1], ("password", "another mulberry tram")];
    let response = Browser::new(&app).post("/signup", &other);
    assert_eq!(response.status, 409);
    assert!(
        response
            .text()
            .contains("There is already an account with this address.")
    );
    assert!(response.header("set-cookie").is_none());
}

/// N25: one user, one event, and both answers lead into the account.
fn button_pressed_twice_registers_once(backend: Backend) {
    let app = TestApp::start(backend);
    let answers = concurrently(2, 2, |_| {
        location(&Browser::new(&app).post("/signup", &FORM))
    });
    assert_eq!(
        answers,
        ["/signin/continue?next=", "/signin/continue?next="]
    );
    let again = location(&Browser::new(&app).post("/signup", &FORM));
    assert_eq!(again, "/signin/continue?next=");
    assert_eq!(app.database().count("users"), 1);
    assert_eq!(
        app.database()
            .count("audit_events WHERE action = 'register'"),
        1
    );
}

#[test]
fn rules_of_registration_hold() {
    let app = TestApp::builder(Backend::Sqlite)
        .setting("TOKENHOUSE_REGISTRATION", "closed")
        .start();
    let mut browser = Browser::new(&app);
    assert_eq!(browser.get("/signup").status, 404);
    assert!(!browser.page("/signin").contains("/signup"));
    let response = browser.post("/signup", &FORM);
    assert_eq!(response.status, 422);
    assert!(response.text().contains("may not create an account here"));

    let app = TestApp::builder(Backend::Sqlite)
        .setting("TOKENHOUSE_PROFILE", "standard")
        .setting("TOKENHOUSE_LIMITS", "on")
        .setting("TOKENHOUSE_LIMIT_REGISTRATIONS", "1")
        .start();
    // No name is needed there.
    let nameless = [FORM[1], FORM[2]];
    assert_eq!(Browser::new(&app).post("/signup", &nameless).status, 303);
    let second = [("email", "bob@example.com"), FORM[2]];
    let response = Browser::new(&app).post("/signup", &second);
    assert_eq!(response.status, 429);
    assert!(response.header("retry-after").is_some());
    assert!(response.text().contains("Too many attempts."));
}
