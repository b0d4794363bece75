//! The pages of two-step sign-in.

use chrono::TimeDelta;

use super::browser::{Browser, hidden, location, title};
use crate::factors::app::{Authenticator, builder};
use crate::harness::{Backend, Response, TestApp, on_both_databases};

on_both_databases!(
    app_is_added_used_and_removed,
    session_without_a_code_changes_nothing
);

const PAGE: &str = "/account/factors";
const CODES: &str = "/account/recovery-codes";

/// The address of the first form that does this to a factor.
#[track_caller]
fn action(page: &str, what: &str) -> String {
    let mut paths = page.split('"').filter(|text| text.starts_with(PAGE));
    let path = paths.find(|path| path.ends_with(what));
    path.expect("a form").to_owned()
}

/// Begins to add an app. Returns where to confirm it, and its seed.
#[track_caller]
fn begin(browser: &mut Browser, name: &str) -> (String, String) {
    let begun = browser.submit(PAGE, PAGE, &[("name", name)]);
    assert_eq!(begun.status, 200, "{begun:?}");
    assert!(begun.text().contains("<svg "), "{begun:?}");
    let secret = hidden(begun.text(), "secret").unwrap();
    (action(begun.text(), "/confirm"), secret)
}

#[track_caller]
fn assert_refused(response: &Response, sentence: &str) {
    assert_eq!(response.status, 422, "{response:?}");
    assert!(response.text().contains(sentence), "{response:?}");
}

/// Checks that a page asks for the password and a code, and would send the form again.
#[track_caller]
fn assert_asks_for_code(response: &Response, path: &str) {
    assert_eq!(response.status, 403, "{response:?}");
    let page = response.text();
    assert_eq!(title(page), "Confirm that it is you · Tokenhouse");
    assert!(page.contains(r#"name="confirm-code""#) && page.contains(r#"name="confirm""#));
    assert!(page.contains(&format!(r#"action="{path}""#)), "{page}");
}

fn app_is_added_used_and_removed(backend: Backend) {
    let (builder, clock) = builder(backend);
    let app = builder.start();
    let ada = app.register("ada");
    let mut browser = Browser::of(&ada);
    let elsewhere = ada.sign_in();
    assert!(
        browser
            .page(PAGE)
            .contains("protected by its password only")
    );

    let (confirm, secret) = begin(&mut browser, "<Phone>");
    let now = || clock.now().and_utc();
    let phone = Authenticator::scan(&secret);
    for (typed, sentence) in [
        ("12", "This is not a code."),
        ("000000", "The code is wrong"),
    ] {
        // The picture stays, so that it need not be scanned again.
        let fields = [("otp", typed), ("secret", secret.as_str())];
        let refused = browser.submit(PAGE, &confirm, &fields);
        assert_refused(&refused, sentence);
        assert!(refused.text().contains("<svg ") && refused.text().contains("otp-error"));
        assert_eq!(hidden(refused.text(), "secret").as_deref(), Some(&*secret));
    }
    let code = phone.code(now());
    let right = [("otp", code.as_str()), ("end_others", "yes")];
    let confirmed = browser.submit(PAGE, &confirm, &right);
    assert_eq!(confirmed.status, 200, "{confirmed:?}");
    assert_eq!(confirmed.text().matches("<li><code>").count(), 10);
    assert_eq!(app.status("/users/me", &elsewhere), 401);
    // The button was pressed twice.
    let again = browser.submit(PAGE, &confirm, &right);
    assert_eq!(location(&again), "/account/factors?added");
    let page = browser.page(PAGE);
    assert!(page.contains("&#60;Phone&#62;") && page.contains("10 codes are left"));

    clock.advance(TimeDelta::seconds(30));
    let mut other = Browser::new(&ada.client);
    let asked = other.sign_in(&ada);
    assert_eq!(asked.status, 200, "{asked:?}");
    let token = hidden(asked.text(), "mfa_token").unwrap();
    let fields = [("mfa_token", &*token), ("code", &phone.code(now()))];
    location(&other.post("/signin/factor", &fields));
    assert!(other.is_signed_in());

    // Later, only with the password and a code.
    clock.advance(TimeDelta::minutes(16));
    let remove = action(&other.page(PAGE), "/remove");
    let password = ("confirm", ada.password.as_str());
    for path in [remove.as_str(), CODES, PAGE] {
        for typed in [&[][..], &[password]] {
            let asked = other.submit(PAGE, path, typed);
            assert_asks_for_code(&asked, path);
        }
    }
    let refused = other.submit(PAGE, CODES, &[password, ("confirm-code", "12")]);
    assert_refused(&refused, "This is not a code.");
    let refused = other.submit(PAGE, CODES, &[password, ("confirm-code", "000000")]);
    assert_refused(&refused, "The code is wrong");
    let code = phone.code(now());
    let before = other.secret();
    let codes = other.submit(PAGE, CODES, &[password, ("confirm-code", &code)]);
    assert_eq!(codes.text().matches("<li><code>").count(), 10, "{codes:?}");
    assert_ne!(other.secret(), before);
    for _press in 0..2 {
        let removed = other.submit(PAGE, &remove, &[]);
        assert_eq!(location(&removed), "/account/factors?removed");
    }
    assert!(Browser::of(&ada).page(PAGE).contains("password only"));
}

fn session_without_a_code_changes_nothing(backend: Backend) {
    let (builder, clock) = builder(backend);
    let app = builder.start();
    let ada = app.register("ada");
    let (mut browser, mut earlier) = (Browser::of(&ada), Browser::of(&ada));
    let (confirm, secret) = begin(&mut browser, "");
    let code = Authenticator::scan(&secret).code(clock.now().and_utc());
    let confirmed = browser.submit(PAGE, &confirm, &[("otp", &code)]);
    assert_eq!(confirmed.status, 200, "{confirmed:?}");

    let remove = action(&earlier.page(PAGE), "/remove");
    for path in [remove.as_str(), CODES, PAGE] {
        let asked = earlier.submit(PAGE, path, &[]);
        assert_asks_for_code(&asked, path);
    }
    // Nor does another user.
    let mut bob = Browser::of(&app.register("bob"));
    bob.submit(PAGE, &remove, &[]);
    assert!(earlier.page(PAGE).contains("10 codes are left"));
}

#[test]
fn page_without_a_key_says_whom_to_ask() {
    let app = TestApp::start(Backend::Sqlite);
    let mut browser = Browser::of(&app.register("ada"));
    assert!(!browser.page("/account").contains(PAGE));
    assert!(browser.page(PAGE).contains("Ask your administrator"));
}
