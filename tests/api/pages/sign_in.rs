//! Signing in and out on the pages.

use chrono::{DateTime, TimeDelta};
use tokenhouse::Clock;

use super::browser::{Browser, hidden, location, title};
use crate::harness::{Backend, TestApp, concurrently, on_both_databases};

on_both_databases!(
    browser_signs_in_and_out,
    wrong_passwords_count_as_at_the_token_route,
    session_ends_after_its_idle_time_and_its_lifetime,
    sign_in_is_recorded_as_that_of_a_browser,
    session_ends_in_every_process_at_once,
);

fn browser_signs_in_and_out(backend: Backend) {
    let app = TestApp::start(backend);
    let ada = app.register("ada");
    let mut browser = Browser::new(&app);
    // Sent to the sign-in page, and back afterwards.
    let sign_in = location(&browser.get("/account/sessions"));
    assert_eq!(sign_in, "/signin?next=/account/sessions");
    let next = hidden(&browser.page(&sign_in), "next").unwrap();
    let response = browser.sign_in_with(&ada, &[("next", &next)]);
    let cookie = response.header("set-cookie").unwrap();
    assert!(cookie.starts_with("tokenhouse=tkb_"), "{cookie}");
    assert!(
        cookie.ends_with("; Path=/; HttpOnly; SameSite=Lax"),
        "{cookie}"
    );
    let onward = location(&response);
    assert_eq!(location(&browser.get(&onward)), "/account/sessions");
    assert!(browser.page("/account").contains(&ada.email));
    // The sign-in page is not needed any more.
    assert_eq!(location(&browser.get("/signin")), "/account");

    let secret = browser.secret();
    let response = browser.submit("/account", "/signout", &[]);
    assert_eq!(location(&response), "/signin?signed-out");
    assert_eq!(browser.cookie("tokenhouse"), None);
    browser.set_cookie("tokenhouse", &secret);
    assert!(
        !browser.is_signed_in(),
        "the session has ended on the server"
    );
    // Signing out again leads to the same page.
    let response = browser.post("/signout", &[("user", "1")]);
    assert_eq!(location(&response), "/signin");
}

#[test]
fn each_sign_in_has_a_new_secret_and_ends_the_earlier_session_of_the_browser() {
    let app = TestApp::builder(Backend::Sqlite)
        .setting("TOKENHOUSE_SESSIONS_PER_USER", "5")
        .start();
    let (ada, bob) = (app.register("ada"), app.register("bob"));
    let mut browser = Browser::of(&ada);
    let first = browser.secret();
    browser.sign_in(&bob);
    assert_ne!(browser.secret(), first);
    assert!(browser.page("/account").contains(&bob.email));
    let mut copy = Browser::new(&app);
    copy.set_cookie("tokenhouse", &first);
    assert!(!copy.is_signed_in());
    // Another browser of the same user stays signed in.
    let mut other = Browser::of(&bob);
    assert!(browser.is_signed_in() && other.is_signed_in());
}

#[test]
fn refused_sign_in_keeps_what_was_typed_and_says_why_first() {
    let app = TestApp::start(Backend::Sqlite);
    let ada = app.register("ada");
    let mut browser = Browser::new(&app);
    let fields = [
        ("email", "<ada>@example.com\""),
        ("password", "wrong-and-not-shown"),
        ("keep", "yes"),
        ("next", "/account/sessions"),
    ];
    let response = browser.post("/signin", &fields);
    let page = response.text();
    assert_eq!(response.status, 401);
    assert_eq!(title(page), "Error: Sign in · Tokenhouse");
    let alert = page.find(r#"role="alert">The e-mail address or the password is wrong."#);
    assert!(alert.unwrap() < page.find("<form").unwrap());
    assert!(
        page.contains(r#"value="&#60;ada&#62;@example.com&#34;""#),
        "{page}"
    );
    assert!(page.contains(r#"value="yes" checked"#));
    assert_eq!(hidden(page, "next").unwrap(), "/account/sessions");
    assert!(!page.contains("wrong-and-not-shown"));

    let response = browser.post("/signin", &[("email", &ada.email)]);
    let page = response.text();
    assert_eq!(response.status, 422);
    assert!(
        page.contains(r#"id="password-error">Fill in this field."#),
        "{page}"
    );
    assert!(page.contains(r#"aria-invalid="true" aria-describedby="password-error""#));
    assert!(page.contains("Please check the marked field."));
    assert!(page.contains(&format!(r#"value="{}""#, ada.email)));

    // A way back that is none of our pages is forgotten.
    for next in [
        "https://evil.example/",
        "//evil.example",
        "/signout",
        "/account/../x",
    ] {
        let response = browser.post("/signin", &[("email", "x"), ("next", next)]);
        assert_eq!(hidden(response.text(), "next"), None, "{next}");
        let query = form_urlencoded::byte_serialize(next.as_bytes()).collect::<String>();
        let page = browser.page(&format!("/signin?next={query}"));
        assert_eq!(hidden(&page, "next"), None, "{next}");
    }
    browser.sign_in(&ada);
    let onward = location(&browser.get("/signin/continue?next=https://evil.example/"));
    assert_eq!(onward, "/account");
}

fn wrong_passwords_count_as_at_the_token_route(backend: Backend) {
    let app = TestApp::builder(backend)
        .setting("TOKENHOUSE_LIMITS", "on")
        .setting("TOKENHOUSE_LIMIT_ACCOUNT", "3")
        .setting("TOKENHOUSE_LIMIT_ADDRESS", "6")
        .start();
    let ada = app.register("ada");
    let mut browser = Browser::new(&app);
    let wrong = [("email", ada.email.as_str()), ("password", "wrong")];
    for _ in 0..2 {
        assert_eq!(browser.post("/signin", &wrong).status, 401);
    }
    assert_eq!(ada.try_sign_in("wrong", "").status, 401);
    // The account is throttled now, on both ways in, and with the right password.
    let refused = browser.sign_in(&ada);
    assert_eq!(refused.status, 401);
    assert!(refused.text().contains("is wrong."));
    assert_eq!(ada.try_sign_in(&ada.password, "").status, 401);
    let statuses = (0..8).map(|_| browser.post("/signin", &wrong));
    let refused = statuses.filter(|response| response.status == 429).last();
    let refused = refused.expect("the address is throttled");
    assert!(refused.header("retry-after").is_some());
    assert!(refused.text().contains("Too many attempts. Try again in "));
    assert!(refused.text().contains(&ada.email));
}

fn session_ends_after_its_idle_time_and_its_lifetime(backend: Backend) {
    let clock = Clock::manual(DateTime::UNIX_EPOCH + TimeDelta::days(20_000));
    let app = TestApp::builder(backend)
        .setting("TOKENHOUSE_SESSIONS_PER_USER", "9")
        .clock(clock.clone())
        .start();
    let ada = app.register("ada");
    let mut kept = Browser::new(&app);
    let response = kept.sign_in_with(&ada, &[("keep", "yes")]);
    let cookie = response.header("set-cookie").unwrap();
    assert!(cookie.ends_with("; Max-Age=2592000"), "{cookie}");
    let mut idle = Browser::of(&ada);
    clock.advance(TimeDelta::minutes(119));
    assert!(idle.is_signed_in());
    clock.advance(TimeDelta::minutes(125));
    assert!(!idle.is_signed_in());
    // A kept one neither needs to be used nor ends before 30 days.
    clock.advance(TimeDelta::days(29));
    assert!(kept.is_signed_in());
    clock.advance(TimeDelta::days(1));
    assert!(!kept.is_signed_in());

    let short = app
        .sibling()
        .setting("TOKENHOUSE_BROWSER_LIFETIME", "1h")
        .clock(clock.clone())
        .start();
    let mut browser = Browser::new(&short);
    browser.sign_in(&ada);
    clock.advance(TimeDelta::minutes(59));
    assert!(browser.is_signed_in());
    clock.advance(TimeDelta::minutes(1));
    assert!(!browser.is_signed_in());
}

fn sign_in_is_recorded_as_that_of_a_browser(backend: Backend) {
    let app = TestApp::builder(backend)
        .setting("TOKENHOUSE_SESSIONS_PER_USER", "5")
        .start();
    let ada = app.register("ada");
    let mut browser = Browser::of(&ada);
    browser.submit(
        "/account",
        "/account",
        &[("name", "Ada L."), ("surname", "L")],
    );
    let token = ada.sign_in();
    let events = app.get("/users/me/events").bearer(&token).send().json();
    let events = events["events"].as_array().unwrap().clone();
    let found = |action: &str, credential: &str| {
        let is_it = |event: &&serde_json::Value| {
            event["action"] == action && event["credential"] == credential
        };
        events.iter().filter(is_it).cloned().collect::<Vec<_>>()
    };
    let sign_ins = found("login", "password");
    let kinds: Vec<_> = sign_ins
        .iter()
        .map(|event| event["detail"]["kind"].clone())
        .collect();
    assert_eq!(kinds, [serde_json::Value::Null, "browser".into()]);
    assert_eq!(found("user.update", "browser").len(), 1, "{events:#?}");
    let sessions = app.get("/users/me/sessions").bearer(&token).send().json();
    let kinds = sessions["sessions"].as_array().unwrap().iter();
    let kinds: Vec<_> = kinds.map(|session| session["kind"].clone()).collect();
    assert!(kinds.contains(&"browser".into()) && kinds.contains(&"api".into()));
}

fn session_ends_in_every_process_at_once(backend: Backend) {
    let app = TestApp::builder(backend)
        .setting("TOKENHOUSE_SESSIONS_PER_USER", "9")
        .start();
    let (_process, other) = app.spawn_server();
    let ada = app.register("ada");
    let mut browser = Browser::of(&ada);
    let mut elsewhere = Browser::new(&other);
    for path in ["/signout", "/account/sessions/end-others"] {
        browser.sign_in(&ada);
        elsewhere.set_cookie("tokenhouse", &browser.secret());
        // In the memory of both.
        assert!(browser.is_signed_in() && elsewhere.is_signed_in());
        let mut ending = match path {
            "/signout" => Browser::new(&app),
            _ => Browser::of(&ada),
        };
        if path == "/signout" {
            ending.set_cookie("tokenhouse", &browser.secret());
        }
        ending.submit("/account", path, &[]);
        assert!(!elsewhere.is_signed_in(), "{path}");
    }
}

/// A full queue is a page with the form, which keeps the address.
#[test]
fn busy_service_asks_to_try_again() {
    let app = TestApp::builder(Backend::Sqlite)
        .setting("TOKENHOUSE_BCRYPT_COST", "12")
        .setting("TOKENHOUSE_HASH_QUEUE_MS", "1")
        .start();
    let fields = [("email", "nobody@example.com"), ("password", "wrong")];
    let responses = concurrently(8, 8, |_| Browser::new(&app).post("/signin", &fields));
    let busy = responses.iter().filter(|response| response.status == 503);
    let busy: Vec<_> = busy.collect();
    assert!(busy.len() >= 4, "{responses:?}");
    for response in busy {
        assert_eq!(response.header("retry-after").as_deref(), Some("1"));
        let page = response.text();
        assert!(page.contains("Many people are signing in right now. Try again in 1 second."));
        assert!(page.contains(r#"value="nobody@example.com""#) && !page.contains("wrong\""));
    }
}

/// Nothing says whether there is an account.
#[test]
fn all_refusals_are_identical_but_for_the_address() {
    let app = TestApp::start(Backend::Sqlite);
    let (ada, bob) = (app.register("ada"), app.register("bob"));
    app.database()
        .execute("UPDATE users SET disabled_at = created_at WHERE email = 'bob@example.com'");
    let refused = |email: &str, password: &str| {
        let fields = [("email", email), ("password", password)];
        let response = Browser::new(&app).post("/signin", &fields);
        let mut headers = response.headers.clone();
        headers.retain(|(name, _)| !["date", "x-request-id", "content-length"].contains(&&**name));
        headers.sort();
        let page = response.text().replace(email, "(address)");
        (response.status, headers, page)
    };
    let wrong = refused(&ada.email, "wrong");
    assert_eq!(wrong.0, 401);
    assert_eq!(wrong, refused("nobody@example.com", "wrong"));
    assert_eq!(wrong, refused("no address", "wrong"));
    assert_eq!(wrong, refused(&bob.email, &bob.password));
}

/// The token of a browser never leaves the cookie, whatever the settings of refresh tokens are.
#[test]
fn browsers_get_no_refresh_token() {
    let app = TestApp::builder(Backend::Sqlite)
        .setting("TOKENHOUSE_REFRESH", "always")
        .start();
    let ada = app.register("ada");
    let mut browser = Browser::of(&ada);
    assert!(browser.is_signed_in());
    assert_eq!(app.database().count("refresh_tokens"), 0);
}

#[test]
fn secret_of_a_browser_is_inactive_and_cannot_be_revoked_by_the_api() {
    let app = TestApp::start(Backend::Sqlite);
    let ada = app.register("ada");
    let client = app.create_app("client", "introspect");
    let mut browser = Browser::of(&ada);
    let secret = browser.secret();
    let introspect = app.post("/introspect").bearer(&client);
    let answer = introspect.form(&[("token", &secret)]).send();
    assert_eq!(answer.json(), serde_json::json!({ "active": false }));
    let revoke = app.post("/revoke").form(&[("token", &secret)]).send();
    assert_eq!(revoke.status, 200);
    assert!(browser.is_signed_in());
}
