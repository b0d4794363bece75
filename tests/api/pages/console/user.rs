//! One user: created, changed and deleted.

use super::{administrator, id_of};
use crate::harness::{Backend, TestApp, concurrently, on_both_databases};
use crate::pages::browser::{Browser, hidden, location};

on_both_databases!(
    user_is_created_once_however_often_the_button_is_pressed,
    changes_are_made_and_recorded,
    sessions_and_keys_are_ended,
    last_administrator_stays,
);

fn user_is_created_once_however_often_the_button_is_pressed(backend: Backend) {
    let app = TestApp::start(backend);
    let (_, mut browser) = administrator(&app);
    let new = "/console/users/new";
    let bad = [
        ("email", "no address"),
        ("name", "Bob Example"),
        ("scopes", "a\"b"),
    ];
    let response = browser.submit(new, "/console/users", &bad);
    assert_eq!(response.status, 422, "{response:?}");
    let text = response.text();
    assert!(text.contains(r#"value="no address""#) && text.contains(r#"value="Bob Example""#));
    assert_eq!(text.matches("aria-invalid").count(), 3, "{text}");

    let user = hidden(&browser.page(new), "user").unwrap();
    let good = [
        ("user", user.as_str()),
        ("email", "bob@example.com"),
        ("name", "Bob Example"),
        ("scopes", "orders:read"),
        ("password", "mulberry-Tram-71"),
    ];
    let secret = browser.secret();
    let locations = concurrently(2, 2, |_| {
        let mut browser = Browser::new(&app);
        browser.set_cookie("tokenhouse", &secret);
        location(&browser.post("/console/users", &good))
    });
    assert_eq!(locations[0], locations[1]);
    let page = browser.page(&locations[0]);
    assert!(page.contains("The user is created.") && page.contains("orders:read"));
    let database = app.database();
    assert_eq!(database.count("users WHERE email = 'bob@example.com'"), 1);
    assert_eq!(
        database.count("audit_events WHERE action = 'user.create' AND credential = 'browser'"),
        1
    );
    // Another one's address is no success.
    let response = browser.post(
        "/console/users",
        &[&good[..1], &[("email", "admin@example.com")], &good[2..]].concat(),
    );
    assert_eq!(response.status, 409);
    assert!(response.text().contains("already an account"));
    // More than the administrator holds.
    let response = browser.post(
        "/console/users",
        &[
            &good[..1],
            &[("email", "eve@example.com"), ("scopes", "introspect")],
            &good[2..3],
            &good[4..],
        ]
        .concat(),
    );
    assert_eq!(response.status, 422, "{response:?}");
    assert!(response.text().contains("introspect"));
    assert_eq!(database.count("users WHERE email = 'eve@example.com'"), 0);
}

fn changes_are_made_and_recorded(backend: Backend) {
    let app = TestApp::start(backend);
    let ada = app.register("ada");
    let (_, mut browser) = administrator(&app);
    let page = format!("/console/users/{}", id_of(&app, &ada));
    for (action, fields, notice, recorded) in [
        (
            "scopes",
            &[("add", "users:read")][..],
            "scopes-changed",
            "user.scopes",
        ),
        (
            "scopes",
            &[("remove", "users:read")][..],
            "scopes-changed",
            "user.scopes",
        ),
        ("unlock", &[][..], "unlocked", "user.unlock"),
        ("disable", &[][..], "disabled", "user.disable"),
        ("disable", &[][..], "disabled", "user.disable"),
        ("enable", &[][..], "enabled", "user.enable"),
        ("sign-out", &[][..], "signed-out", "session.end"),
    ] {
        let response = browser.submit(&page, &format!("{page}/{action}"), fields);
        assert_eq!(location(&response), format!("{page}?{notice}"), "{action}");
        let shown = browser.page(&format!("{page}?{notice}"));
        assert!(shown.contains(r#"role="status""#), "{action}");
        assert!(
            shown.contains(&format!("<code>{recorded}</code>")),
            "{recorded}: {shown}"
        );
    }
    let recorded = "audit_events WHERE actor = 'user:2' AND level = 'users:write'
                    AND credential = 'browser' AND result = 'ok' AND action = 'user.disable'";
    assert_eq!(app.database().count(recorded), 1);
    let response = browser.submit(&page, &format!("{page}/scopes"), &[("add", "a\"b")]);
    assert_eq!(response.status, 422);
    assert!(
        response.text().contains(r#"value="a&#34;b""#),
        "{}",
        response.text()
    );
    let response = browser.submit(&page, &format!("{page}/delete"), &[]);
    assert_eq!(location(&response), "/console/users?deleted");
    assert!(
        browser
            .page("/console/users?deleted")
            .contains("The user is deleted.")
    );
    // Pressed twice.
    let user = hidden(&browser.page("/console/users/new"), "user").unwrap();
    let response = browser.post(&format!("{page}/delete"), &[("user", &user)]);
    assert_eq!(location(&response), "/console/users?deleted");
    assert_eq!(browser.get(&page).status, 404);
}

fn sessions_and_keys_are_ended(backend: Backend) {
    let app = TestApp::builder(backend)
        .setting("TOKENHOUSE_SESSIONS_PER_USER", "9")
        .start();
    let ada = app.register("ada");
    let (first, second) = (ada.sign_in(), ada.sign_in());
    let key = app.create_key(&first, "").secret;
    let (_, mut browser) = administrator(&app);
    let page = format!("/console/users/{}", id_of(&app, &ada));
    let status = |secret: &str| app.get("/users/me").bearer(secret).send().status;
    let action = |text: &str, ending: &str| {
        let mut actions = text
            .split("action=\"")
            .skip(1)
            .map(|rest| rest.split('"').next().unwrap());
        actions
            .find(|action| action.ends_with(ending))
            .unwrap()
            .to_owned()
    };
    let end = action(&browser.page(&page), "/end");
    for _ in 0..2 {
        let response = browser.submit(&page, &end, &[]);
        assert_eq!(location(&response), format!("{page}?session-ended"));
    }
    let mut statuses = [status(&first), status(&second)];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 401]);
    let revoke = action(&browser.page(&page), "/revoke");
    for _ in 0..2 {
        let response = browser.submit(&page, &revoke, &[]);
        assert_eq!(location(&response), format!("{page}?key-revoked"));
    }
    assert_eq!(status(&key), 401);
    browser.submit(&page, &format!("{page}/sign-out"), &[]);
    assert_eq!([status(&first), status(&second)], [401, 401]);
}

fn last_administrator_stays(backend: Backend) {
    let app = TestApp::start(backend);
    let (admin, mut browser) = administrator(&app);
    let page = format!("/console/users/{}", id_of(&app, &admin));
    for (action, fields) in [
        ("disable", &[][..]),
        ("delete", &[][..]),
        ("scopes", &[("remove", "users:write")][..]),
    ] {
        let response = browser.submit(&page, &format!("{page}/{action}"), fields);
        assert_eq!(response.status, 409, "{action}: {response:?}");
        assert!(
            response.text().contains("the last administrator"),
            "{action}"
        );
        assert!(response.text().contains("tokenhouse user"), "{action}");
    }
    // Two do it to each other at the same time.
    let other = app.register_with("other", super::ALL);
    let mut rival = Browser::of(&other);
    let ids = [id_of(&app, &other), id_of(&app, &admin)];
    let secrets = [browser.secret(), rival.secret()];
    let statuses = concurrently(2, 2, |number| {
        let mut browser = Browser::new(&app);
        browser.set_cookie("tokenhouse", &secrets[number]);
        let user = ids[1 - number].to_string();
        let path = format!("/console/users/{}/disable", ids[number]);
        browser.post(&path, &[("user", &user)]).status
    });
    assert!(statuses.contains(&303), "{statuses:?}");
    let left = "users WHERE disabled_at IS NULL AND scopes LIKE '%users:write%'";
    assert_eq!(app.database().count(left), 1);
    let is_signed_in = [browser.is_signed_in(), rival.is_signed_in()];
    assert_eq!(is_signed_in.iter().filter(|is| **is).count(), 1);
}
