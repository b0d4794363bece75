//! The pages for a new password and for the end of the account.

use super::browser::{Browser, location, title};
use crate::harness::{Backend, TestApp, on_both_databases};

on_both_databases!(
    password_is_changed_and_ends_the_other_sessions,
    account_is_deleted_with_the_password,
);

const NEW: &str = "another mulberry tram";

fn password_is_changed_and_ends_the_other_sessions(backend: Backend) {
    let app = TestApp::builder(backend)
        .setting("TOKENHOUSE_SESSIONS_PER_USER", "9")
        .start();
    let ada = app.register("ada");
    let token = ada.sign_in();
    let key = app.create_key(&token, "").secret;
    let (mut browser, mut other) = (Browser::of(&ada), Browser::of(&ada));
    let page = "/account/password";
    let mut change = |current: &str, new: &str| {
        let fields = [("current_password", current), ("new_password", new)];
        browser.submit(page, page, &[&fields[..], &[("keep_keys", "yes")]].concat())
    };
    let wrong = change("wrong", NEW);
    assert_eq!(wrong.status, 422);
    assert!(title(wrong.text()).starts_with("Error: Password"));
    assert!(
        wrong
            .text()
            .contains(r#"id="current_password-error">The password is wrong."#)
    );
    assert!(!wrong.text().contains(NEW));
    let short = change(&ada.password, "short");
    assert_eq!(short.status, 422);
    assert!(
        short
            .text()
            .contains(r#"id="new_password-error">Use at least 8 characters."#)
    );
    let common = change(&ada.password, "password1234");
    assert!(common.text().contains("easy to guess"));
    let empty = change("", NEW);
    assert!(
        empty
            .text()
            .contains(r#"id="current_password-error">Fill in this field."#)
    );
    assert_eq!(app.status("/users/me", &token), 200);

    assert_eq!(
        location(&change(&ada.password, NEW)),
        "/account/password?changed"
    );
    assert!(
        browser
            .page("/account/password?changed")
            .contains("Your password is changed.")
    );
    assert!(browser.is_signed_in() && !other.is_signed_in());
    assert_eq!(app.status("/users/me", &token), 401);
    assert_eq!(app.status("/users/me", &key), 200, "it was kept");
    assert_eq!(ada.try_sign_in(NEW, "").status, 200);

    let fields = [("current_password", NEW), ("new_password", &*ada.password)];
    browser.submit(page, page, &fields);
    assert_eq!(app.status("/users/me", &key), 401);
}

fn account_is_deleted_with_the_password(backend: Backend) {
    let app = TestApp::start(backend);
    let ada = app.register("ada");
    let mut browser = Browser::of(&ada);
    let page = "/account/delete";
    let wrong = browser.submit(page, page, &[("current_password", "wrong")]);
    assert_eq!(wrong.status, 422);
    assert!(title(wrong.text()).starts_with("Error: Delete my account"));
    assert!(browser.is_signed_in());
    let secret = browser.secret();
    let deleted = browser.submit(page, page, &[("current_password", &ada.password)]);
    assert_eq!(location(&deleted), "/signin?deleted");
    assert!(
        browser
            .page("/signin?deleted")
            .contains("Your account is deleted.")
    );
    browser.set_cookie("tokenhouse", &secret);
    assert!(!browser.is_signed_in());
    assert_eq!(ada.try_sign_in(&ada.password, "").status, 401);
}

/// N29: the last administrator stays, and is told why.
#[test]
fn last_administrator_cannot_leave() {
    let app = TestApp::start(Backend::Sqlite);
    let ada = app.register_with("ada", "users:read users:write");
    let mut browser = Browser::of(&ada);
    let page = "/account/delete";
    let response = browser.submit(page, page, &[("current_password", &ada.password)]);
    assert_eq!(response.status, 409);
    assert!(response.text().contains("tokenhouse user delete"));
    assert!(browser.is_signed_in());
}
