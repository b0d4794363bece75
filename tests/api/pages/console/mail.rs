//! The mails that have failed, and what mails look like.

use std::thread;
use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};
use tokenhouse::Clock;

use super::{administrator, id_of};
use crate::harness::{Backend, TestApp, on_both_databases};
use crate::mail::FAILED_MAILS;
use crate::pages::browser::{Browser, location, title};

on_both_databases!(failed_mails_are_listed_tried_again_and_dropped,);

fn failed_mails_are_listed_tried_again_and_dropped(backend: Backend) {
    let clock = Clock::manual(Utc::now());
    let app = TestApp::builder(backend)
        .setting("TOKENHOUSE_MAIL", "memory")
        // For the link.
        .setting("TOKENHOUSE_PUBLIC_URL", "http://localhost")
        .clock(clock.clone())
        .start();
    app.register("alice");
    app.database().execute(FAILED_MAILS);
    let count = |condition: &str| {
        app.database()
            .count(&format!("mail_outbox WHERE {condition}"))
    };
    let (admin, mut browser) = administrator(&app);
    let page = browser.page("/console/mail?lang=de");
    assert!(page.contains("550 5.7.1 relay denied"), "{page}");
    assert!(
        page.contains("<bdi>550 5.1.1 &#60;no&#62; \u{202e}such mailbox</bdi>"),
        "{page}"
    );
    assert!(page.contains(r#"<dd class="figure">2</dd>"#), "{page}");
    assert!(page.contains(r#"aria-label="E-Mail an second@example.com verwerfen""#));

    let (retry, drop) = ("/console/mail/1/retry", "/console/mail/2/delete");
    let response = browser.submit("/console/mail", drop, &[]);
    assert_eq!(location(&response), "/console/mail?dropped");
    assert_eq!(count("id = 2"), 0);
    // The button was pressed twice.
    assert_eq!(browser.submit("/console/mail", drop, &[]).status, 303);

    // A user without the scope for it sees no buttons, and an old sign-in is not enough.
    let reader = app.register_with("reader", "users:read");
    let user = id_of(&app, &reader).to_string();
    let mut reader = Browser::of(&reader);
    assert!(!reader.page("/console/mail").contains(retry));
    let refused = reader.post(retry, &[("user", &user)]);
    assert_eq!(refused.status, 403);
    assert!(refused.text().contains("users:write"), "{refused:?}");
    clock.advance(TimeDelta::minutes(16));
    let asked = browser.submit("/console/mail", retry, &[]);
    assert_eq!(asked.status, 403);
    assert_eq!(
        title(asked.text()),
        "Bestätigen Sie, dass Sie es sind · Tokenhouse"
    );
    assert_eq!(count("failed_at IS NOT NULL"), 1);
    let mut browser = Browser::of(&admin);
    let response = browser.submit("/console/mail", retry, &[]);
    assert_eq!(location(&response), "/console/mail?retried");
    let start = Instant::now();
    while count("sent_at IS NOT NULL") == 0 {
        assert!(start.elapsed() < Duration::from_secs(20), "not sent");
        thread::sleep(Duration::from_millis(50));
    }
    let page = browser.page("/console/mail?retried");
    assert!(page.contains("The mail is queued again."), "{page}");
    assert!(page.contains("No mail has failed"), "{page}");
}

#[test]
fn every_mail_is_shown_as_text_and_as_html_with_a_policy_of_its_own() {
    let app = TestApp::builder(Backend::Sqlite)
        .setting("TOKENHOUSE_MAIL", "memory")
        .start();
    let (_, mut browser) = administrator(&app);
    let page = browser.page("/console/mail?kind=invitation&locale=de");
    assert!(
        page.contains("Charles Babbage") && page.contains("Einladung annehmen:"),
        "{page}"
    );
    assert!(
        page.contains("/console/mail/html?kind=invitation&amp;locale=de"),
        "{page}"
    );
    let html = browser.get("/console/mail/html?kind=invitation&locale=de");
    let policy = html.header("Content-Security-Policy").unwrap();
    assert!(
        policy.contains("sandbox") && policy.contains("default-src 'none'"),
        "{policy}"
    );
    assert!(
        html.text()
            .contains("<bdi>Charles Babbage</bdi> l\u{e4}dt Sie"),
        "{}",
        html.text()
    );
    // Another kind than there is shows the first one.
    let page = browser.page("/console/mail?kind=%3Cscript%3E&locale=%3Cscript%3E");
    assert!(page.contains("Reset your Tokenhouse password"), "{page}");
}

#[test]
fn service_without_mail_says_so() {
    let app = TestApp::start(Backend::Sqlite);
    let (_, mut browser) = administrator(&app);
    let page = browser.page("/console/mail");
    assert!(page.contains("The service sends no mail"), "{page}");
    assert_eq!(browser.get("/console/mail/html").status, 404);
}
