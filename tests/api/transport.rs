//! Behind a proxy with TLS, no answer leads a client back to plain HTTP.

use crate::harness::{Backend, OWN_SCOPES, Request, Response, STATIC_KEY, TestApp};
use crate::matrix::policy::{Body, ROUTES, Route};

/// How clients call the service.
const HOST: &str = "auth.example";

/// Scripts and styles of others, which name their licences.
const OF_OTHERS: [&str; 2] = ["/docs/{file}", "/redoc/{file}"];

#[test]
fn no_answer_of_any_route_names_plain_http() {
    let with_url = TestApp::builder(Backend::Sqlite)
        .setting("TOKENHOUSE_PUBLIC_URL", "https://auth.example")
        .start();
    let behind_proxy = TestApp::builder(Backend::Sqlite)
        .setting("TOKENHOUSE_TRUSTED_PROXIES", "127.0.0.1")
        .start();
    for app in [&with_url, &behind_proxy] {
        let root = app.register_with("root", OWN_SCOPES).sign_in();
        let mut tried = 0;
        for route in ROUTES {
            // The last one: it may end the token.
            for shown in [None, Some(STATIC_KEY), Some(root.as_str())] {
                for end in ["", "/", "//", "/?next=x"] {
                    let answer = request(app, route, end, shown).send();
                    check(route, end, &answer);
                    tried += 1;
                }
            }
        }
        assert!(tried > 300, "{tried}");
        let metadata = "/.well-known/oauth-authorization-server";
        let answer = app.get(metadata).host(HOST);
        let answer = answer.header("X-Forwarded-Proto", "https").send();
        assert!([200, 404].contains(&answer.status), "{answer:?}");
    }
}

fn request(app: &TestApp, route: &Route, end: &str, shown: Option<&str>) -> Request {
    let request = app
        .request(route.method, format!("{}{end}", route.target))
        .host(HOST)
        .header("X-Forwarded-Proto", "https")
        .header("X-Forwarded-Host", HOST)
        .header("X-Forwarded-For", "192.0.2.1");
    let request = match shown {
        Some(credential) => request.header("Token", credential),
        None => request,
    };
    let form = "application/x-www-form-urlencoded";
    match route.body {
        Body::None => request,
        Body::Json(json) => request
            .header("Content-Type", "application/json")
            .body(json),
        Body::Form(fields) => request.header("Content-Type", form).body(fields),
    }
}

fn check(route: &Route, end: &str, answer: &Response) {
    let what = format!("{} {}{end}: {}", route.method, route.target, answer.status);
    for (name, value) in &answer.headers {
        assert!(!value.contains("http:"), "{what}: {name}: {value}");
    }
    if OF_OTHERS.contains(&route.path) {
        return;
    }
    let body = String::from_utf8_lossy(&answer.body);
    if let Some(at) = body.find("http://") {
        panic!(
            "{what}: {}",
            body[at..].chars().take(80).collect::<String>()
        );
    }
}
