//! Signing in on the way to a guarded host.

use chrono::{DateTime, TimeDelta};
use tokenhouse::Clock;

use super::{PORTAL, Traveller, ask, ask_at, origin, refresh, service};
use crate::harness::{Backend, concurrently, on_both_databases};
use crate::pages::browser::{hidden, title};

on_both_databases!(
    sign_in_leads_back_to_the_exact_url,
    signing_out_ends_every_host_at_once,
    code_counts_once_in_a_race_of_processes,
    code_counts_only_in_its_browser_at_its_host_for_half_a_minute,
    session_has_tokens_for_the_latest_hosts,
);

fn sign_in_leads_back_to_the_exact_url(backend: Backend) {
    let app = service(backend).start();
    let ada = app.register("ada");
    let mut browser = Traveller::new(&app);
    let query = "a=1&b=%26%23&c=%C3%BC;d=%2B+e%20f&rd=https://evil.example/?y=z&n=1#";
    let url = format!("https://app.example/p%C3%A4th/%7e%2f/;x?{query}");
    let url = url.trim_end_matches('#');
    let arrival = browser.reach(url, &ada);
    assert_eq!(
        arrival.response.header("x-auth-method").as_deref(),
        Some("login")
    );
    // Further requests need no redirect, and neither a sign-in nor a form leads to another host.
    assert_eq!(browser.open("https://app.example/").redirects, 0);
    let arrival = browser.open("https://other.example/x?y");
    assert!(
        arrival.is_at("https://other.example/x?y", &ada),
        "{arrival:?}"
    );
    assert_eq!(arrival.redirects, 3);
    let long = format!("https://a.b.wide.example/?{}", "x&y=%20".repeat(1_170));
    assert!(long.len() > 8 * 1024);
    assert!(browser.open(&long).is_at(&long, &ada));
    let with_port = "https://port.example:8443/?z";
    assert!(browser.open(with_port).is_at(with_port, &ada));
    // Another port of our own name has a cookie of its own, and leaves ours.
    let beside = "https://auth.example:8443/";
    assert!(browser.open(beside).is_at(beside, &ada));
    assert!(
        browser
            .jar("auth.example")
            .cookie("__Host-tokenhouse-8443")
            .is_some()
    );
    assert!(
        browser
            .open("https://auth.example/account")
            .response
            .text()
            .contains(&ada.email)
    );
    // One session, and an event for each host.
    assert_eq!(app.database().count("sessions"), 1);
    assert_eq!(app.database().count("sign_in_codes"), 0);
    let events =
        "audit_events WHERE action = 'session.host' AND result = 'ok' AND credential = 'code'";
    assert_eq!(app.database().count(events), 5);
    // A new browser of the same user, and a wrong password on the way.
    let mut other = Traveller::new(&app);
    let shown = other.open(url);
    let page = shown.response.text();
    assert!(page.contains("Sign in to go on to app.example."), "{page}");
    let action = &shown.url[PORTAL.len()..];
    let fields = [("email", ada.email.as_str()), ("password", "wrong")];
    let refused = other.jar("auth.example").post(action, &fields);
    assert_eq!(refused.status, 401);
    assert!(refused.text().contains("rd=https%3A%2F%2Fapp.example"));
    assert!(refused.header("set-cookie").is_none());
    let arrival = other.sign_in(&shown, &ada);
    assert!(arrival.is_at(url, &ada), "{arrival:?}");
}

/// The page after a form leads on by a header and a link: browsers apply `form-action` to redirects.
#[test]
fn page_after_the_form_leads_on_without_a_redirect() {
    let app = service(Backend::Sqlite).start();
    let ada = app.register("ada");
    let mut browser = Traveller::new(&app);
    let shown = browser.open("https://app.example/a?b&c");
    browser.jar("auth.example").set_host("auth.example");
    let fields = [("email", ada.email.as_str()), ("password", &ada.password)];
    let response = browser
        .jar("auth.example")
        .post(&shown.url[PORTAL.len()..], &fields);
    let onward = response.header("location").unwrap();
    assert!(onward.starts_with("/signin/continue?rd="), "{onward}");
    let page = browser.send(&format!("{PORTAL}{onward}"));
    assert_eq!(page.status, 200);
    let next = refresh(&page).unwrap();
    assert!(
        next.starts_with("https://app.example/.tokenhouse/callback?code="),
        "{next}"
    );
    assert!(
        page.text().contains(&format!(r#"href="{next}""#)),
        "{page:?}"
    );
    assert!(
        page.header("content-security-policy")
            .unwrap()
            .contains("form-action 'self'")
    );
    let response = browser.send(&next);
    let set = response.headers.iter().map(|(_, value)| value);
    let cookies: Vec<_> = set.filter(|value| value.contains("HttpOnly")).collect();
    assert!(
        cookies[0].starts_with("__Host-tokenhouse=tkb_"),
        "{cookies:?}"
    );
    assert!(
        cookies[1].starts_with("__Host-tokenhouse-signin="),
        "{cookies:?}"
    );
    let attributes = "; Path=/; HttpOnly; SameSite=Lax; Secure";
    assert!(cookies.len() == 2 && cookies.iter().all(|one| one.ends_with(attributes)));
}

fn signing_out_ends_every_host_at_once(backend: Backend) {
    let app = service(backend).start();
    let (_other, elsewhere) = app.spawn_server();
    let ada = app.register("ada");
    let urls = [
        "https://app.example/",
        "https://other.example/",
        "https://x.wide.example/",
    ];
    let sign_in = || {
        let mut browser = Traveller::new(&app);
        browser.reach(urls[0], &ada);
        for url in urls {
            assert!(browser.open(url).is_at(url, &ada));
        }
        browser
    };
    let assert_out = |browser: &mut Traveller| {
        for client in [*app, elsewhere] {
            browser.client = client;
            for jar in browser.jars.values_mut() {
                jar.set_client(&client);
            }
            for url in urls {
                assert!(browser.open(url).is_sign_in(), "{url}");
            }
        }
    };
    let mut browser = sign_in();
    browser.jar("auth.example").set_host("auth.example");
    let response = browser
        .jar("auth.example")
        .submit("/account", "/signout", &[]);
    assert_eq!(response.status, 303);
    assert_out(&mut browser);
    assert_eq!(
        app.database().count("access_tokens WHERE audience <> ''"),
        0
    );

    let token = ada.sign_in();
    let mut browser = sign_in();
    assert_eq!(
        app.post("/logout?all=true").bearer(&token).send().status,
        204
    );
    let token = ada.sign_in();
    let sessions = app
        .request("DELETE", "/users/me/sessions")
        .bearer(&token)
        .send();
    assert_eq!(sessions.status, 204);
    assert_out(&mut browser);

    let mut browser = sign_in();
    assert_eq!(app.run(&["user", "disable", &ada.email]).0, Some(0));
    assert_out(&mut browser);
    assert_eq!(app.run(&["user", "enable", &ada.email]).0, Some(0));
    assert_out(&mut browser);
}

/// Brings a browser with a code to the callback, which it does not open.
fn code_for(browser: &mut Traveller, url: &str) -> String {
    let asked = browser.send(url);
    let sign_in = asked.header("location").unwrap();
    let response = browser.send(&sign_in);
    assert_eq!(response.status, 303, "{response:?}");
    response.header("location").unwrap()
}

fn code_counts_once_in_a_race_of_processes(backend: Backend) {
    let app = service(backend).start();
    let (_other, elsewhere) = app.spawn_server_with(&[
        ("TOKENHOUSE_PUBLIC_URL", PORTAL),
        ("TOKENHOUSE_TRUSTED_PROXIES", "127.0.0.1"),
        ("TOKENHOUSE_SIGNIN_HOSTS", super::HOSTS),
    ]);
    let ada = app.register("ada");
    let mut browser = Traveller::new(&app);
    browser.reach("https://app.example/", &ada);
    for round in 0..3 {
        let url = format!("https://h{round}.wide.example/");
        let callback = code_for(&mut browser, &url);
        let host = origin(&url).trim_start_matches("https://");
        let nonce = browser.secret(host, "__Host-tokenhouse-signin");
        let path = &callback[origin(&callback).len()..];
        let clients = [*app, elsewhere];
        let cookies = concurrently(8, 8, |number| {
            let request = ask_at(&clients[number % 2], path, &callback);
            let cookie = format!("__Host-tokenhouse-signin={nonce}");
            let response = request.header("Cookie", cookie).send();
            assert_eq!(response.status, 303, "{response:?}");
            let set = response.headers.iter().filter(|(name, value)| {
                name.eq_ignore_ascii_case("set-cookie") && value.contains("=tkb_")
            });
            set.count()
        });
        assert_eq!(cookies.into_iter().sum::<usize>(), 1);
    }
}

fn code_counts_only_in_its_browser_at_its_host_for_half_a_minute(backend: Backend) {
    let clock = Clock::manual(DateTime::UNIX_EPOCH + TimeDelta::days(20_000));
    let app = service(backend).clock(clock.clone()).start();
    let ada = app.register("ada");
    let mut browser = Traveller::new(&app);
    browser.reach("https://app.example/", &ada);
    let tokens = || app.database().count("access_tokens WHERE audience <> ''");
    let mut host = 0;
    let mut attempt = |change: &dyn Fn(&mut Traveller, String) -> String| {
        host += 1;
        let before = tokens();
        let callback = code_for(&mut browser, &format!("https://h{host}.wide.example/a"));
        let url = change(&mut browser, callback.clone());
        let response = browser.send(&url);
        assert!(!format!("{response:?}").contains("tkb_"), "{response:?}");
        assert_eq!(tokens(), before);
        // Whatever was wrong, the code is used up.
        let again = browser.send(&callback);
        assert_eq!(
            again.header("location").unwrap(),
            format!("https://h{host}.wide.example/")
        );
        assert_eq!(tokens(), before);
        response
    };
    let elsewhere = attempt(&|_, url| url.replace(".wide.example", ".x.wide.example"));
    assert_eq!(elsewhere.status, 303);
    attempt(&|_, url| {
        clock.advance(TimeDelta::seconds(30));
        url
    });
    // In a browser that has begun elsewhere, it leads back, and the browser begins again.
    let other = attempt(&|browser, url| {
        let host = origin(&url).trim_start_matches("https://").to_owned();
        let nonce = format!("{}.0.0", "A".repeat(43));
        browser
            .jar(&host)
            .set_cookie("__Host-tokenhouse-signin", &nonce);
        url
    });
    assert!(
        other
            .header("location")
            .unwrap()
            .ends_with(".wide.example/a")
    );
    // In one that keeps no cookie, it leads to the explanation.
    let cookieless = attempt(&|browser, url| {
        let host = origin(&url).trim_start_matches("https://").to_owned();
        browser.jars.remove(&host);
        url
    });
    let explained = cookieless.header("location").unwrap();
    assert!(
        explained.starts_with(&format!("{PORTAL}/signin/stopped?rd=")),
        "{explained}"
    );
    let page = browser.open(&explained);
    assert_eq!(page.response.status, 403);
    assert!(title(page.response.text()).starts_with("The sign-in does not reach the site"));
    let refused = "audit_events WHERE action = 'session.host' AND result = 'refused'";
    assert_eq!(app.database().count(refused), 2);
    // The session may have ended meanwhile.
    let callback = code_for(&mut browser, "https://last.wide.example/");
    browser.jar("auth.example").set_host("auth.example");
    browser
        .jar("auth.example")
        .submit("/account", "/signout", &[]);
    assert!(browser.open(&callback).is_sign_in());
    for code in [
        "",
        "?code",
        "?code=x",
        "?code=%00",
        &format!("?code={}", "A".repeat(43)),
    ] {
        let response = browser.send(&format!("https://app.example/.tokenhouse/callback{code}"));
        assert_eq!(
            response.header("location").as_deref(),
            Some("https://app.example/")
        );
        assert_eq!(
            response
                .header("set-cookie")
                .filter(|set| set.contains("tkb_")),
            None
        );
    }
}

fn session_has_tokens_for_the_latest_hosts(backend: Backend) {
    let app = service(backend).start();
    let ada = app.register("ada");
    let mut browser = Traveller::new(&app);
    let url = |number: i32| format!("https://h{number}.wide.example/");
    browser.reach(&url(0), &ada);
    for number in 1..33 {
        assert!(browser.open(&url(number)).is_at(&url(number), &ada));
    }
    let rows = || app.database().count("access_tokens WHERE audience <> ''");
    assert_eq!(rows(), 32);
    let asked = |browser: &mut Traveller, number| browser.send(&url(number)).status;
    assert_eq!(
        [0, 1, 32].map(|number| asked(&mut browser, number)),
        [302, 200, 200]
    );
    // Signing in there again takes the place of the oldest, or of its own token.
    assert!(browser.open(&url(0)).is_at(&url(0), &ada));
    assert_eq!(
        [0, 1, 2].map(|number| asked(&mut browser, number)),
        [200, 302, 200]
    );
    browser.jars.remove("h2.wide.example");
    assert!(browser.open(&url(2)).is_at(&url(2), &ada));
    assert_eq!((rows(), asked(&mut browser, 3)), (32, 200));
}

#[test]
fn browser_without_a_lasting_cookie_is_not_sent_back_and_forth_for_ever() {
    let app = service(Backend::Sqlite).start();
    let ada = app.register("ada");
    let url = "https://app.example/a?b=c";
    let mut browser = Traveller::new(&app);
    browser.reach(url, &ada);
    // The cookie of the session is lost, that of the rounds is kept.
    let mut stopped = None;
    for _ in 0..4 {
        browser.jar("app.example").forget("__Host-tokenhouse");
        let arrival = browser.open(url);
        if arrival.response.status != 200 {
            stopped = Some(arrival);
            break;
        }
    }
    let stopped = stopped.expect("it ends");
    assert!(
        stopped
            .url
            .starts_with(&format!("{PORTAL}/signin/stopped?rd=")),
        "{stopped:?}"
    );
    assert_eq!(stopped.response.status, 403);
    assert!(
        stopped
            .response
            .text()
            .contains(r#"href="https://app.example/a?b=c""#)
    );
    // No cookie of the host reaches `/verify`, as with a proxy that does not pass them on.
    let mut browser = Traveller::new(&app);
    browser.reach(url, &ada);
    let ends = (0..8).map(|_| {
        browser.jars.remove("app.example");
        browser.open(url).response.status
    });
    assert_eq!(ends.last(), Some(403));
}

#[test]
fn missing_scope_is_explained_with_a_way_to_another_user() {
    let app = service(Backend::Sqlite).start();
    let (ada, bob) = (
        app.register("ada"),
        app.register_with("bob", "reports:read"),
    );
    let url = "https://app.example/reports?x=y";
    let mut browser = Traveller::new(&app);
    browser.query = "redirect=true&scope=reports:read";
    let shown = browser.open(url);
    let denied = browser.sign_in(&shown, &ada);
    let page = denied.response.text().to_owned();
    assert_eq!(denied.response.status, 403);
    for part in [
        ada.email.as_str(),
        "reports:read",
        "app.example",
        "Sign in as somebody else",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let (_, rest) = page.split_once(r#"<form method="post" action=""#).unwrap();
    let action = rest.split('"').next().unwrap().replace("&#38;", "&");
    browser.jar("auth.example").set_host("auth.example");
    let user = hidden(&page, "user").unwrap();
    let response = browser
        .jar("auth.example")
        .post(&action, &[("user", &user)]);
    let shown = browser.open(&format!("{PORTAL}{}", response.header("location").unwrap()));
    let arrival = browser.sign_in(&shown, &bob);
    assert!(arrival.is_at(url, &bob), "{arrival:?}");
    // nginx redirects itself, and a script gets what it always got.
    let cookie = format!(
        "__Host-tokenhouse={}",
        browser.secret("app.example", "__Host-tokenhouse")
    );
    let asked = |query: &str, mode: &str| {
        let request = ask_at(&app, &format!("/verify?scope=other&redirect={query}"), url);
        request
            .header("Cookie", &cookie)
            .header("Sec-Fetch-Mode", mode)
            .send()
    };
    let nginx = asked("401", "navigate");
    assert_eq!(nginx.status, 403);
    let location = nginx.header("location").unwrap();
    assert!(location.starts_with(&format!("{PORTAL}/signin/denied?rd=https://app.example/")));
    assert!(location.ends_with("&scope=other"), "{location}");
    let script = asked("true", "cors");
    assert_eq!((script.status, script.header("location")), (403, None));
    // Nothing but a scope is repeated, and nobody is nobody.
    let page = browser.open(&format!(
        "{PORTAL}/signin/denied?scope=%3Cscript%3E%22&rd=https://evil.example"
    ));
    let text = page.response.text();
    assert!(
        text.contains("needs a permission that your account does not have"),
        "{text}"
    );
    assert!(!text.contains("<script") && !text.contains("href=\"https://evil"));
    let nobody = Traveller::new(&app).open(&location);
    assert!(nobody.is_sign_in(), "{nobody:?}");
    let anonymous = ask(&app, "true", url).header("Accept", "text/html").send();
    assert_eq!(anonymous.status, 302);
}
