//! The page of the user's own events.

use super::browser::Browser;
use crate::harness::{Backend, TestApp, on_both_databases};

on_both_databases!(own_events_are_shown_in_pages);

fn own_events_are_shown_in_pages(backend: Backend) {
    let app = TestApp::start(backend);
    let (ada, bob) = (app.register("ada"), app.register("bob"));
    ada.try_sign_in("wrong", "");
    let mut browser = Browser::of(&ada);
    for number in 0..40 {
        let name = format!("Ada the {number}.");
        browser.submit("/account", "/account", &[("name", &name)]);
    }
    let page = browser.page("/account/events");
    assert_eq!(page.matches("Profile changed").count(), 25);
    assert!(!page.contains("Newest"));
    let older = page
        .split("href=\"")
        .find(|part| part.contains("events?before="));
    let older = older.unwrap().split('"').next().unwrap();
    let page = browser.page(older);
    assert_eq!(page.matches("Profile changed").count(), 15);
    assert!(page.contains("Account created") && page.contains("Signed in"));
    assert!(page.contains(r#"<span class="badge bad">refused</span>"#));
    assert!(page.contains("Newest") && !page.contains("Older"));
    let page = Browser::of(&bob).page("/account/events?before=x");
    assert!(!page.contains("Profile changed"));
}
