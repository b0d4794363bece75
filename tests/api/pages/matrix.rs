//! Every page with every kind of credential in every place: only the secret of a browser's cookie in the
//! cookie opens one, and only forms of our own pages change something.

use std::collections::BTreeSet;

use super::browser::location;
use crate::harness::{Backend, Client, Request, Response, TestApp, on_both_databases};
use crate::matrix::credential::{self, Kind};

on_both_databases!(only_the_cookie_opens_a_page);

/// Who may use a page.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Guard {
    /// Everybody; what a browser that is signed in gets is tested elsewhere.
    Open,
    /// Browsers that are signed in.
    SignedIn,
    /// Browsers whose user has scopes; those that have none are tested in `console`.
    Console,
}

/// A method, a path as in the route table, the path with values in it, and the guard.
const PAGES: &[(&str, &str, &str, Guard)] = &[
    ("GET", "/signin", "/signin", Guard::Open),
    ("POST", "/signin", "/signin", Guard::Open),
    ("GET", "/signin/factor", "/signin/factor", Guard::Open),
    ("POST", "/signin/factor", "/signin/factor", Guard::Open),
    ("GET", "/signin/enrol", "/signin/enrol", Guard::Open),
    ("POST", "/signin/enrol", "/signin/enrol", Guard::Open),
    open("GET", "/signin/enrol/passkey"),
    open("POST", "/signin/enrol/passkey"),
    open("GET", "/signin/enrol/passkey/confirm"),
    open("POST", "/signin/enrol/passkey/confirm"),
    ("GET", "/signin/passkey", "/signin/passkey", Guard::Open),
    ("POST", "/signin/passkey", "/signin/passkey", Guard::Open),
    ("GET", "/signin/confirm", "/signin/confirm", Guard::Open),
    signed_in("POST", "/signin/confirm"),
    ("GET", "/signin/continue", "/signin/continue", Guard::Open),
    ("GET", "/signin/stopped", "/signin/stopped", Guard::Open),
    ("GET", "/signin/denied", "/signin/denied", Guard::Open),
    (
        "GET",
        "/.tokenhouse/callback",
        "/.tokenhouse/callback",
        Guard::Open,
    ),
    ("POST", "/signout", "/signout", Guard::SignedIn),
    ("GET", "/assets/{file}", "/assets/none.css", Guard::Open),
    ("GET", "/signup", "/signup", Guard::Open),
    ("POST", "/signup", "/signup", Guard::Open),
    ("GET", "/forgot-password", "/forgot-password", Guard::Open),
    (
        "POST",
        "/forgot-password/form",
        "/forgot-password/form",
        Guard::Open,
    ),
    ("GET", "/reset-password", "/reset-password", Guard::Open),
    (
        "POST",
        "/reset-password/form",
        "/reset-password/form",
        Guard::Open,
    ),
    ("GET", "/verify-email", "/verify-email", Guard::Open),
    (
        "POST",
        "/verify-email/form",
        "/verify-email/form",
        Guard::Open,
    ),
    ("GET", "/change-email", "/change-email", Guard::Open),
    (
        "POST",
        "/change-email/form",
        "/change-email/form",
        Guard::Open,
    ),
    (
        "GET",
        "/change-email/undo",
        "/change-email/undo",
        Guard::Open,
    ),
    (
        "POST",
        "/change-email/undo/form",
        "/change-email/undo/form",
        Guard::Open,
    ),
    (
        "GET",
        "/invitations/accept",
        "/invitations/accept",
        Guard::Open,
    ),
    (
        "POST",
        "/invitations/accept/form",
        "/invitations/accept/form",
        Guard::Open,
    ),
    signed_in("GET", "/account"),
    signed_in("POST", "/account"),
    signed_in("GET", "/account/password"),
    signed_in("POST", "/account/password"),
    signed_in("GET", "/account/sessions"),
    signed_in("POST", "/account/sessions/end-others"),
    (
        "POST",
        "/account/sessions/{id}/rename",
        "/account/sessions/999/rename",
        Guard::SignedIn,
    ),
    (
        "POST",
        "/account/sessions/{id}/end",
        "/account/sessions/999/end",
        Guard::SignedIn,
    ),
    signed_in("GET", "/account/factors"),
    signed_in("POST", "/account/factors"),
    (
        "POST",
        "/account/factors/{id}/confirm",
        "/account/factors/999/confirm",
        Guard::SignedIn,
    ),
    (
        "POST",
        "/account/factors/{id}/rename",
        "/account/factors/999/rename",
        Guard::SignedIn,
    ),
    (
        "POST",
        "/account/factors/{id}/remove",
        "/account/factors/999/remove",
        Guard::SignedIn,
    ),
    signed_in("POST", "/account/passkeys"),
    (
        "POST",
        "/account/passkeys/{id}/confirm",
        "/account/passkeys/999/confirm",
        Guard::SignedIn,
    ),
    signed_in("POST", "/account/recovery-codes"),
    (
        "POST",
        "/account/devices/{id}/forget",
        "/account/devices/999/forget",
        Guard::SignedIn,
    ),
    signed_in("GET", "/account/keys"),
    signed_in("POST", "/account/keys"),
    (
        "POST",
        "/account/keys/{id}/revoke",
        "/account/keys/999/revoke",
        Guard::SignedIn,
    ),
    signed_in("GET", "/account/events"),
    signed_in("GET", "/account/delete"),
    signed_in("POST", "/account/delete"),
    console("GET", "/console"),
    console("GET", "/console/users"),
    console("POST", "/console/users"),
    console("GET", "/console/users/new"),
    (
        "GET",
        "/console/users/{id}",
        "/console/users/1",
        Guard::Console,
    ),
    (
        "POST",
        "/console/users/{id}/disable",
        "/console/users/1/disable",
        Guard::Console,
    ),
    (
        "POST",
        "/console/users/{id}/enable",
        "/console/users/1/enable",
        Guard::Console,
    ),
    (
        "POST",
        "/console/users/{id}/unlock",
        "/console/users/1/unlock",
        Guard::Console,
    ),
    (
        "POST",
        "/console/users/{id}/scopes",
        "/console/users/1/scopes",
        Guard::Console,
    ),
    (
        "POST",
        "/console/users/{id}/sign-out",
        "/console/users/1/sign-out",
        Guard::Console,
    ),
    (
        "POST",
        "/console/users/{id}/delete",
        "/console/users/1/delete",
        Guard::Console,
    ),
    (
        "POST",
        "/console/users/{id}/sessions/{session}/end",
        "/console/users/1/sessions/9/end",
        Guard::Console,
    ),
    (
        "POST",
        "/console/users/{id}/keys/{key}/revoke",
        "/console/users/1/keys/9/revoke",
        Guard::Console,
    ),
    console("GET", "/console/events"),
    console("POST", "/console/events/verify"),
    console("GET", "/console/apps"),
    console("GET", "/console/mail"),
    console("GET", "/console/mail/html"),
    (
        "POST",
        "/console/mail/{id}/retry",
        "/console/mail/1/retry",
        Guard::Console,
    ),
    (
        "POST",
        "/console/mail/{id}/delete",
        "/console/mail/1/delete",
        Guard::Console,
    ),
    console("GET", "/console/settings"),
    console("GET", "/console/health"),
];

const fn console(
    method: &'static str,
    path: &'static str,
) -> (&'static str, &'static str, &'static str, Guard) {
    (method, path, path, Guard::Console)
}

const fn open(
    method: &'static str,
    path: &'static str,
) -> (&'static str, &'static str, &'static str, Guard) {
    (method, path, path, Guard::Open)
}

const fn signed_in(
    method: &'static str,
    path: &'static str,
) -> (&'static str, &'static str, &'static str, Guard) {
    (method, path, path, Guard::SignedIn)
}

#[test]
fn every_page_has_a_declared_guard() {
    let table = concat!(
        include_str!("../../../src/http/pages/mod.rs"),
        include_str!("../../../src/http/pages/console/mod.rs"),
        include_str!("../../../src/http/pages/mail_steps.rs"),
    );
    let table: String = table.split_whitespace().collect();
    let quoted = |before: &'static str| {
        let in_quotes = table.split(before).skip(1);
        in_quotes.filter_map(|rest| rest.split('"').next())
    };
    let paths: BTreeSet<&str> = quoted("page(\"").chain(quoted("form(\"")).collect();
    let declared: BTreeSet<&str> = PAGES.iter().map(|(_, path, ..)| *path).collect();
    assert_eq!(paths, declared);
}

fn only_the_cookie_opens_a_page(backend: Backend) {
    let app = TestApp::builder(backend)
        .setting("TOKENHOUSE_MAIL", "memory")
        .setting("API_KEY_TOKEN_PREVIOUS", credential::PREVIOUS_STATIC_KEY)
        .start();
    let (kinds, _) = credential::all(&app);
    assert!(kinds.iter().any(|kind| kind.name == credential::BROWSER));
    for (method, _, path, _) in signed_in_pages() {
        for kind in &kinds {
            let opens = kind.name == credential::BROWSER;
            let place = format!("{method} {path}, {}", kind.name);
            let secret = kind.secret.as_str();
            // Elsewhere than in the cookie, whatever it is.
            for request in in_other_places(&app, method, path, secret) {
                assert_refused(&request.host("localhost").send(), &place);
            }
            if opens || kind.is_nothing() || secret.contains(['\r', '\n', ';']) {
                continue;
            }
            let cookie = format!("tokenhouse={secret}");
            let request = form_of(&app, method, path).header("Cookie", cookie);
            assert_refused(&request.host("localhost").send(), &place);
        }
    }
    // The one that opens them; last, as signing out ends it.
    let browser = kinds.iter().find(|kind| kind.name == credential::BROWSER);
    let mut pages: Vec<_> = signed_in_pages().collect();
    pages.sort_by_key(|(_, path, ..)| *path == "/signout");
    for (method, _, path, _) in pages {
        assert_opens(&app, browser.unwrap(), method, path);
    }
}

fn signed_in_pages() -> impl Iterator<Item = (&'static str, &'static str, &'static str, Guard)> {
    PAGES
        .iter()
        .copied()
        .filter(|(.., guard)| *guard != Guard::Open)
}

fn assert_refused(response: &Response, place: &str) {
    let location = location(response);
    assert!(location.starts_with("/signin"), "{place}: {location}");
}

fn assert_opens(client: &Client, kind: &Kind, method: &str, path: &str) {
    let cookie = format!("tokenhouse={}", kind.secret);
    let request = || form_of(client, method, path).host("localhost");
    // Of another user's page.
    if method == "POST" {
        let response = request().header("Cookie", &cookie).send();
        assert_eq!(response.status, 409, "{method} {path}: {response:?}");
        for (name, value) in [
            ("Sec-Fetch-Site", "cross-site"),
            ("Sec-Fetch-Site", "same-site"),
            ("Sec-Fetch-Site", "none"),
            ("Sec-Fetch-Site", "same-origin, cross-site"),
            ("Origin", "null"),
            ("Origin", "http://localhost.evil.example"),
            ("Origin", "https://localhost"),
            ("X-Other", "nothing"),
        ] {
            let request = client.request(method, path).form(&[("user", "1")]);
            let request = request.header("Cookie", &cookie).host("localhost");
            let response = request.header(name, value).send();
            assert_eq!(response.status, 403, "{method} {path}: {name}: {value}");
        }
        return;
    }
    let response = request().header("Cookie", &cookie).send();
    assert_eq!(response.status, 200, "{method} {path}: {response:?}");
    // Beside another session, it is not clear whose page it is.
    let two = format!("{cookie}; tokenhouse=tkb_{}", "A".repeat(43));
    assert_refused(&request().header("Cookie", two).send(), path);
    // Under the name for https, which a browser keeps for that.
    let other_name = format!("__Host-{cookie}");
    assert_refused(&request().header("Cookie", other_name).send(), path);
}

/// A request of one of our own pages.
fn form_of(client: &Client, method: &str, path: &str) -> Request {
    let request = client.request(method, path);
    match method {
        "POST" => request
            .form(&[("user", "0")])
            .header("Sec-Fetch-Site", "same-origin"),
        _ => request,
    }
}

fn in_other_places(client: &Client, method: &str, path: &str, secret: &str) -> Vec<Request> {
    let request = || form_of(client, method, path);
    vec![
        request(),
        request().bearer(secret),
        request().header("Token", secret),
        request().header("Authorization", format!("Token {secret}")),
        request().header("Cookie", format!("token={secret}")),
        request().header("Cookie", format!("tokenhouse-lang={secret}")),
        request().header("Cookie", format!("xtokenhouse={secret}")),
    ]
}
