//! Which requests `/verify?redirect` leads to the sign-in page, by what they say, and where a sign-in leads.

use super::{HOSTS, PORTAL, Traveller, ask, origin, service};
use crate::harness::{Backend, Log, Request, Response, Running};
use crate::pages::browser::Browser;

const APP: &str = "https://app.example/a?b=c&d";

/// Where `APP` leads.
const TO_APP: &str = "https://auth.example/signin?rd=https://app.example/a?b=c%26d&n=";

const PAGE: (&str, &str) = ("Sec-Fetch-Mode", "navigate");

fn assert_leads(response: &Response, status: u16, start: &str) {
    assert_eq!(response.status, status, "{response:?}");
    let location = response.header("location").unwrap_or_default();
    assert!(location.starts_with(start), "{location}");
    assert_eq!(response.header("x-tokenhouse-signin"), Some(location));
}

#[test]
fn only_browsers_that_open_a_page_are_redirected() {
    let app = service(Backend::Sqlite).start();
    let with = |headers: &[(&str, &str)], redirect: &str| {
        let request = ask(&app, redirect, APP);
        let add = |request: Request, (name, value): &(&str, &str)| request.header(name, value);
        headers.iter().fold(request, add).send()
    };
    for headers in [
        &[PAGE][..],
        &[PAGE, ("Accept", "*/*")],
        &[("Accept", "text/html,application/xhtml+xml;q=0.9")],
        &[("Accept", "application/json"), ("Accept", "TEXT/HTML")],
        &[PAGE, ("Cookie", "__Host-tokenhouse=x")],
    ] {
        assert_leads(&with(headers, "true"), 302, TO_APP);
        let nginx = with(headers, "401");
        assert_leads(&nginx, 401, TO_APP);
        assert!(nginx.header("www-authenticate").is_some());
        let cookie = nginx.header("set-cookie").unwrap();
        assert!(cookie.starts_with("__Host-tokenhouse-signin="), "{cookie}");
    }
    for headers in [
        &[][..],
        &[("Accept", "*/*")],
        &[("Accept", "application/json")],
        &[("Accept", "text/html"), ("Sec-Fetch-Mode", "cors")],
        &[("Accept", "text/html"), ("Sec-Fetch-Mode", "websocket")],
        &[("Accept", "text/html"), ("Sec-Fetch-Mode", "no-cors")],
    ] {
        for redirect in ["true", "401"] {
            let response = with(headers, redirect);
            assert_eq!((response.status, response.header("location")), (401, None));
            let sign_in = response.header("x-tokenhouse-signin").unwrap();
            assert_eq!(
                sign_in,
                "https://auth.example/signin?rd=https://app.example/"
            );
            assert!(response.header("www-authenticate").is_some());
            assert_eq!(response.header("set-cookie"), None);
        }
    }
    // A body would be lost, and a preflight cannot be answered by another host.
    for method in ["POST", "OPTIONS", "PUT", "DELETE", "HEAD", "PROPFIND"] {
        let mut asked = app.get("/verify?redirect=true").host("app.example");
        for (name, value) in [
            ("X-Forwarded-Proto", "https"),
            ("X-Forwarded-Host", "app.example"),
            ("X-Forwarded-Uri", "/"),
            ("X-Forwarded-Method", method),
            PAGE,
        ] {
            asked = asked.header(name, value);
        }
        let response = asked.send();
        assert_eq!(
            (response.status, response.header("location")),
            (401, None),
            "{method}"
        );
        // A proxy that passes the method on and does not name it.
        let direct = app
            .request(method, "/verify?redirect=true")
            .header("X-Original-URL", APP);
        let response = direct.header(PAGE.0, PAGE.1).send();
        assert_eq!(
            (response.status, response.header("location")),
            (401, None),
            "{method}"
        );
    }
    // Other credentials are as ever.
    let token = app.register("ada").sign_in();
    assert_eq!(ask(&app, "true", APP).bearer(&token).send().status, 200);
    let wrong = ask(&app, "true", APP).bearer("x").header(PAGE.0, PAGE.1);
    assert_leads(&wrong.send(), 302, TO_APP);
    // The nonce of a browser stays the same, so that its tabs do not disturb each other.
    let mut browser = Browser::new(&app).at("app.example");
    let mut open = || browser.send(ask(&app, "true", APP).header(PAGE.0, PAGE.1));
    let (first, second) = (open(), open());
    assert_eq!(first.header("location"), second.header("location"));
    assert_eq!(second.header("set-cookie"), None);
}

#[test]
fn forwarded_headers_count_only_from_a_trusted_proxy_and_only_if_they_are_certain() {
    let app = service(Backend::Sqlite).start();
    let mut log = Log::new();
    let mut command = app.program(&["serve"]);
    command
        .env("TOKENHOUSE_PUBLIC_URL", PORTAL)
        .env("TOKENHOUSE_TRUSTED_PROXIES", "127.0.0.1")
        .env("TOKENHOUSE_SIGNIN_HOSTS", HOSTS)
        .env("TOKENHOUSE_WORKERS", "1")
        .stderr(log.writer());
    let (_process, server) = Running::serve(&mut command);
    let send = |headers: &[(&str, &str)]| {
        let request = server.get("/verify?redirect=true").header(PAGE.0, PAGE.1);
        let add = |request: Request, (name, value): &(&str, &str)| request.header(name, value);
        headers.iter().fold(request, add).send()
    };
    let parts = |proto: &[&'static str]| {
        let mut headers: Vec<(&str, &str)> = proto
            .iter()
            .map(|one| ("X-Forwarded-Proto", *one))
            .collect();
        headers.extend([
            ("X-Forwarded-Host", "app.example"),
            ("X-Forwarded-Uri", "/a?b=c&d"),
        ]);
        headers
    };
    for proto in [
        &["https"][..],
        &["https,http"],
        &["https, http, http"],
        &["https", "http"],
        &["HTTPS"],
    ] {
        assert_leads(&send(&parts(proto)), 302, TO_APP);
    }
    let hops = [
        &parts(&["https"])[..],
        &[("X-Forwarded-For", "1.1.1.1, 2.2.2.2, 127.0.0.1")],
    ]
    .concat();
    assert_leads(&send(&hops), 302, TO_APP);
    assert_leads(&send(&[("X-Original-URL", APP)]), 302, TO_APP);
    let both = [&parts(&["https"])[..], &[("X-Original-URL", APP)]].concat();
    assert_leads(&send(&both), 302, TO_APP);
    let utf8 = send(&[("X-Original-URL", "https://app.example/p\u{e4}th")]);
    assert_leads(
        &utf8,
        302,
        "https://auth.example/signin?rd=https://app.example/p%25C3%25A4th&n=",
    );
    let long = format!("https://app.example/?{}", "x".repeat(11 * 1_024));
    assert_leads(
        &send(&[("X-Original-URL", &long)]),
        302,
        "https://auth.example/signin?rd=https://app.example/&n=",
    );

    let unusable = [
        (parts(&[]), "x-forwarded-proto is missing"),
        (parts(&[""]), "x-forwarded-proto is missing"),
        (
            parts(&["javascript"]),
            "x-forwarded-proto cannot be used: javascript",
        ),
        (
            parts(&["http, https"]),
            "x-forwarded-proto cannot be used: http, https",
        ),
        (parts(&["http"]), "x-forwarded-proto cannot be used: http"),
        (
            vec![("X-Forwarded-Proto", "https")],
            "x-forwarded-host is missing",
        ),
        (
            vec![
                ("X-Forwarded-Proto", "https"),
                ("X-Forwarded-Host", "a.example@evil.example"),
            ],
            "x-forwarded-host cannot be used",
        ),
        (
            vec![
                ("X-Forwarded-Proto", "https"),
                ("X-Forwarded-Host", "app.example/x"),
            ],
            "x-forwarded-host cannot be used",
        ),
        (
            vec![
                ("X-Forwarded-Proto", "https"),
                ("X-Forwarded-Host", "app.example, other.example"),
            ],
            "x-forwarded-host cannot be used",
        ),
        (
            vec![
                ("X-Forwarded-Proto", "https"),
                ("X-Forwarded-Host", "app.example"),
                ("X-Forwarded-Host", "other.example"),
            ],
            "x-forwarded-host cannot be used",
        ),
        (
            vec![
                ("X-Original-URL", "https://app.example/"),
                ("X-Original-URL", "https://other.example/"),
            ],
            "x-original-url cannot be used",
        ),
        (
            vec![("X-Original-URL", "http://app.example/?secret")],
            "x-original-url cannot be used: http://app.example/",
        ),
        (
            vec![("X-Original-URL", "/a")],
            "x-original-url cannot be used: /a",
        ),
        (
            [
                &parts(&["https"])[..],
                &[("X-Original-URL", "https://other.example/")],
            ]
            .concat(),
            "x-forwarded-host cannot be used",
        ),
        (vec![], "x-forwarded-host is missing"),
    ];
    for (headers, _) in &unusable {
        let response = send(headers);
        assert_eq!(
            (response.status, response.header("location")),
            (401, None),
            "{headers:?}"
        );
        assert_eq!(response.header("x-tokenhouse-signin"), None);
    }
    let untrusted = server.from([127, 9, 9, 9]);
    let response = ask(&untrusted, "true", APP).header(PAGE.0, PAGE.1).send();
    assert_eq!((response.status, response.header("location")), (401, None));
    let logged = String::from_utf8(log.bytes()).unwrap();
    let lines: Vec<&str> = logged
        .lines()
        .filter(|line| line.contains("redirects no browser"))
        .collect();
    assert_eq!(lines.len(), unusable.len() + 1, "{logged}");
    for (line, (_, expected)) in lines.iter().zip(&unusable) {
        assert!(line.contains(expected), "{expected}: {line}");
    }
    assert!(lines.last().unwrap().contains("TOKENHOUSE_TRUSTED_PROXIES"));
    assert!(!logged.contains("secret"));
}

#[test]
fn sign_in_leads_only_to_listed_hosts_and_names_the_missing_entry() {
    let app = service(Backend::Sqlite).start();
    let ada = app.register("ada");
    let mut log = Log::new();
    let mut command = app.program(&["serve"]);
    command
        .env("TOKENHOUSE_PUBLIC_URL", PORTAL)
        .env("TOKENHOUSE_TRUSTED_PROXIES", "127.0.0.1")
        .env("TOKENHOUSE_SIGNIN_HOSTS", HOSTS)
        .env("TOKENHOUSE_SESSIONS_PER_USER", "9")
        .stderr(log.writer());
    let (_process, server) = Running::serve(&mut command);
    let mut browser = Traveller::new(&server);
    let shown = browser.open("https://app.example:8443/a");
    assert!(shown.is_sign_in(), "{shown:?}");
    let arrival = browser.sign_in(&shown, &ada);
    assert_eq!(arrival.url, format!("{PORTAL}/account"));
    assert!(
        browser
            .open("https://port.example:8443/a")
            .is_at("https://port.example:8443/a", &ada)
    );
    assert!(browser.open("https://app.example:443/a").response.status == 200);
    for rd in [
        "https://evil.example/",
        "https://wide.example/",
        "https://port.example/",
        "http://app.example/",
        "//app.example/",
        "/account",
        "https://app.example\\@evil.example/",
        "https://app.example@evil.example/",
        "javascript:alert(1)",
        "https:app.example",
        "https://app.example/\u{e9}",
        "https://app.example/\r\nSet-Cookie: a=b",
    ] {
        let escaped: String = form_urlencoded::byte_serialize(rd.as_bytes()).collect();
        for page in ["/signin", "/signin/continue"] {
            let response =
                browser.send(&format!("{PORTAL}{page}?rd={escaped}&n={}", "a".repeat(64)));
            assert_eq!(
                response.header("location").as_deref(),
                Some("/account"),
                "{page} {rd}"
            );
        }
        for page in ["/signin/stopped", "/signin/denied"] {
            let response = browser.send(&format!("{PORTAL}{page}?rd={escaped}"));
            assert_eq!(response.status, 403);
            let links = ["href=\"https://", "href=\"//", "href=\"javascript"];
            let leads = links.iter().any(|link| response.text().contains(link));
            assert!(!leads, "{page} {rd}: {}", response.text());
        }
    }
    let logged = String::from_utf8(log.bytes()).unwrap();
    for line in [
        "add app.example:8443 to",
        "add evil.example to",
        "add wide.example to",
        "add port.example to",
    ] {
        assert!(logged.contains(line), "{line}: {logged}");
    }
    let lines = logged
        .lines()
        .filter(|line| line.contains("does not lead back"))
        .count();
    assert!((4..=40).contains(&lines), "{lines} lines");
    // A callback at a host that is not listed, or from a client that is no proxy.
    let callback = "https://evil.example/.tokenhouse/callback?code=x";
    assert_eq!(browser.send(callback).status, 404);
    let direct = server
        .from([127, 9, 9, 9])
        .get("/.tokenhouse/callback?code=x");
    assert_eq!(direct.host("app.example").send().status, 404);
}

#[test]
fn redirect_needs_pages_and_a_public_url() {
    let app = service(Backend::Sqlite).start();
    for (redirect, settings) in [
        ("redirect=yes", &[][..]),
        ("redirect=", &[]),
        ("redirect=true&redirect=401", &[]),
        ("redirects=true", &[]),
        ("redirect=true", &[("TOKENHOUSE_PAGES", "off")]),
        ("redirect=true", &[("TOKENHOUSE_PUBLIC_URL", "")]),
        (
            "redirect=true",
            &[("TOKENHOUSE_PUBLIC_URL", "http://auth.example")],
        ),
    ] {
        let settings = settings
            .iter()
            .fold(app.sibling(), |builder, (name, value)| {
                builder.setting(name, value)
            });
        let other = match redirect {
            "redirect=true" => settings
                .setting("TOKENHOUSE_TRUSTED_PROXIES", "127.0.0.1")
                .start(),
            _ => settings.setting("TOKENHOUSE_PUBLIC_URL", PORTAL).start(),
        };
        let request = other
            .get(&format!("/verify?{redirect}"))
            .header("X-Original-URL", APP);
        let response = request.header(PAGE.0, PAGE.1).send();
        assert_eq!(
            (response.status, response.header("location")),
            (403, None),
            "{redirect}"
        );
    }
}

/// A service below a path of the same host as the app: the cookie of its pages counts there.
#[test]
fn host_of_the_service_itself_needs_no_other_cookie() {
    let app = service(Backend::Sqlite)
        .setting("TOKENHOUSE_PUBLIC_URL", "https://app.example/auth")
        .start();
    let ada = app.register("ada");
    let url = "https://app.example/wiki?x&y";
    let mut browser = Browser::new(&app).at("app.example");
    let asked = browser.send(ask(&app, "true", url).header(PAGE.0, PAGE.1));
    assert_leads(
        &asked,
        302,
        "https://app.example/auth/signin?rd=https://app.example/wiki?x%26y",
    );
    assert!(!asked.header("location").unwrap().contains("&n="));
    let fields = [("email", ada.email.as_str()), ("password", &ada.password)];
    let query = "rd=https%3A%2F%2Fapp.example%2Fwiki%3Fx%26y";
    let response = browser.post(&format!("/signin?{query}"), &fields);
    assert_eq!(
        response.header("location"),
        Some(format!("/auth/signin/continue?{query}"))
    );
    let page = browser.get(&format!("/signin/continue?{query}"));
    assert_eq!(super::refresh(&page).as_deref(), Some(url));
    let passed = browser.send(ask(&app, "true", url));
    assert_eq!(passed.header("x-auth-email"), Some(ada.email.clone()));
    // At another host it is nobody's.
    let elsewhere = browser.send(ask(&app, "true", "https://other.example/"));
    assert_eq!(elsewhere.status, 401);
    assert_eq!(origin(url), "https://app.example");
    // A host that does not get the cookie is not asked for ever.
    let ends: Vec<u16> = (0..4)
        .map(|_| browser.get(&format!("/signin?{query}")).status)
        .collect();
    assert_eq!(ends, [303, 303, 403, 403]);
}
