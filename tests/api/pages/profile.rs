//! The page of the profile.

use super::browser::{Browser, location, title};
use crate::harness::{Backend, TestApp, on_both_databases};

on_both_databases!(profile_is_changed_or_shown_again_with_what_was_typed);

fn profile_is_changed_or_shown_again_with_what_was_typed(backend: Backend) {
    let app = TestApp::start(backend);
    let ada = app.register("ada");
    let mut browser = Browser::of(&ada);
    let good = [
        ("name", "Ada <Countess>"),
        ("surname", "\u{5e2}\u{5d3}\u{5d4}"),
        ("website", "https://ada.example"),
    ];
    let response = browser.submit("/account", "/account", &good);
    assert_eq!(location(&response), "/account?saved");
    let page = browser.page("/account?saved");
    assert!(page.contains("Your changes are saved."));
    assert!(page.contains("Ada &#60;Countess&#62;") && page.contains("\u{5e2}\u{5d3}\u{5d4}"));

    // Shorter than the profile `tutorial` allows.
    let bad = [("name", "Bo"), ("surname", "typed"), ("website", "")];
    let response = browser.submit("/account", "/account", &bad);
    let page = response.text();
    assert_eq!(response.status, 422);
    assert_eq!(title(page), "Error: Profile · Tokenhouse");
    assert!(
        page.contains(r#"id="name-error">Use at least 5 characters."#),
        "{page}"
    );
    assert!(page.contains(r#"value="Bo""#) && page.contains(r#"value="typed""#));
    assert!(browser.page("/account").contains("Ada &#60;Countess&#62;"));
}

/// A page stays open while another user signs in: its form changes nothing.
#[test]
fn form_of_one_user_never_acts_as_another() {
    let app = TestApp::start(Backend::Sqlite);
    let (ada, bob) = (app.register("ada"), app.register("bob"));
    let mut browser = Browser::of(&ada);
    let user = super::browser::hidden(&browser.page("/account"), "user").unwrap();
    browser.sign_in(&bob);
    for path in ["/account", "/signout", "/account/sessions/end-others"] {
        let response = browser.post(path, &[("user", &user), ("name", "Mallory")]);
        assert_eq!(response.status, 409, "{path}");
        let said = format!("{} has signed in. Nothing has changed.", bob.email);
        assert!(response.text().contains(&said));
    }
    assert!(!browser.page("/account").contains("Mallory"));
}
