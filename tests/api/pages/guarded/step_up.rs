//! Guarded hosts that require more than any sign-in (`acr`, `max_age`): a browser is asked for what is missing, and
//! comes back to the exact URL.

use chrono::TimeDelta;
use tokenhouse::Clock;

use super::{Arrival, PORTAL, Traveller, ask_at, service};
use crate::factors::app::{Authenticator, clock, enrol, enrol_as, with_settings};
use crate::harness::{Backend, Response, TestApp, on_both_databases};
use crate::pages::browser::{hidden, title};

on_both_databases!(
    each_host_with_its_own_cookie_is_reached_again,
    hosts_with_one_cookie_are_reached_again,
    user_without_a_factor_adds_one_on_the_way,
    trusted_device_is_no_second_factor,
);

const FACTOR: &str = "redirect=true&acr=mfa";
const RECENT: &str = "redirect=true&acr=mfa&max_age=300";

/// The fields of the page that asks.
const PASSWORD: &str = r#"name="confirm""#;
const CODE: &str = r#"name="confirm-code""#;

/// A service whose clock stands still, and whose browsers have one cookie for all hosts or not.
fn start(backend: Backend, is_shared: bool) -> (TestApp, Clock) {
    let clock = clock();
    let mut builder = with_settings(service(backend)).clock(clock.clone());
    if is_shared {
        builder = builder
            .setting("TOKENHOUSE_SIGNIN_HOSTS", ".auth.example")
            .setting("TOKENHOUSE_SIGNIN_COOKIE", "domain")
            .setting("TOKENHOUSE_COOKIE_DOMAIN", "auth.example");
    }
    (builder.start(), clock)
}

impl Traveller {
    /// Sends a form of a page that is shown.
    #[track_caller]
    fn submit(&mut self, page: &str, fields: &[(&str, &str)]) -> Response {
        let (_, rest) = page.split_once(r#"<form method="post" action=""#).unwrap();
        let action = rest.split('"').next().unwrap().replace("&#38;", "&");
        let repeated = ["user", "mfa_token", "factor", "secret", "keep"];
        let repeated = repeated.map(|name| (name, hidden(page, name)));
        let mut all: Vec<(&str, &str)> = fields.to_vec();
        all.extend(
            repeated
                .iter()
                .filter_map(|(name, value)| Some((*name, value.as_deref()?))),
        );
        let jar = self.jar("auth.example");
        jar.set_host("auth.example");
        jar.post(&action, &all)
    }

    /// Sends a form that is accepted, and follows where it leads.
    #[track_caller]
    fn pass(&mut self, page: &str, fields: &[(&str, &str)]) -> Arrival {
        let response = self.submit(page, fields);
        assert_eq!(response.status, 303, "{response:?}");
        self.open(&format!("{PORTAL}{}", response.header("location").unwrap()))
    }

    /// Opens a URL at which the user is asked for a password, a code or both. Returns the page.
    #[track_caller]
    fn asked(&mut self, url: &str, password: bool, code: bool) -> String {
        let shown = self.open(url);
        assert!(shown.is_sign_in(), "{shown:?}");
        let page = shown.response.text().to_owned();
        assert_eq!(title(&page), "Confirm that it is you · Tokenhouse");
        assert_eq!(
            (page.contains(PASSWORD), page.contains(CODE)),
            (password, code),
            "{page}"
        );
        page
    }
}

fn each_host_with_its_own_cookie_is_reached_again(backend: Backend) {
    let (app, clock) = start(backend, false);
    let browser = Traveller::new(&app);
    let urls = [
        "https://app.example/p%C3%A4th?a=1&b=%26%23&acr=none&max_age=x",
        "https://other.example/x?y",
    ];
    host_is_reached_again(&app, &clock, browser, urls);
}

fn hosts_with_one_cookie_are_reached_again(backend: Backend) {
    let (app, clock) = start(backend, true);
    let browser = Traveller::with_one_cookie(&app);
    let urls = [
        "https://app.auth.example/p%C3%A4th?a=1&b=%26%23&acr=none&max_age=x",
        "https://other.auth.example/x?y",
    ];
    host_is_reached_again(&app, &clock, browser, urls);
}

fn host_is_reached_again(
    app: &TestApp,
    clock: &Clock,
    mut browser: Traveller,
    [url, other]: [&str; 2],
) {
    let ada = app.register("ada");
    browser.reach(url, &ada);
    assert!(browser.open(other).is_at(other, &ada));
    let sessions = app.database().count("sessions");
    let ada = enrol_as(app, clock, ada);
    let now = || clock.now().and_utc();

    // The session has the password, so only the code is missing.
    browser.query = FACTOR;
    let page = browser.asked(url, false, true);
    assert!(page.contains("a second factor is needed besides your password"));
    for (typed, sentence) in [
        ("", "Fill in this field."),
        ("12", "This is not a code."),
        ("000000", "The code is wrong"),
    ] {
        let refused = browser.submit(&page, &[("confirm-code", typed)]);
        assert_eq!(refused.status, 422, "{typed}: {refused:?}");
        let text = refused.text();
        assert!(
            text.contains(sentence) && !text.contains(PASSWORD),
            "{text}"
        );
        assert!(refused.header("set-cookie").is_none());
    }
    let before = browser.own_secret();
    let code = ada.app.code(now());
    let arrival = browser.pass(&page, &[("confirm-code", &code)]);
    assert!(arrival.is_at(url, &ada.person), "{arrival:?}");
    assert_ne!(browser.own_secret(), before);
    // The session goes on: no other one began, and the other host asks for nothing.
    assert_eq!(app.database().count("sessions"), sessions + 1);
    let arrival = browser.open(other);
    assert!(arrival.is_at(other, &ada.person), "{arrival:?}");
    // The button is pressed twice.
    let arrival = browser.pass(&page, &[("confirm-code", &code)]);
    assert!(arrival.is_at(url, &ada.person), "{arrival:?}");

    // Later the password is missing too.
    browser.query = RECENT;
    let arrival = browser.open(url);
    assert!(arrival.is_at(url, &ada.person) && arrival.redirects == 0);
    clock.advance(TimeDelta::seconds(301));
    let page = browser.asked(url, true, true);
    let code = ada.app.code(now());
    let code = ("confirm-code", code.as_str());
    let password = ("confirm", ada.person.password.as_str());
    for fields in [&[password][..], &[code], &[("confirm", "wrong"), code]] {
        assert_eq!(browser.submit(&page, fields).status, 422, "{fields:?}");
    }
    let arrival = browser.pass(&page, &[password, code]);
    assert!(arrival.is_at(url, &ada.person), "{arrival:?}");
    // The other host has not seen it yet, and learns it without a question.
    let arrival = browser.open(other);
    assert!(arrival.is_at(other, &ada.person), "{arrival:?}");
    assert_eq!(app.database().count("sessions"), sessions + 1);

    // Without `acr`, a user with a factor shows it all the same: a page asks for whatever a sign-in does.
    browser.query = "redirect=true&max_age=300";
    clock.advance(TimeDelta::seconds(301));
    browser.asked(url, true, true);
}

fn user_without_a_factor_adds_one_on_the_way(backend: Backend) {
    let (app, clock) = start(backend, false);
    let url = "https://app.example/admin?x=1&y=2";
    let (bob, eve) = (app.register("bob"), app.register("eve"));
    let code = |page: &str| {
        let secret = hidden(page, "secret").expect("an app to add");
        Authenticator::scan(&secret).code(clock.now().and_utc())
    };
    let add = |browser: &mut Traveller, page: &str| {
        assert!(title(page).starts_with("Set up two-step sign-in"), "{page}");
        let refused = browser.submit(page, &[("otp", "000000")]);
        assert_eq!(refused.status, 422, "{refused:?}");
        let codes = browser.submit(page, &[("otp", &code(page))]);
        assert_eq!(codes.status, 200, "{codes:?}");
        let text = codes.text();
        assert_eq!(text.matches("<li><code>").count(), 10);
        let (_, rest) = text.split_once(r#"href="/signin/continue?"#).unwrap();
        let onward = rest.split('"').next().unwrap().replace("&#38;", "&");
        browser.open(&format!("{PORTAL}/signin/continue?{onward}"))
    };
    // At the sign-in.
    let mut browser = Traveller::new(&app);
    browser.query = FACTOR;
    let shown = browser.open(url);
    let fields = [("email", bob.email.as_str()), ("password", &bob.password)];
    let asked = browser.submit(shown.response.text(), &fields);
    assert_eq!(asked.status, 200, "{asked:?}");
    let arrival = add(&mut browser, asked.text());
    assert!(arrival.is_at(url, &bob), "{arrival:?}");

    // Signed in long before, in a browser that keeps the session.
    let mut browser = Traveller::new(&app);
    browser.jar("auth.example").set_host("auth.example");
    let kept = browser
        .jar("auth.example")
        .sign_in_with(&eve, &[("keep", "yes")]);
    assert_eq!(kept.status, 303);
    clock.advance(TimeDelta::hours(1));
    browser.query = FACTOR;
    let page = browser.asked(url, true, false);
    assert!(page.contains("you need two-step sign-in"), "{page}");
    let refused = browser.submit(&page, &[("confirm", "wrong")]);
    assert_eq!(refused.status, 422, "{refused:?}");
    assert!(
        refused.text().contains("The password is wrong"),
        "{refused:?}"
    );
    let asked = browser.submit(&page, &[("confirm", &eve.password)]);
    assert_eq!(hidden(asked.text(), "keep").as_deref(), Some("yes"));
    let arrival = add(&mut browser, asked.text());
    assert!(arrival.is_at(url, &eve), "{arrival:?}");
    // The session from before has ended.
    assert_eq!(app.database().count("sessions"), 2);
}

fn trusted_device_is_no_second_factor(backend: Backend) {
    let (app, clock) = start(backend, false);
    let ada = enrol(&app, &clock, "ada");
    let url = "https://app.example/admin";
    let mut browser = Traveller::new(&app);
    let fields = [
        ("email", ada.person.email.as_str()),
        ("password", &ada.person.password),
    ];
    let now = || clock.now().and_utc();
    let shown = browser.open(url);
    let asked = browser.submit(shown.response.text(), &fields);
    let code = ada.app.code(now());
    let trust = [("code", code.as_str()), ("remember", "yes")];
    assert!(browser.pass(asked.text(), &trust).is_at(url, &ada.person));
    let sign_out = |browser: &mut Traveller| {
        let jar = browser.jar("auth.example");
        jar.set_host("auth.example");
        assert_eq!(jar.submit("/account", "/signout", &[]).status, 303);
    };
    sign_out(&mut browser);
    // The device is trusted, where any sign-in is enough.
    let shown = browser.open(url);
    let arrival = browser.pass(shown.response.text(), &fields);
    assert!(arrival.is_at(url, &ada.person), "{arrival:?}");
    // It is not where a second factor is required: neither afterwards,
    browser.query = FACTOR;
    clock.advance(TimeDelta::seconds(30));
    let page = browser.asked(url, false, true);
    let code = ada.app.code(now());
    assert!(
        browser
            .pass(&page, &[("confirm-code", &code)])
            .is_at(url, &ada.person)
    );
    // nor at the sign-in.
    sign_out(&mut browser);
    clock.advance(TimeDelta::seconds(30));
    let shown = browser.open(url);
    let asked = browser.submit(shown.response.text(), &fields);
    assert!(
        title(asked.text()).starts_with("Enter your code"),
        "{asked:?}"
    );
    let code = ada.app.code(now());
    let arrival = browser.pass(asked.text(), &[("code", &code)]);
    assert!(arrival.is_at(url, &ada.person), "{arrival:?}");
}

#[test]
fn programs_and_scripts_get_the_challenge() {
    let (app, clock) = start(Backend::Sqlite, false);
    let ada = app.register("ada");
    let url = "https://app.example/a?b";
    let mut browser = Traveller::new(&app);
    browser.reach(url, &ada);
    let secret = browser.secret("app.example", "__Host-tokenhouse");
    let token = ada.sign_in();
    let ask = |query: &str| ask_at(&app, &format!("/verify?{query}"), url);
    let cookie = ("Cookie", format!("__Host-tokenhouse={secret}"));
    let challenge = |response: &Response| {
        let challenge = response.header("www-authenticate").unwrap_or_default();
        assert!(
            response.status == 401 && challenge.contains("insufficient_user_authentication"),
            "{response:?}"
        );
        challenge
    };
    for redirect in ["redirect=true", "redirect=401"] {
        let query = format!("{redirect}&acr=mfa&max_age=300");
        // A program, whatever it accepts.
        for mode in ["navigate", "cors"] {
            let request = ask(&query).bearer(&token).header("Sec-Fetch-Mode", mode);
            let response = request.send();
            assert!(challenge(&response).contains(r#"acr_values="mfa""#));
            assert_eq!(response.header("location"), None);
            assert_eq!(response.header("x-tokenhouse-signin"), None);
        }
        // A script of the site.
        let request = ask(&query).header(cookie.0, &cookie.1);
        let response = request.header("Sec-Fetch-Mode", "cors").send();
        challenge(&response);
        assert_eq!(response.header("location"), None);
        assert_eq!(
            response.header("x-tokenhouse-signin").as_deref(),
            Some("https://auth.example/signin?rd=https://app.example/&acr=mfa&max_age=300")
        );
    }
    // nginx redirects itself.
    let request = ask("redirect=401&acr=mfa").header(cookie.0, &cookie.1);
    let response = request.header("Sec-Fetch-Mode", "navigate").send();
    challenge(&response);
    let location = response.header("location").unwrap();
    assert!(
        location.starts_with("https://auth.example/signin?rd=https://app.example/a?b&acr=mfa&n="),
        "{location}"
    );
    // Too old for one parameter is not too old for the other.
    clock.advance(TimeDelta::seconds(31));
    let status = |query: &str| ask(query).header(cookie.0, &cookie.1).send().status;
    assert_eq!(status("redirect=true&max_age=30"), 401);
    assert_eq!(status("redirect=true&max_age=31"), 200);
    // A sign-in would be too old on arrival, for ever: the settings of the proxy are wrong.
    assert_eq!(status("redirect=true&max_age=29"), 403);
    let api = app.get("/verify?max_age=29").bearer(&ada.sign_in());
    assert_eq!(api.send().status, 200);
}

#[test]
fn scope_that_needs_a_second_factor_is_reached_with_one() {
    let clock = clock();
    let app = with_settings(service(Backend::Sqlite))
        .clock(clock.clone())
        .setting("TOKENHOUSE_MFA_SCOPES", "reports:read")
        .start();
    let ada = app.register_with("ada", "reports:read");
    let url = "https://app.example/reports";
    let mut browser = Traveller::new(&app);
    browser.reach("https://app.example/", &ada);
    let ada = enrol_as(&app, &clock, ada);
    browser.query = "redirect=true&scope=reports:read";
    let page = browser.asked(url, false, true);
    let code = ada.app.code(clock.now().and_utc());
    let arrival = browser.pass(&page, &[("confirm-code", &code)]);
    assert!(arrival.is_at(url, &ada.person), "{arrival:?}");
}

#[test]
fn service_without_second_factors_says_so() {
    let app = service(Backend::Sqlite).start();
    let ada = app.register("ada");
    let mut browser = Traveller::new(&app);
    browser.query = FACTOR;
    let shown = browser.open("https://app.example/");
    let end = browser.sign_in(&shown, &ada);
    assert_eq!(end.response.status, 403, "{end:?}");
    let page = end.response.text();
    assert!(page.contains("this service has none"), "{page}");
    // Nothing that the query says leads around it, or elsewhere.
    for query in ["", "?rd=https://evil.example/&acr=mfa"] {
        let user = ada_id(&mut browser);
        let jar = browser.jar("auth.example");
        let sent = jar.post(&format!("/signin/confirm{query}"), &[("user", &user)]);
        assert_eq!(sent.header("location").as_deref(), Some("/account"));
    }
}

fn ada_id(browser: &mut Traveller) -> String {
    let jar = browser.jar("auth.example");
    jar.set_host("auth.example");
    hidden(&jar.page("/account"), "user").expect("she is signed in")
}
