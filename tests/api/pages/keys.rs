//! The page of the API keys.

use chrono::{DateTime, TimeDelta};
use tokenhouse::Clock;

use super::browser::{Browser, hidden, location, title};
use crate::harness::{Backend, Response, TestApp, concurrently, on_both_databases};

on_both_databases!(
    keys_are_made_shown_once_and_revoked,
    button_pressed_twice_leaves_one_key
);

const PAGE: &str = "/account/keys";

/// The key that a page shows.
#[track_caller]
fn secret(response: &Response) -> String {
    assert_eq!(response.status, 200, "{response:?}");
    let (_, rest) = response
        .text()
        .split_once("class=\"secret\">")
        .expect("a key");
    rest.split('<').next().unwrap().to_owned()
}

fn keys_are_made_shown_once_and_revoked(backend: Backend) {
    let clock = Clock::manual(DateTime::UNIX_EPOCH + TimeDelta::days(20_000));
    let app = TestApp::builder(backend).clock(clock.clone()).start();
    let ada = app.register_with("ada", "orders:read orders:write");
    let mut browser = Browser::of(&ada);
    assert!(browser.page(PAGE).contains("You have no API keys yet."));
    let fields = [
        ("name", "backup <script>"),
        ("scope", "orders:write"),
        ("scope", "orders:read"),
        ("days", "30"),
    ];
    let created = browser.submit(PAGE, PAGE, &fields);
    let key = secret(&created);
    assert_eq!(app.status("/users/me", &key), 200);
    let page = browser.page(PAGE);
    assert!(!page.contains(&key) && page.contains(&key[..8]));
    assert!(page.contains("backup &#60;script&#62;") && page.contains("orders:read orders:write"));
    let ends = (clock.now() + TimeDelta::days(30))
        .format("%Y-%m-%d")
        .to_string();
    assert!(page.contains(&ends), "{page}");

    let nameless = browser.submit(PAGE, PAGE, &[("name", " "), ("scope", "orders:read")]);
    assert_eq!(nameless.status, 422);
    assert!(
        nameless
            .text()
            .contains(r#"id="name-error">Use at least 1 character."#)
    );
    assert!(nameless.text().contains(r#"value="orders:read" checked"#));
    let foreign = browser.submit(PAGE, PAGE, &[("name", "x"), ("scope", "users:write")]);
    assert_eq!(foreign.status, 422);

    // Later, only with the password; what was typed comes back.
    clock.advance(TimeDelta::minutes(16));
    let typed = [
        ("name", "later"),
        ("scope", "orders:read"),
        ("scope", "orders:write"),
        ("days", "7"),
    ];
    let asked = browser.submit(PAGE, PAGE, &typed);
    assert_eq!(asked.status, 403, "{asked:?}");
    let page = asked.text();
    assert_eq!(title(page), "Confirm that it is you · Tokenhouse");
    for (name, value) in &typed {
        let field = format!(r#"name="{name}" value="{value}""#);
        assert!(page.contains(&field), "{field}: {page}");
    }
    let wrong = [("name", "later"), ("confirm", "wrong")];
    assert_eq!(browser.submit(PAGE, PAGE, &wrong).status, 422);
    let right = [("name", "later"), ("confirm", &*ada.password)];
    let later = secret(&browser.submit(PAGE, PAGE, &right));

    let page = browser.page(PAGE);
    let (_, after) = page.split_once("backup").unwrap();
    let (_, action) = after.split_once("action=\"").unwrap();
    let revoke = action.split('"').next().unwrap().to_owned();
    assert_eq!(
        location(&browser.submit(PAGE, &revoke, &[])),
        "/account/keys?revoked"
    );
    assert_eq!(
        location(&browser.submit(PAGE, &revoke, &[])),
        "/account/keys?revoked"
    );
    assert!(
        browser
            .page("/account/keys?revoked")
            .contains("The key is revoked.")
    );
    assert_eq!(
        [&key, &later].map(|key| app.status("/users/me", key)),
        [401, 200]
    );
}

/// N25: at once, or one after the other.
fn button_pressed_twice_leaves_one_key(backend: Backend) {
    let app = TestApp::start(backend);
    let mut browser = Browser::of(&app.register("ada"));
    let user = hidden(&browser.page(PAGE), "user").unwrap();
    let cookie = format!("tokenhouse={}", browser.secret());
    let press = |name: &str| {
        let request = app
            .post(PAGE)
            .form(&[("user", user.as_str()), ("name", name)]);
        let request = request.header("Cookie", &cookie).host("localhost");
        secret(&request.header("Sec-Fetch-Site", "same-origin").send())
    };
    let keys = [press("twice"), press("twice")];
    let works = keys.map(|key| app.status("/users/me", &key));
    assert_eq!(works, [401, 200]);
    concurrently(2, 2, |_| press("at once"));
    let live = "api_keys WHERE name = 'at once' AND revoked_at IS NULL";
    assert_eq!(app.database().count(live), 1);
}

/// The id of another user's key revokes nothing.
#[test]
fn keys_of_others_stay() {
    let app = TestApp::start(Backend::Sqlite);
    let bob = app.register("bob");
    let key = app.create_key(&bob.sign_in(), "");
    let mut ada = Browser::of(&app.register("ada"));
    ada.submit(PAGE, &format!("{PAGE}/{}/revoke", key.id), &[]);
    assert_eq!(app.status("/users/me", &key.secret), 200);
}
