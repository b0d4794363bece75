//! What mails look like.

use super::administrator;
use crate::harness::{Backend, TestApp};

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
