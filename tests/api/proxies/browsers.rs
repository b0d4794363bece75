//! The recipes for browsers, with a real one: it signs in behind the proxy, comes back, and signs out. No page
//! needs scripts.

use chrono::Utc;

use crate::factors::app::{Authenticator, SECRET_KEY};
use crate::harness::chromium::Chromium;
use crate::harness::proxy::on_both_proxies;
use crate::harness::{Backend, Proxy, Recorder, RunningProxy, TestApp};

on_both_proxies!(
    browser_signs_in_at_one_host_and_out_of_all,
    browser_adds_a_second_factor_on_the_way,
);

const PORTAL: &str = "https://auth.example.com";

/// The cookie of a host.
const COOKIE: &str = "__Host-tokenhouse";

fn start(proxy: Proxy) -> (TestApp, Recorder, RunningProxy) {
    let tokenhouse = TestApp::builder(Backend::Sqlite)
        .setting("TOKENHOUSE_PUBLIC_URL", PORTAL)
        .setting("TOKENHOUSE_TRUSTED_PROXIES", "127.0.0.1")
        .setting(
            "TOKENHOUSE_SIGNIN_HOSTS",
            "app.example.com, other.example.org",
        )
        .setting("TOKENHOUSE_SECRET_KEY", SECRET_KEY)
        .start();
    let app = Recorder::start(|_| {
        let script = "<script>document.title = 'scripts'</script>";
        let page = format!("<!doctype html><title>reached</title><p>The app.{script}");
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length";
        format!("{head}: {}\r\n\r\n{page}", page.len()).into_bytes()
    });
    let running = proxy.start_for_browsers(tokenhouse.address(), app.address());
    (tokenhouse, app, running)
}

fn browser_signs_in_at_one_host_and_out_of_all(proxy: Proxy) {
    let (tokenhouse, app, running) = start(proxy);
    let ada = tokenhouse.register("ada");
    let browser = Chromium::start(running.address(), false);
    let is_sign_in = |url: &str| url.starts_with(&format!("{PORTAL}/signin?rd="));
    // Signs in, and comes back to the very URL.
    let url = "https://app.example.com/p%C3%A4th/;x?a=1&b=%26%23&c=%C3%BC&d=%2B+e%20f";
    let shown = browser.open(url);
    assert!(is_sign_in(&shown), "{shown}");
    assert!(app.take().is_empty());
    browser.type_into("#email", &ada.email);
    browser.type_into("#password", &ada.password);
    browser.click("form[action*='/signin'] button");
    assert_eq!(browser.wait_for(|shown| !shown.starts_with(PORTAL)), url);
    let of_app = browser.cookie(COOKIE);
    assert!(of_app.starts_with("tkb_"));
    // Further requests of this host and of another one, with a part that no server sees.
    for url in [
        "https://app.example.com/b?c".to_owned(),
        "https://other.example.org/?x&y=%C3%A4#part&1".to_owned(),
        format!("https://other.example.org/?{}", "x&y=%20".repeat(1_170)),
    ] {
        assert_eq!(browser.open(&url), url);
        let source = browser.source();
        assert!(
            source.contains("The app.") && source.contains("<title>reached"),
            "{url}: {source}"
        );
    }
    let received = app.take();
    let pages = received
        .iter()
        .filter(|request| !request.line().contains("favicon"));
    assert_eq!(pages.count(), 4, "{received:#?}");
    for request in &received {
        assert_eq!(request.header("x-auth-email"), Some(ada.email.as_str()));
        assert!(
            !request.contains("tkb_") && !request.contains("tokenhouse-signin"),
            "{request:?}"
        );
    }
    // An app that has kept the cookie of its visitor tries it at the other one.
    let hostile = Chromium::start(running.address(), true);
    for (host, opens) in [
        ("other.example.org", false),
        ("auth.example.com", false),
        ("app.example.com", true),
    ] {
        hostile.open(&format!("https://{host}/.tokenhouse/none"));
        hostile.set_cookie(COOKIE, &of_app);
        let page = if host == "auth.example.com" {
            "/account"
        } else {
            "/"
        };
        let url = format!("https://{host}{page}");
        assert_eq!(hostile.open(&url) == url, opens, "{host}");
    }
    assert_eq!(
        app.take()
            .iter()
            .filter(|request| request.line() == "GET /")
            .count(),
        1
    );
    assert!(
        hostile.source().contains("<title>scripts"),
        "scripts run unless they are off"
    );
    drop(hostile);
    // Signing out once is enough.
    assert_eq!(
        browser.open(&format!("{PORTAL}/account")),
        format!("{PORTAL}/account")
    );
    browser.click("form[action$='/signout'] button");
    browser.wait_for(|shown| shown.ends_with("/signin?signed-out"));
    app.take();
    for url in [url, "https://other.example.org/"] {
        let shown = browser.open(url);
        assert!(is_sign_in(&shown), "{shown}");
    }
    assert!(app.take().is_empty());
}

fn browser_adds_a_second_factor_on_the_way(proxy: Proxy) {
    let (tokenhouse, app, running) = start(proxy);
    let ada = tokenhouse.register("ada");
    let browser = Chromium::start(running.address(), false);
    let plain = "https://app.example.com/";
    browser.open(plain);
    browser.type_into("#email", &ada.email);
    browser.type_into("#password", &ada.password);
    browser.click("form[action*='/signin'] button");
    browser.wait_for(|shown| shown == plain);
    app.take();
    // Signed in, but not well enough for this page.
    let url = "https://app.example.com/admin/p%C3%A4th?a=1&b=%26%23&c=%C3%BC";
    let shown = browser.open(url);
    assert!(
        shown.starts_with(&format!("{PORTAL}/signin?rd=")),
        "{shown}"
    );
    browser.type_into("#confirm", &ada.password);
    browser.click("form[action*='/signin/confirm'] button");
    browser.wait_for_text("name=\"secret\"");
    let page = browser.source();
    let (_, rest) = page
        .split_once("name=\"secret\" value=\"")
        .expect("an app to add");
    let secret = rest.split('"').next().expect("a value");
    browser.type_into("#otp", &Authenticator::scan(secret).code(Utc::now()));
    browser.click("form[action*='/signin/enrol'] button");
    browser.wait_for_text("/signin/continue?");
    browser.click("a[href*='/signin/continue']");
    assert_eq!(browser.wait_for(|shown| !shown.starts_with(PORTAL)), url);
    // From now on, without a question.
    assert_eq!(
        browser.open(&format!("{plain}admin")),
        format!("{plain}admin")
    );
    let received = app.take();
    let pages = received
        .iter()
        .filter(|request| !request.line().contains("favicon"));
    assert_eq!(pages.count(), 2, "{received:#?}");
}
