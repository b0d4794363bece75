//! The cookies at guarded hosts: each counts at one host, and nothing else counts as a cookie.

use super::{Traveller, ask, ask_at, service};
use crate::harness::{Backend, Request, TestApp, on_both_databases};
use crate::matrix::credential::{self, PREVIOUS_STATIC_KEY};
use crate::pages::browser::Browser;

on_both_databases!(
    cookie_of_one_host_counts_nowhere_else,
    no_other_credential_counts_as_a_cookie,
    shared_cookie_counts_at_every_host_of_its_domain,
);

/// The cookies under which a secret could be sent.
const NAMES: [&str; 7] = [
    "__Host-tokenhouse",
    "__Host-tokenhouse-8443",
    "__Host-tokenhouse-host",
    "__Host-tokenhouse-signin",
    "__Secure-tokenhouse",
    "tokenhouse",
    "tokenhouse-lang",
];

/// Presents a secret in every cookie and header.
fn in_every_place(request: impl Fn() -> Request, secret: &str) -> Vec<Request> {
    let mut requests: Vec<Request> = NAMES
        .iter()
        .map(|name| request().header("Cookie", format!("{name}={secret}")))
        .collect();
    requests.push(request().bearer(secret));
    requests.push(request().header("Token", secret));
    requests
}

fn cookie_of_one_host_counts_nowhere_else(backend: Backend) {
    let app = service(backend).start();
    let ada = app.register("ada");
    let mut browser = Traveller::new(&app);
    browser.reach("https://app.example/", &ada);
    browser.open("https://port.example:8443/");
    let own = browser.secret("auth.example", "__Host-tokenhouse");
    let of_app = browser.secret("app.example", "__Host-tokenhouse");
    let of_port = browser.secret("port.example", "__Host-tokenhouse-8443");
    let hosts = [
        ("https://app.example/", Some((&of_app, "__Host-tokenhouse"))),
        (
            "https://port.example:8443/",
            Some((&of_port, "__Host-tokenhouse-8443")),
        ),
        ("https://other.example/", None),
        ("https://x.wide.example/", None),
        ("https://port.example/", None),
        ("https://app.example:8443/", None),
        ("https://evil.example/", None),
        ("https://auth.example/", None),
        ("https://auth.example:8443/", None),
    ];
    let mut tried = 0;
    let mut opened = 0;
    for secret in [&own, &of_app, &of_port] {
        for (url, holder) in hosts {
            for request in in_every_place(|| ask(&app, "true", url), secret) {
                tried += 1;
                opened += usize::from(request.send().status == 200);
            }
            if let Some((_, name)) = holder.filter(|(of, _)| *of == secret) {
                let cookie = format!("{name}={secret}");
                let get = || ask(&app, "true", url).header("Cookie", &cookie);
                assert_eq!(get().send().status, 200, "{url}");
                opened -= 1;
                // Beside another one it is not clear whose it is.
                let two = format!("{cookie}; {name}=tkb_{}", "A".repeat(43));
                assert_eq!(
                    ask(&app, "true", url).header("Cookie", two).send().status,
                    401
                );
                // Without the parameter, cookies do not count.
                let plain = ask_at(&app, "/verify", url).header("Cookie", &cookie);
                assert_eq!(plain.send().status, 401);
                // Nor from a client that is no proxy.
                let direct = ask(&app.from([127, 9, 9, 9]), "true", url);
                assert_eq!(direct.header("Cookie", &cookie).send().status, 401);
            }
        }
        // Our own pages and the API.
        for path in ["/users/me", "/account", "/verify", "/users/me/sessions"] {
            let is_account = path == "/account";
            let requests = in_every_place(|| app.get(path).host("auth.example"), secret);
            for (place, request) in requests.into_iter().enumerate() {
                let opens =
                    is_account && secret == &own && NAMES.get(place) == Some(&"__Host-tokenhouse");
                assert_eq!(request.send().status == 200, opens, "{path} {place}");
            }
        }
    }
    assert_eq!((tried, opened), (243, 0));
    // An app that has the cookie asks for another host: with its own headers beside those of the proxy.
    let cookie = format!("__Host-tokenhouse={of_app}");
    let forged = || ask(&app, "true", "https://other.example/").header("Cookie", &cookie);
    for request in [
        forged().header("X-Original-URL", "https://app.example/"),
        forged().header("X-Forwarded-Host", "app.example"),
        forged()
            .header("X-Original-URL", "https://other.example/")
            .header("X-Original-URL", "https://app.example/"),
        forged().header("Forwarded", "host=app.example;proto=https"),
        forged().host("app.example"),
        app.get("/verify?redirect=true")
            .host("app.example")
            .header("Cookie", &cookie),
        app.get("/verify?redirect=true")
            .header("X-Original-URL", "https://other.example/")
            .header("X-Forwarded-Host", "app.example")
            .header("X-Forwarded-Proto", "https")
            .header("Cookie", &cookie),
    ] {
        assert_eq!(request.send().status, 401);
    }
    // Nor does it come back to life, or say anything about itself.
    let client = app.create_app("client", "introspect");
    for text in [of_app.clone(), format!("{of_app}\0app.example")] {
        let asked = app
            .post("/introspect")
            .bearer(&client)
            .form(&[("token", &text)]);
        assert_eq!(asked.send().json(), serde_json::json!({ "active": false }));
    }
    let digests = app
        .database()
        .texts("SELECT access_token AS text FROM access_tokens WHERE audience <> ''");
    assert_eq!(digests.len(), 2);
    for digest in digests {
        let cookie = format!("__Host-tokenhouse={digest}");
        assert_eq!(
            ask(&app, "true", "https://app.example/")
                .header("Cookie", cookie)
                .send()
                .status,
            401
        );
    }
}

fn no_other_credential_counts_as_a_cookie(backend: Backend) {
    let app = service(backend)
        .setting("API_KEY_TOKEN_PREVIOUS", PREVIOUS_STATIC_KEY)
        .setting("TOKENHOUSE_PUBLIC_URL", "http://localhost")
        .setting("TOKENHOUSE_SIGNIN_HOSTS", "app.example, localhost:3000")
        .start();
    let (kinds, other) = credential::all(&app);
    for kind in kinds.iter().chain([&other]) {
        let secret = &kind.secret;
        if secret.contains(['\r', '\n', ';']) || kind.is_nothing() {
            continue;
        }
        for url in ["https://app.example/", "http://localhost:3000/"] {
            for name in ["__Host-tokenhouse", "tokenhouse", "tokenhouse-3000"] {
                let cookie = format!("{name}={secret}");
                let response = ask(&app, "true", url).header("Cookie", cookie).send();
                assert_eq!(response.status, 401, "{} in {name}", kind.name);
            }
        }
    }
}

fn shared_cookie_counts_at_every_host_of_its_domain(backend: Backend) {
    let app = TestApp::builder(backend)
        .setting("TOKENHOUSE_PUBLIC_URL", "https://auth.wide.example")
        .setting("TOKENHOUSE_TRUSTED_PROXIES", "127.0.0.1")
        .setting("TOKENHOUSE_SIGNIN_HOSTS", ".wide.example")
        .setting("TOKENHOUSE_SIGNIN_COOKIE", "domain")
        .setting("TOKENHOUSE_COOKIE_DOMAIN", "wide.example")
        .start();
    let ada = app.register("ada");
    let mut browser = Browser::new(&app).at("auth.wide.example");
    let asked = ask(&app, "true", "https://a.wide.example/x")
        .header("Accept", "text/html")
        .send();
    let location = asked.header("location").unwrap();
    assert_eq!(
        location,
        "https://auth.wide.example/signin?rd=https://a.wide.example/x"
    );
    let response = browser.sign_in(&ada);
    let cookie = response.header("set-cookie").unwrap();
    assert!(cookie.starts_with("__Secure-tokenhouse=tkb_"), "{cookie}");
    assert!(cookie.ends_with("; Path=/; Domain=wide.example; HttpOnly; SameSite=Lax; Secure"));
    assert!(browser.is_signed_in());
    let secret = browser.cookie("__Secure-tokenhouse").unwrap().to_owned();
    let asked = |url: &str, name: &str| {
        let request = ask(&app, "true", url).header("Cookie", format!("{name}={secret}"));
        request.send().status
    };
    for url in ["https://a.wide.example/", "https://b.c.wide.example/"] {
        assert_eq!(asked(url, "__Secure-tokenhouse"), 200);
        assert_eq!(asked(url, "__Host-tokenhouse"), 401);
    }
    for url in [
        "https://a.wide.example:8443/",
        "https://other.example/",
        "https://wide.example/",
    ] {
        assert_eq!(asked(url, "__Secure-tokenhouse"), 401, "{url}");
    }
    let leads = browser.get("/signin?rd=https://a.wide.example/x");
    assert_eq!(
        leads.header("location").as_deref(),
        Some("https://a.wide.example/x")
    );
    let response = browser.submit("/account", "/signout", &[]);
    let cookie = response.header("set-cookie").unwrap();
    assert!(
        cookie.contains("Domain=wide.example") && cookie.ends_with("Max-Age=0"),
        "{cookie}"
    );
    assert_eq!(asked("https://a.wide.example/", "__Secure-tokenhouse"), 401);
    assert_eq!(app.database().count("access_tokens"), 0);
}
