//! Who may use the console, and when the password is asked for once more.

use chrono::{TimeDelta, Utc};
use tokenhouse::Clock;

use super::{ALL, administrator, id_of};
use crate::factors::app::{builder, enrol_as};
use crate::harness::{Backend, TestApp, on_both_databases};
use crate::pages::browser::{Browser, hidden, location, title};

on_both_databases!(
    console_needs_a_scope_and_says_which,
    password_is_asked_for_once_more_after_a_while,
    administrator_with_an_app_is_asked_for_a_code_too,
);

fn console_needs_a_scope_and_says_which(backend: Backend) {
    let app = TestApp::start(backend);
    let ada = app.register("ada");
    let mut browser = Browser::of(&ada);
    assert!(!browser.page("/account").contains("/console"));
    for path in ["/console", "/console/users", "/console/users/1"] {
        let response = browser.get(path);
        assert_eq!(response.status, 403, "{path}");
        let text = response.text();
        assert!(
            text.contains("You are signed in as ada@example.com."),
            "{text}"
        );
        assert!(text.contains("users:read"), "{text}");
    }
    assert_eq!(
        app.database()
            .count("audit_events WHERE action = 'scope.refused' AND credential = 'browser'"),
        3
    );
    // Reads, and writes nothing.
    let reader = app.register_with("reader", "users:read");
    let mut browser = Browser::of(&reader);
    assert!(browser.page("/account").contains(r#"href="/console""#));
    let id = id_of(&app, &ada);
    let page = browser.page(&format!("/console/users/{id}"));
    assert_eq!(title(&page), "ada Example Example · Tokenhouse");
    assert!(!page.contains("/disable") && !page.contains("Recent events"));
    assert!(
        !browser
            .page("/console/users")
            .contains("/console/users/new")
    );
    assert_eq!(browser.get("/console/users/new").status, 403);
    let user = id_of(&app, &reader).to_string();
    let response = browser.post(&format!("/console/users/{id}/disable"), &[("user", &user)]);
    assert_eq!(response.status, 403);
    assert!(response.text().contains("users:write"));
    assert_eq!(
        app.database().count("users WHERE disabled_at IS NOT NULL"),
        0
    );
}

fn password_is_asked_for_once_more_after_a_while(backend: Backend) {
    let clock = Clock::manual(Utc::now());
    let app = TestApp::builder(backend).clock(clock.clone()).start();
    let ada = app.register("ada");
    let (admin, mut browser) = administrator(&app);
    let page = format!("/console/users/{}", id_of(&app, &ada));
    let path = format!("{page}/scopes");
    let before = browser.secret();
    clock.advance(TimeDelta::minutes(16));
    let response = browser.submit(&page, &path, &[("add", "orders:read & more")]);
    assert_eq!(response.status, 403, "{response:?}");
    let asked = response.text().to_owned();
    assert_eq!(title(&asked), "Confirm that it is you · Tokenhouse");
    assert_eq!(
        hidden(&asked, "add").as_deref(),
        Some("orders:read &#38; more")
    );
    assert!(asked.contains(&format!(r#"action="{path}""#)));

    let user = hidden(&asked, "user").unwrap();
    let send = |browser: &mut Browser, password: &str| {
        let fields = [
            ("user", user.as_str()),
            ("add", "orders:read"),
            ("confirm", password),
        ];
        browser.post(&path, &fields)
    };
    let response = send(&mut browser, "wrong");
    assert_eq!(response.status, 422, "{response:?}");
    let text = response.text();
    assert_eq!(title(text), "Error: Confirm that it is you · Tokenhouse");
    assert!(text.contains("The password is wrong.") && text.contains(r#"aria-invalid="true""#));
    assert_eq!(hidden(text, "add").as_deref(), Some("orders:read"));
    assert_eq!(
        app.database().count("users WHERE scopes = 'orders:read'"),
        0
    );

    let response = send(&mut browser, &admin.password);
    assert_eq!(location(&response), format!("{page}?scopes-changed"));
    assert_eq!(
        app.database().count("users WHERE scopes = 'orders:read'"),
        1
    );
    // A new secret of the same session; the earlier one is worth nothing.
    assert_eq!(app.database().count("sessions WHERE kind = 'browser'"), 1);
    assert_ne!(browser.secret(), before);
    let mut earlier = Browser::new(&app);
    earlier.set_cookie("tokenhouse", &before);
    assert!(!earlier.is_signed_in());
    // Recent again.
    let response = browser.submit(&page, &path, &[("remove", "orders:read")]);
    assert_eq!(location(&response), format!("{page}?scopes-changed"));
    // A form for a new user comes back with all but the password.
    clock.advance(TimeDelta::minutes(16));
    assert!(
        browser
            .page("/console/users/new")
            .contains(r#"name="confirm""#)
    );
    let typed = [
        ("email", "eve@example.com"),
        ("name", "Eve Example"),
        ("password", "secret-9!"),
    ];
    let response = browser.submit("/console/users/new", "/console/users", &typed);
    assert_eq!(response.status, 403);
    let text = response.text();
    assert_eq!(hidden(text, "email").as_deref(), Some("eve@example.com"));
    assert!(!text.contains("secret-9!"));
}

fn administrator_with_an_app_is_asked_for_a_code_too(backend: Backend) {
    let (builder, clock) = builder(backend);
    let app = builder.start();
    let ada = app.register("ada");
    let (admin, mut browser) = administrator(&app);
    let page = format!("/console/users/{}", id_of(&app, &ada));
    let path = format!("{page}/scopes");
    let admin = enrol_as(&app, &clock, admin);
    let now = || clock.now().and_utc();
    let wrong = || admin.app.code(now() + TimeDelta::seconds(600));
    // Recent, but without the app that the user has by now.
    let change = ("add", "orders:read");
    let password = ("confirm", &*admin.person.password);
    for typed in [&[change][..], &[change, password]] {
        let asked = browser.submit(&page, &path, typed);
        assert_eq!(asked.status, 403, "{asked:?}");
        assert!(asked.text().contains(r#"name="confirm-code""#), "{asked:?}");
        assert_eq!(hidden(asked.text(), "add").as_deref(), Some("orders:read"));
    }
    for code in ["12", &wrong()] {
        let typed = [change, password, ("confirm-code", code)];
        let refused = browser.submit(&page, &path, &typed);
        assert_eq!(refused.status, 422, "{refused:?}");
        assert!(refused.text().contains("confirm-code-error"), "{refused:?}");
    }
    let held = "users WHERE scopes = 'orders:read'";
    assert_eq!(app.database().count(held), 0);
    let code = admin.app.code(now());
    let right = [change, password, ("confirm-code", &*code)];
    let changed = browser.submit(&page, &path, &right);
    assert_eq!(location(&changed), format!("{page}?scopes-changed"));
    assert_eq!(app.database().count(held), 1);
    // The session has shown both now.
    let changed = browser.submit(&page, &path, &[("remove", "orders:read")]);
    assert_eq!(location(&changed), format!("{page}?scopes-changed"));
}

/// Without the console there are only the pages for signing in.
#[test]
fn console_is_part_of_all_pages_only() {
    let app = TestApp::builder(Backend::Sqlite)
        .setting("TOKENHOUSE_PAGES", "signin")
        .start();
    let mut browser = Browser::of(&app.register_with("admin", ALL));
    for path in ["/console", "/console/users", "/console/users/1"] {
        assert_eq!(browser.get(path).status, 404, "{path}");
    }
}

/// N24 for the console: everything is below the path of the public URL.
#[test]
fn console_is_below_the_path_of_the_public_url() {
    let app = TestApp::builder(Backend::Sqlite)
        .setting("TOKENHOUSE_PUBLIC_URL", "https://example.com/auth")
        .start();
    let admin = app.register_with("admin", ALL);
    let ada = app.register("ada");
    let mut browser = Browser::new(&app).with("X-Forwarded-Prefix", "//evil.example");
    assert_eq!(browser.sign_in(&admin).status, 303);
    let id = id_of(&app, &ada);
    let user = format!("/console/users/{id}");
    for path in [
        "/console",
        "/console?hours=168",
        "/console/users",
        "/console/users?q=nobody",
        "/console/users/new",
        &user,
        "/console/events",
        "/console/apps",
        "/console/settings",
        "/console/health",
    ] {
        let page = browser.page(path);
        assert!(!page.contains("evil"), "{path}");
        for attribute in ["href=\"", "action=\"", "src=\""] {
            for link in page.split(attribute).skip(1) {
                let is_below = link.starts_with("/auth/") || link.starts_with('#');
                assert!(is_below, "{path}: {link:.60}");
            }
        }
    }
    let disabled = browser.submit(&user, &format!("{user}/disable"), &[]);
    assert!(location(&disabled).starts_with(&format!("/auth{user}")));
    // With the path, too, if the proxy does not remove it.
    assert_eq!(browser.get(&format!("/auth{user}")).status, 200);
    assert_eq!(browser.get("/auth/console/none").status, 404);
}
