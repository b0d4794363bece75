//! The audit trail, and the plots that are made of it.

use chrono::{TimeDelta, Utc};
use tokenhouse::Clock;

use super::{administrator, id_of};
use crate::harness::{Backend, TestApp, on_both_databases};
use crate::pages::browser::{location, title};

on_both_databases!(
    events_are_filtered_and_paged,
    chain_is_verified_on_demand,
    every_section_is_shown,
);

fn count(page: &str) -> usize {
    page.matches("<p class=\"row-title\"><code>").count()
}

fn events_are_filtered_and_paged(backend: Backend) {
    let clock = Clock::manual(Utc::now());
    let app = TestApp::builder(backend).clock(clock.clone()).start();
    let ada = app.register("ada");
    for _ in 0..60 {
        ada.sign_in();
    }
    let early = clock.now().format("%Y-%m-%dT%H:%M:%S%.f").to_string();
    clock.advance(TimeDelta::minutes(5));
    let (_, mut browser) = administrator(&app);
    let id = id_of(&app, &ada);
    app.create_app("reader", "users:read");
    let mut page = |query: &str| browser.page(&format!("/console/events?{query}"));
    // By address, and by id; the newest first.
    let first = page("who=ADA%40example.com&action=login");
    assert_eq!(count(&first), 50);
    assert_eq!(count(&page(&format!("who={id}&action=login"))), 50);
    let (before, _) = first.split_once(r#"" rel="next""#).unwrap();
    let next = before
        .rsplit("/console/events?")
        .next()
        .unwrap()
        .replace("&#38;", "&");
    assert!(
        next.contains("action=login") && next.contains("before="),
        "{next}"
    );
    let second = page(&next);
    assert_eq!(count(&second), 10);
    assert!(!second.contains(r#"rel="next""#));
    // By time.
    assert_eq!(count(&page(&format!("until={early}&action=register"))), 0);
    let late = clock.now().format("%Y-%m-%dT%H:%M").to_string();
    assert_eq!(count(&page(&format!("since={late}&action=register"))), 1);
    assert!(page("action=no.such").contains("No event matches these filters."));
    assert_eq!(count(&page("who=operator")), 2);
    for (query, problem) in [
        ("who=nobody%40example.com", "No user has this address."),
        ("since=yesterday", "Enter a date and time"),
        ("until=2026-02-30T00%3A00", "Enter a date and time"),
    ] {
        let response = browser.get(&format!("/console/events?{query}"));
        assert_eq!(response.status, 422, "{query}");
        let text = response.text();
        assert_eq!(title(text), "Error: Events · Tokenhouse");
        assert!(
            text.contains(problem) && text.contains(r#"aria-invalid="true""#),
            "{text}"
        );
    }
}

fn chain_is_verified_on_demand(backend: Backend) {
    let app = TestApp::start(backend);
    let (_, mut browser) = administrator(&app);
    let path = "/console/events";
    assert!(
        browser
            .page(path)
            .contains("Not verified since the service started.")
    );
    let response = browser.submit(path, "/console/events/verify", &[]);
    assert_eq!(location(&response), path);
    let page = browser.page(path);
    assert!(
        page.contains("none altered") && page.contains("Intact"),
        "{page}"
    );
    crate::audit::drop_triggers(&app);
    app.database()
        .execute("UPDATE audit_events SET actor = 'user:9' WHERE id = 1");
    browser.submit(path, "/console/events/verify", &[]);
    let page = browser.page(path);
    assert!(
        page.contains("Altered") && page.contains("1 problem found"),
        "{page}"
    );
}

fn every_section_is_shown(backend: Backend) {
    let app = TestApp::start(backend);
    let ada = app.register("ada");
    let token = ada.sign_in();
    app.create_key(&token, "");
    app.create_app("reader", "users:read");
    ada.try_sign_in("wrong", "");
    let (_, mut browser) = administrator(&app);
    let page = browser.page("/console/apps");
    assert!(page.contains("reader") && page.contains("1 key") && page.contains("ada@example.com"));
    let page = browser.page("/console/settings");
    assert!(page.contains("TOKENHOUSE_PAGES") && page.contains("DATABASE_URL"));
    assert!(
        !page.contains(crate::harness::STATIC_KEY),
        "secrets are masked"
    );
    let page = browser.page("/console/health");
    assert!(page.contains("At least one can sign in.") && page.contains("It answers"));
    for (path, name) in [("/console", "Overview"), ("/console?hours=168", "Overview")] {
        let page = browser.page(path);
        assert_eq!(title(&page), format!("{name} · Tokenhouse"));
        assert!(page.contains("Hours in UTC") && page.contains("<svg") && !page.contains("NaN"));
        assert!(page.len() < 100 << 10, "{} bytes", page.len());
    }
}
