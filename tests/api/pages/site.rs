//! Where the pages work: the public URL, the headers, the languages, and the settings.

use super::browser::{Browser, location, title};
use crate::harness::{Backend, TestApp};

const HTML: &str = "text/html; charset=utf-8";

#[test]
fn every_page_has_the_headers_of_a_page() {
    let app = TestApp::start(Backend::Sqlite);
    let mut browser = Browser::of(&app.register("ada"));
    let mut nobody = Browser::new(&app);
    let responses = [
        browser.get("/account"),
        browser.get("/account/sessions"),
        browser.get("/signin"),
        nobody.get("/signin"),
        nobody.get("/account"),
        nobody.post("/account/sessions/1/end", &[]),
        nobody.get("/assets/none"),
        nobody.get("/signin/continue"),
        nobody.get("/signout"),
        nobody.post("/signin", &[("email", &"x".repeat(9_000))]),
        nobody.at("evil.example").get("/signin"),
    ];
    let statuses = responses.each_ref().map(|response| response.status);
    assert_eq!(
        statuses,
        [200, 200, 303, 200, 303, 303, 404, 403, 405, 413, 403]
    );
    for response in responses {
        let header = |name| response.header(name).unwrap_or_default();
        let policy = header("content-security-policy");
        for part in [
            "default-src 'none'",
            "script-src 'self'",
            "form-action 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
        ] {
            assert!(policy.contains(part), "{part}: {response:?}");
        }
        assert!(!policy.contains("unsafe"));
        assert_eq!(header("cache-control"), "no-store");
        assert_eq!(header("cross-origin-opener-policy"), "same-origin");
        assert_eq!(header("referrer-policy"), "same-origin");
        assert_eq!(header("x-content-type-options"), "nosniff");
        if response.status != 303 {
            assert_eq!(header("content-type"), HTML);
            let page = response.text();
            assert!(title(page).ends_with(" · Tokenhouse"));
            assert!(!page.contains(" style=") && !page.contains("<script"));
        }
    }
}

#[test]
fn files_are_kept_by_browsers() {
    let app = TestApp::start(Backend::Sqlite);
    let mut browser = Browser::new(&app);
    let page = browser.page("/signin");
    let parts = page.split('"').filter(|part| part.contains("/assets/"));
    let files: std::collections::BTreeSet<&str> = parts.collect();
    assert_eq!(files.len(), 2);
    let mut weight = page.len();
    for file in files {
        let response = browser.get(file);
        assert_eq!(response.status, 200);
        let cached = response.header("cache-control").unwrap();
        assert_eq!(cached, "public, max-age=31536000, immutable");
        weight += response.body.len();
    }
    assert!(weight < 30_000, "{weight} bytes");
}

/// N24: the path is in every link, form and redirect, and a header of a client is not.
#[test]
fn everything_is_below_the_path_of_the_public_url() {
    let app = TestApp::builder(Backend::Sqlite)
        .setting("TOKENHOUSE_PUBLIC_URL", "https://example.com/auth")
        .start();
    let ada = app.register("ada");
    let mut browser = Browser::new(&app)
        .at("10.0.0.7:8000")
        .with("X-Forwarded-Prefix", "//evil.example")
        .with("X-Forwarded-Host", "evil.example");
    let mut locations = vec![location(&browser.get("/account/sessions"))];
    let signed_in = browser.sign_in(&ada);
    let cookie = signed_in.header("set-cookie").unwrap();
    assert!(cookie.starts_with("__Host-tokenhouse=tkb_"), "{cookie}");
    assert!(
        cookie.ends_with("; Path=/; HttpOnly; SameSite=Lax; Secure"),
        "{cookie}"
    );
    locations.push(location(&signed_in));
    locations.push(location(&browser.get("/signin/continue")));
    locations.push(location(&browser.get("/signin")));
    let mut pages = vec![browser.page("/account"), browser.page("/account/sessions")];
    locations.push(location(&browser.submit("/account", "/signout", &[])));
    pages.push(browser.page("/signin"));
    pages.push(browser.get("/signin/continue").text().to_owned());
    pages.push(browser.get("/signout").text().to_owned());
    for location in locations {
        assert!(location.starts_with("/auth/"), "{location}");
    }
    for page in pages {
        assert!(!page.contains("evil"));
        for attribute in ["href=\"", "action=\"", "src=\""] {
            for link in page.split(attribute).skip(1) {
                assert!(
                    link.starts_with("/auth/") || link.starts_with("#main"),
                    "{link:.60}"
                );
            }
        }
    }
}

/// A proxy may pass the path on.
#[test]
fn path_of_the_public_url_may_be_in_the_request() {
    let app = TestApp::builder(Backend::Sqlite)
        .setting("TOKENHOUSE_PUBLIC_URL", "https://example.com/auth")
        .start();
    let ada = app.register("ada");
    let mut browser = Browser::new(&app);
    let sign_in = location(&browser.get("/auth/account/keys"));
    assert_eq!(sign_in, "/auth/signin?next=/account/keys");
    assert!(browser.page(&sign_in).contains(r#"action="/auth/signin""#));
    let fields = [
        ("email", ada.email.as_str()),
        ("password", ada.password.as_str()),
    ];
    let onward = location(&browser.post("/auth/signin", &fields));
    assert_eq!(location(&browser.get(&onward)), "/auth/account");
    assert!(
        browser
            .page("/auth/account?lang=de")
            .contains("/auth/account?lang=es")
    );
    for (path, status) in [
        ("/auth/livez", 200),
        ("/auth/auth/livez", 404),
        ("/auth", 404),
        ("/authlivez", 404),
        ("/auth/users/me", 401),
    ] {
        assert_eq!(app.get(path).send().status, status, "{path}");
    }
    let slash = app
        .get("/auth/users/me/")
        .header("X-Forwarded-For", "::1")
        .send();
    assert_eq!(slash.header("location").unwrap(), "../../users/me");
}

/// N51: what a browser sends instead of the origin, and the origin where a browser says nothing else.
#[test]
fn forms_come_from_our_own_pages() {
    let app = TestApp::builder(Backend::Sqlite)
        .setting("TOKENHOUSE_PUBLIC_URL", "https://auth.example")
        .start();
    let ada = app.register("ada");
    let status = |headers: &[(&str, &str)]| {
        let fields = [
            ("email", ada.email.as_str()),
            ("password", ada.password.as_str()),
        ];
        let request = app.post("/signin").form(&fields);
        let with = headers.iter();
        let request = with.fold(request, |request, (name, value)| {
            request.header(name, value)
        });
        request.send().status
    };
    for good in [
        &[("Sec-Fetch-Site", "same-origin"), ("Origin", "null")][..],
        &[
            ("Sec-Fetch-Site", "same-origin"),
            ("Origin", "https://auth.example"),
        ],
        &[("Origin", "https://auth.example")],
    ] {
        assert_eq!(status(good), 303, "{good:?}");
    }
    for bad in [
        &[][..],
        &[("Origin", "null")],
        &[("Origin", "https://auth.example:8443")],
        &[("Origin", "http://auth.example")],
        &[("Origin", "https://auth.example.evil.example")],
        &[
            ("Sec-Fetch-Site", "cross-site"),
            ("Origin", "https://auth.example"),
        ],
        &[
            ("Sec-Fetch-Site", "same-site"),
            ("Origin", "https://auth.example"),
        ],
        &[
            ("Sec-Fetch-Site", "cross-site"),
            ("Sec-Fetch-Site", "same-origin"),
        ],
        &[("Referer", "https://auth.example/signin")],
    ] {
        assert_eq!(status(bad), 403, "{bad:?}");
    }
}

/// N19: a browser drops the cookie there, which looks like a wrong password.
#[test]
fn plain_http_is_explained_before_a_password_is_typed() {
    for url in ["http://192.168.0.20:3000", "http://box.local"] {
        let app = TestApp::builder(Backend::Sqlite)
            .setting("TOKENHOUSE_PUBLIC_URL", url)
            .start();
        let ada = app.register("ada");
        let mut browser = Browser::new(&app);
        let response = browser.get("/signin");
        assert_eq!(response.status, 403);
        assert!(title(response.text()).starts_with("Signing in needs https"));
        assert!(!response.text().contains("<form"));
        assert_eq!(browser.sign_in(&ada).status, 403);
    }
    let app = TestApp::builder(Backend::Sqlite)
        .setting("TOKENHOUSE_PUBLIC_URL", "http://localhost:8000")
        .start();
    assert!(Browser::of(&app.register("ada")).is_signed_in());
}

#[test]
fn without_a_public_url_only_this_machine_has_pages() {
    let app = TestApp::start(Backend::Sqlite);
    for host in ["localhost", "127.0.0.1:8000", "[::1]:8000"] {
        assert_eq!(
            Browser::new(&app).at(host).get("/signin").status,
            200,
            "{host}"
        );
    }
    let forwarded = Browser::new(&app).with("X-Forwarded-For", "192.0.2.1");
    for mut browser in [
        Browser::new(&app).at("auth.example"),
        Browser::new(&app).at("localhost.evil.example"),
        forwarded,
    ] {
        let response = browser.get("/signin");
        assert_eq!(response.status, 403);
        assert!(response.text().contains("TOKENHOUSE_PUBLIC_URL"));
    }
}

#[test]
fn lost_cookie_is_explained() {
    let app = TestApp::start(Backend::Sqlite);
    let ada = app.register("ada");
    let onward = location(&Browser::new(&app).sign_in(&ada));
    let response = Browser::new(&app).get(&onward);
    assert_eq!(response.status, 403);
    assert!(response.text().contains("did not keep the sign-in"));
}

#[test]
fn pages_are_in_the_language_of_the_browser_or_the_chosen_one() {
    let app = TestApp::start(Backend::Sqlite);
    let mut browser = Browser::new(&app).with("Accept-Language", "de-AT, en;q=0.5");
    let page = browser.page("/signin");
    assert!(page.contains(r#"<html lang="de">"#) && title(&page).starts_with("Anmelden"));
    let french = browser.page("/signin?next=/account&lang=fr");
    assert!(french.contains(r#"<html lang="fr">"#));
    assert!(
        french.contains(r#"href="/signin?next=%2Faccount&#38;lang=es""#),
        "{french}"
    );
    let page = browser.page("/signin");
    assert!(
        page.contains(r#"<html lang="fr">"#),
        "the choice is remembered"
    );
    let unknown = browser.page("/signin?lang=xx");
    assert!(unknown.contains(r#"<html lang="fr">"#));
}

#[test]
fn settings_decide_which_pages_there_are() {
    let at = |mode: &str| {
        TestApp::builder(Backend::Sqlite)
            .setting("TOKENHOUSE_PAGES", mode)
            .start()
    };
    let app = at("off");
    for path in ["/signin", "/account", "/assets/x"] {
        let response = Browser::new(&app).get(path);
        assert_eq!(response.status, 404);
        assert_eq!(response.json()["detail"], "Not Found");
    }
    let start = app.get("/").header("Accept", "text/html").send();
    assert!(!start.text().contains("signin"));

    let app = at("signin");
    let ada = app.register("ada");
    let mut browser = Browser::new(&app);
    let onward = location(&browser.sign_in(&ada));
    assert_eq!(location(&browser.get(&onward)), "/signin");
    assert!(
        browser
            .page("/signin")
            .contains(&format!("You are signed in as {}.", ada.email))
    );
    assert_eq!(browser.get("/account").status, 404);
    assert_eq!(
        location(&browser.submit("/signin", "/signout", &[])),
        "/signin?signed-out"
    );
    let start = app.get("/").header("Accept", "text/html").send();
    assert!(start.text().contains(r#"href="signin""#));
}

#[test]
fn brand_is_that_of_the_settings() {
    let folder = crate::harness::ScratchDir::new("brand");
    let logo = folder.join("logo.png");
    std::fs::write(&logo, b"\x89PNG picture").unwrap();
    let app = TestApp::builder(Backend::Sqlite)
        .setting("TOKENHOUSE_BRAND_NAME", "Smith & Söhne")
        .setting("TOKENHOUSE_BRAND_LOGO", logo.to_str().unwrap())
        .setting("TOKENHOUSE_BRAND_COLOUR", "#FFCC00")
        .start();
    let mut browser = Browser::new(&app);
    let page = browser.page("/signin");
    assert!(title(&page).ends_with(" · Smith &#38; Söhne"));
    let file = |end: &str| {
        let found = page.split('"').find(|part| part.ends_with(end));
        found.unwrap().to_owned()
    };
    let picture = browser.get(&file(".png"));
    assert_eq!(picture.header("content-type").unwrap(), "image/png");
    assert_eq!(picture.body, b"\x89PNG picture");
    // Dark text on a light colour.
    let style = browser.get(&file(".css"));
    assert!(
        style
            .text()
            .starts_with(":root{--brand:#ffcc00;--on-brand:#101413;"),
        "{style:?}"
    );
}

/// A database outage is a page, and never a sign-out.
#[test]
fn outage_is_a_page() {
    let app = TestApp::start(Backend::Sqlite);
    let mut browser = Browser::of(&app.register("ada"));
    app.database().make_unavailable();
    let response = browser.get("/account");
    assert_eq!(response.status, 503, "{response:?}");
    assert!(
        response
            .text()
            .contains("The service cannot answer at the moment.")
    );
    assert!(browser.cookie("tokenhouse").is_some());
    app.database().make_available();
    assert!(browser.is_signed_in());
}
