//! Passkeys on the pages, with Chromium and the authenticator that it has for tests.

use serde_json::json;

use super::{builder, count_events};
use crate::harness::chromium::Chromium;
use crate::harness::{Backend, Person, TestApp};

/// Browsers allow passkeys here without TLS. The port is that of no server: Chromium is told where it is.
const SITE: &str = "http://localhost:8123";

fn start(mode: &str) -> (TestApp, Chromium) {
    let (builder, _clock) = builder(Backend::Sqlite, mode);
    let app = builder.setting("TOKENHOUSE_PUBLIC_URL", SITE).start();
    let browser = Chromium::start(app.address(), true);
    (app, browser)
}

/// Enters address and password.
fn enter_password(browser: &Chromium, person: &Person) {
    browser.open(&format!("{SITE}/signin"));
    browser.type_into("#email", &person.email);
    browser.type_into("#password", &person.password);
    browser.click("form[action$='/signin'] button");
}

/// Makes a passkey in the account of the user who is signed in.
fn make_passkey(browser: &Chromium) {
    browser.open(&format!("{SITE}/account/factors"));
    browser.click("form[action$='/account/passkeys'] button");
    browser.wait_for(|url| url.ends_with("/account/passkeys"));
    browser.click("form[data-passkey] button");
    browser.wait_for(|url| url.ends_with("/confirm"));
    browser.wait_for_text("The passkey is added");
}

fn sign_out(browser: &Chromium) {
    browser.open(&format!("{SITE}/account"));
    browser.click("form[action$='/signout'] button");
    browser.wait_for(|url| url.ends_with("/signin?signed-out"));
}

fn is_account(url: &str) -> bool {
    url == format!("{SITE}/account")
}

/// The button for a passkey.
const PASSKEY: &str = "form[data-passkey] button";

#[test]
fn passkey_is_made_and_signs_in() {
    let (app, browser) = start("first");
    let ada = app.register("ada");
    let authenticator = browser.add_authenticator(true);
    enter_password(&browser, &ada);
    browser.wait_for(is_account);
    make_passkey(&browser);
    let made = browser.passkeys(&authenticator);
    assert_eq!(made.len(), 1, "{made:?}");
    assert_eq!(
        (&made[0]["rpId"], &made[0]["isResidentCredential"]),
        (&json!("localhost"), &json!(true))
    );
    // The same authenticator makes no second one.
    browser.open(&format!("{SITE}/account/factors"));
    browser.click("form[action$='/account/passkeys'] button");
    browser.wait_for(|url| url.ends_with("/account/passkeys"));
    browser.click(PASSKEY);
    browser.wait_for_text("has a passkey for your account already");
    // An authenticator that cannot verify the user signs nobody in, and the page stays.
    browser.set_verified(&authenticator, false);
    sign_out(&browser);
    browser.click(PASSKEY);
    browser.wait_for_text("That did not work, or was cancelled");
    assert!(browser.url().ends_with("/signin?signed-out"));
    // The browser offers passkeys in the field, and this one chooses one at once.
    browser.set_verified(&authenticator, true);
    browser.open(&format!("{SITE}/signin"));
    browser.wait_for(is_account);
    assert_eq!(count_events(&app, "passkey.counter", ""), 0);
    // A copy of the passkey from before.
    browser.set_verified(&authenticator, false);
    sign_out(&browser);
    let mut copy = made[0].clone();
    copy["signCount"] = json!(0);
    browser.replace_passkeys(&authenticator, &copy);
    browser.set_verified(&authenticator, true);
    browser.open(&format!("{SITE}/signin"));
    browser.wait_for(is_account);
    assert_eq!(count_events(&app, "passkey.counter", ""), 1);
}

#[test]
fn passkey_follows_the_password() {
    let (app, browser) = start("second");
    let ada = app.register("ada");
    browser.add_authenticator(false);
    enter_password(&browser, &ada);
    browser.wait_for(is_account);
    make_passkey(&browser);
    sign_out(&browser);
    // Passkeys do not stand alone here.
    assert!(!browser.source().contains("data-passkey"));
    enter_password(&browser, &ada);
    browser.wait_for_text("Use a passkey");
    browser.click(PASSKEY);
    browser.wait_for(is_account);
}

#[test]
fn dead_passkey_is_named_to_the_browser() {
    let (app, browser) = start("first");
    let ada = app.register("ada");
    let authenticator = browser.add_authenticator(true);
    enter_password(&browser, &ada);
    browser.wait_for(is_account);
    make_passkey(&browser);
    let made = browser.passkeys(&authenticator);
    browser.open(&format!("{SITE}/account/factors"));
    browser.click("details.rename summary");
    browser.click("details.rename button");
    browser.wait_for(|url| url.ends_with("/account/factors?removed"));
    let told = "&quot;allAcceptedCredentialIds&quot;:[]";
    assert!(browser.source().contains(told), "{}", browser.source());
    browser.replace_passkeys(&authenticator, &made[0]);
    browser.open(&format!("{SITE}/account"));
    browser.click("form[action$='/signout'] button");
    // The browser chooses it at once, and once only.
    browser.wait_for_text("The passkey was not accepted");
    browser.wait_for_text("signalUnknownCredential");
    browser.click("#email");
    assert_eq!(count_events(&app, "login", "\"passkey\":\"unknown\""), 1);
}

#[test]
fn browser_without_passkeys_signs_in_with_the_password() {
    let (app, scripted) = start("first");
    let ada = app.register("ada");
    let browser = Chromium::start(app.address(), false);
    enter_password(&browser, &ada);
    browser.wait_for(is_account);
    browser.open(&format!("{SITE}/account/factors"));
    browser.click("form[action$='/account/passkeys'] button");
    browser.wait_for_text("Passkeys need JavaScript");
    drop(scripted);
}
