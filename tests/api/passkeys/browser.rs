//! Passkeys on the pages, with Chromium and the authenticator that it has for tests.

use chrono::TimeDelta;
use serde_json::json;
use tokenhouse::Clock;

use super::{builder, count_events};
use crate::harness::chromium::Chromium;
use crate::harness::{Backend, Person, TestApp};

/// Browsers allow passkeys here without TLS. The port is that of no server: Chromium is told where it is.
const SITE: &str = "http://localhost:8123";

fn start(mode: &str) -> (TestApp, Chromium) {
    let (app, browser, _clock) = start_with(mode, "optional");
    (app, browser)
}

/// Starts a server with this `TOKENHOUSE_MFA`, and a browser.
fn start_with(mode: &str, mfa: &str) -> (TestApp, Chromium, Clock) {
    let (builder, clock) = builder(Backend::Sqlite, mode);
    let builder = builder.setting("TOKENHOUSE_PUBLIC_URL", SITE);
    let app = builder.setting("TOKENHOUSE_MFA", mfa).start();
    let browser = Chromium::start(app.address(), true);
    (app, browser, clock)
}

/// Wants an API key, for which the sign-in is too long ago.
fn want_key(browser: &Chromium) {
    browser.open(&format!("{SITE}/account/keys"));
    browser.type_into("#name", "backup");
    browser.click("form[action$='/account/keys'] button");
    browser.wait_for_text("Confirm that it is you");
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
    // The browser is told which passkeys count.
    let page = browser.source();
    assert!(page.contains("signalAllAcceptedCredentials"), "{page}");
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
fn passkey_proves_the_user_again() {
    let (app, browser, clock) = start_with("first", "optional");
    let ada = app.register("ada");
    browser.add_authenticator(true);
    enter_password(&browser, &ada);
    browser.wait_for(is_account);
    make_passkey(&browser);
    let page = browser.source();
    let code = page.split("<code>").nth(1).unwrap();
    let code = code.split('<').next().unwrap().to_owned();
    clock.advance(TimeDelta::minutes(16));
    want_key(&browser);
    browser.click(PASSKEY);
    browser.wait_for_text("tkh_");
    assert_eq!(app.database().count("api_keys"), 1);
    assert_eq!(count_events(&app, "session.renew", "pwd hwk user mfa"), 1);
    // Without scripts, the page says what else proves the user.
    let plain = Chromium::start(app.address(), false);
    enter_password(&plain, &ada);
    plain.type_into("#code", &code);
    plain.click("form[action$='/signin/factor'] button");
    plain.wait_for(is_account);
    clock.advance(TimeDelta::minutes(16));
    want_key(&plain);
    let page = plain.source();
    assert!(page.contains("Your password and a recovery code work without it."));
    assert!(page.contains(">Recovery code</label>"), "{page}");
}

#[test]
fn passkey_proves_the_user_again_after_the_password() {
    let (app, browser, clock) = start_with("second", "optional");
    let ada = app.register("ada");
    browser.add_authenticator(false);
    enter_password(&browser, &ada);
    browser.wait_for(is_account);
    make_passkey(&browser);
    clock.advance(TimeDelta::minutes(16));
    want_key(&browser);
    // The browser asks for the password first.
    browser.click(PASSKEY);
    browser.type_into("#confirm", "wrong");
    browser.click(PASSKEY);
    browser.wait_for_text("confirm-error");
    assert_eq!(app.database().count("api_keys"), 0);
    browser.type_into("#confirm", &ada.password);
    browser.click(PASSKEY);
    browser.wait_for_text("tkh_");
}

#[test]
fn passkey_is_added_at_a_sign_in_that_requires_it() {
    let (app, browser, _clock) = start_with("first", "required");
    let ada = app.register("ada");
    let authenticator = browser.add_authenticator(true);
    enter_password(&browser, &ada);
    browser.wait_for_text("Add a passkey instead");
    browser.click("form[action$='/signin/enrol/passkey'] button");
    browser.wait_for_text("Create the passkey");
    // One that cannot verify the user is begun again.
    browser.set_verified(&authenticator, false);
    browser.click(PASSKEY);
    browser.wait_for_text("That did not work, or was cancelled");
    browser.set_verified(&authenticator, true);
    browser.click(PASSKEY);
    browser.wait_for_text("I have saved them");
    assert_eq!(browser.source().matches("<li><code>").count(), 10);
    browser.click("a.button");
    browser.wait_for(is_account);
    browser.set_verified(&authenticator, false);
    sign_out(&browser);
    browser.set_verified(&authenticator, true);
    browser.open(&format!("{SITE}/signin"));
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
    browser.click("details:has(form[action$='/remove']) summary");
    browser.click("form[action$='/remove'] button");
    browser.wait_for(|url| url.ends_with("/account/factors?removed"));
    let told = "&quot;allAcceptedCredentialIds&quot;:[]";
    assert!(browser.source().contains(told), "{}", browser.source());
    // The page that a sign-in leads to tells it as well, and this browser forgets the passkey.
    browser.open(&format!("{SITE}/account"));
    browser.replace_passkeys(&authenticator, &made[0]);
    browser.click("form[action$='/signout'] button");
    // The browser chooses it at once, and once only.
    browser.wait_for_text("The passkey was not accepted");
    browser.wait_for_text("signalUnknownCredential");
    browser.click("#email");
    assert_eq!(count_events(&app, "login", "\"passkey\":\"unknown\""), 1);
}

#[test]
fn passkey_works_only_under_its_own_name() {
    let (app, browser) = start("first");
    let ada = app.register("ada");
    browser.add_authenticator(true);
    enter_password(&browser, &ada);
    browser.wait_for(is_account);
    make_passkey(&browser);
    // Browsers know this address, but make no passkeys for it.
    browser.open(
        &SITE
            .replace("localhost", "127.0.0.1")
            .replace("8123", "8123/signin"),
    );
    browser.wait_for_text("Passkeys work only at localhost.");
    // Under another name below the domain, the browser or the service refuses.
    browser.open(&SITE.replace("localhost:8123", "other.localhost:8123/signin"));
    browser.click(PASSKEY);
    browser.wait_for_text("That did not work, or was cancelled");
    let signed_in = "audit_events WHERE action = 'login' AND result = 'ok'";
    assert_eq!(app.database().count(signed_in), 1);
    // Without TLS and under a name that is not of this machine, there are none.
    browser.open(&SITE.replace("localhost:8123", "elsewhere.example:8123/signin"));
    browser.wait_for_text("This browser cannot use passkeys.");
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
