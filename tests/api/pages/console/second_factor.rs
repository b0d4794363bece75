//! A console whose scopes need a second factor leads to it.

use chrono::TimeDelta;
use tokenhouse::Clock;

use crate::factors::app::{Authenticator, builder, enrol_as};
use crate::harness::{Backend, Response, TestApp, on_both_databases};
use crate::pages::browser::{Browser, hidden, location, title};

on_both_databases!(
    console_asks_for_the_code_that_the_sign_in_lacks,
    console_leads_to_adding_a_factor,
);

const PAGE: &str = "/console/users?q=ada";
const STEP_UP: &str = "/signin/confirm?next=/console/users%3Fq%3Dada";

fn start(backend: Backend) -> (TestApp, Clock) {
    let (builder, clock) = builder(backend);
    let builder = builder.setting("TOKENHOUSE_MFA_SCOPES", "users:read, users:write");
    (builder.start(), clock)
}

/// Sends the form of a page with what it repeats.
fn submit(browser: &mut Browser, page: &str, fields: &[(&str, &str)]) -> Response {
    let (_, rest) = page.split_once(r#"<form method="post" action=""#).unwrap();
    let action = rest.split('"').next().unwrap().replace("&#38;", "&");
    let repeated = ["user", "mfa_token", "factor", "secret", "next"];
    let repeated = repeated.map(|name| (name, hidden(page, name)));
    let repeated = repeated
        .iter()
        .filter_map(|(name, value)| Some((*name, value.as_deref()?)));
    let all: Vec<_> = fields.iter().copied().chain(repeated).collect();
    browser.post(&action, &all)
}

fn console_asks_for_the_code_that_the_sign_in_lacks(backend: Backend) {
    let (app, clock) = start(backend);
    let ada = app.register_with("ada", "users:read users:write");
    let mut browser = Browser::of(&ada);
    let ada = enrol_as(&app, &clock, ada);
    let refused = browser.get(PAGE);
    assert_eq!(
        (refused.status, location(&refused).as_str()),
        (303, STEP_UP)
    );
    let page = browser.page(STEP_UP);
    assert_eq!(title(&page), "Confirm that it is you · Tokenhouse");
    assert!(page.contains("To go on to /console/users, a second factor is needed"));
    assert!(!page.contains(r#"name="confirm""#), "{page}");
    let code = ada.app.code(clock.now().and_utc());
    // A wrong code keeps the way, also in another language.
    let wrong = submit(&mut browser, &page, &[("confirm-code", "000000")]);
    assert_eq!(wrong.status, 422, "{wrong:?}");
    let text = wrong.text();
    assert!(
        text.contains("next=%2Fconsole%2Fusers%3Fq%3Dada&#38;lang="),
        "{text}"
    );
    let passed = submit(&mut browser, wrong.text(), &[("confirm-code", &code)]);
    assert_eq!((passed.status, location(&passed).as_str()), (303, PAGE));
    assert!(browser.page(PAGE).contains("ada@example.com"));
    // Nothing is missing any more.
    let onward = browser.get(STEP_UP);
    assert_eq!((onward.status, location(&onward).as_str()), (303, PAGE));
}

fn console_leads_to_adding_a_factor(backend: Backend) {
    let (app, clock) = start(backend);
    let ada = app.register_with("ada", "users:read users:write");
    let mut browser = Browser::of(&ada);
    let refused = browser.get(PAGE);
    let page = browser.page(&location(&refused));
    let asked = submit(&mut browser, &page, &[("confirm", &ada.password)]);
    assert_eq!(asked.status, 200, "{asked:?}");
    let seed = hidden(asked.text(), "secret").expect("an app to add");
    let code = Authenticator::scan(&seed).code(clock.now().and_utc());
    let codes = submit(&mut browser, asked.text(), &[("otp", &code)]);
    assert_eq!(codes.status, 200, "{codes:?}");
    let (_, onward) = codes
        .text()
        .split_once(r#"href="/signin/continue"#)
        .unwrap();
    let onward = format!("/signin/continue{}", onward.split('"').next().unwrap());
    assert_eq!(location(&browser.get(&onward)), PAGE);
    assert!(browser.page(PAGE).contains("ada@example.com"));
    // A form is not sent again, so it is refused with a sentence.
    clock.advance(TimeDelta::minutes(1));
    let mut plain = Browser::of(&app.register_with("eve", "users:read users:write"));
    let user = hidden(&plain.page("/account"), "user").unwrap();
    let refused = plain.post("/console/users/1/disable", &[("user", &user)]);
    assert_eq!(refused.status, 401, "{refused:?}");
    assert!(refused.text().contains("This page needs a second factor"));
    // The way leads to no other site, and not without a sign-in.
    let elsewhere = plain.get("/signin/confirm?next=https://evil.example/console");
    assert_eq!(elsewhere.status, 303);
    assert!(
        location(&elsewhere).starts_with("/signin?"),
        "{elsewhere:?}"
    );
    let nobody = Browser::new(&app).get(STEP_UP);
    let sign_in = STEP_UP.replace("/confirm", "");
    assert_eq!((nobody.status, location(&nobody)), (303, sign_in));
}
