//! The service in an app with routes of its own: `examples/whole_app.rs`, which mounts it at `/auth`.

use std::path::Path;
use std::process::Command;

use crate::harness::{
    Backend, Client, Running, STATIC_KEY, TestApp, TestDatabase, on_both_databases, settings,
};
use crate::matrix::policy::ROUTES;

on_both_databases!(
    app_shares_its_process_with_the_service,
    routes_respond_as_in_the_service,
);

const ORIGIN: &str = "https://app.example";

/// The headers that the service adds to every response.
const OURS: [&str; 5] = [
    "X-Request-Id",
    "X-Content-Type-Options",
    "Referrer-Policy",
    "Cache-Control",
    "Content-Security-Policy",
];

/// Starts the example on a database, with one more setting.
fn start(database: &TestDatabase, extra: (&str, &str)) -> (Running, Client) {
    // `cargo test` builds it; `cargo test --test api` alone does not: cargo build --examples.
    let folder = Path::new(env!("CARGO_BIN_EXE_tokenhouse"))
        .parent()
        .unwrap();
    let mut app = Running::start(
        Command::new(folder.join("examples/whole_app"))
            .arg("127.0.0.1:0")
            .envs(settings())
            .env("DATABASE_URL", database.url())
            .env(extra.0, extra.1),
    );
    let line = app.line();
    let address = line.strip_prefix("http://").unwrap().parse().unwrap();
    (app, Client::new(address))
}

fn app_shares_its_process_with_the_service(backend: Backend) {
    let database = TestDatabase::create(backend);
    let (_app, client) = start(&database, ("TOKENHOUSE_CORS_ORIGINS", ORIGIN));
    let ada = serde_json::json!({
        "name": "Ada Lovelace", "surname": "", "email": "ada@example.com", "website": "",
        "password": "mulberry-Tram-71",
    });
    let register = || client.post("/auth/register").header("Origin", ORIGIN);
    let registered = register().json(&ada).send();
    assert_eq!(registered.status, 201, "{registered:?}");
    let form = [
        ("username", "ada@example.com"),
        ("password", "mulberry-Tram-71"),
    ];
    let signed_in = client.post("/auth/token").form(&form).send();
    let token = signed_in.json()["access_token"]
        .as_str()
        .unwrap()
        .to_owned();
    let notes = client
        .get("/notes")
        .bearer(&token)
        .header("Origin", ORIGIN)
        .send();
    assert_eq!(notes.text(), "The notes of ada@example.com\n");
    assert_eq!(client.get("/notes").bearer("wrong").send().status, 401);

    // The limits of the bodies.
    let large = serde_json::json!({ "name": "x".repeat(17 << 10) });
    assert_eq!(register().json(&large).send().status, 413);
    let name = "x".repeat(9 << 10);
    let large = [("username", name.as_str())];
    assert_eq!(client.post("/auth/token").form(&large).send().status, 413);

    // The headers and CORS belong to the service, and the other responses to the app.
    let allowed = "Access-Control-Allow-Origin";
    assert_eq!(registered.header(allowed).as_deref(), Some(ORIGIN));
    let preflight = client
        .request("OPTIONS", "/auth/users/me")
        .header("Origin", ORIGIN)
        .header("Access-Control-Request-Method", "PATCH")
        .header("Access-Control-Request-Headers", "authorization")
        .send();
    assert_eq!(preflight.status, 200);
    assert_eq!(preflight.header(allowed).as_deref(), Some(ORIGIN));
    let own = [
        "/",
        "/notes",
        "/nope",
        "/auth",
        "/auth/",
        "/auth/nope",
        "/register",
        "/auth/token/",
    ];
    for path in own {
        let response = client.get(path).header("Origin", ORIGIN).send();
        for name in OURS.into_iter().chain([allowed]) {
            assert_eq!(response.header(name), None, "{path}");
        }
        let status = match path {
            "/" => 200,
            "/notes" => 401,
            _ => 404,
        };
        assert_eq!(response.status, status, "{path}");
        if status == 404 {
            assert_eq!(response.text(), "", "{path}");
        }
    }
    for name in OURS {
        assert!(registered.header(name).is_some(), "{name}");
    }

    // Requests are counted by route.
    let metrics = client
        .get("/auth/metrics")
        .header("Token", STATIC_KEY)
        .send();
    let counted = r#"route="/register",status="201"} 1"#;
    let in_any_order = r#"status="201",route="/register"} 1"#;
    let metrics = metrics.text();
    assert!(
        metrics.contains(counted) || metrics.contains(in_any_order),
        "{metrics}"
    );
}

/// Every route, for each method and without a valid credential.
fn routes_respond_as_in_the_service(backend: Backend) {
    let service = TestApp::start(backend);
    let (_app, client) = start(service.database(), ("TOKENHOUSE_LIMITS", "off"));
    let mut compared = 0;
    for route in ROUTES {
        for method in ["GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS"] {
            let request = |client: &Client, prefix: &str| {
                let path = format!("{prefix}{}", route.target);
                client.request(method, path).header("Token", "wrong").send()
            };
            let (expected, response) = (request(&service, ""), request(&client, "/auth"));
            let shown = format!("{method} {}: {response:?}", route.target);
            assert_eq!(response.status, expected.status, "{shown}");
            for name in OURS
                .into_iter()
                .skip(1)
                .chain(["WWW-Authenticate", "Allow"])
            {
                assert_eq!(response.header(name), expected.header(name), "{shown}");
            }
            if route.path.ends_with("oauth-authorization-server") {
                if method == "GET" {
                    let issuer = format!("http://{}/auth", client.address());
                    assert_eq!(response.json()["issuer"], issuer.as_str());
                }
            } else if response.status != 200 {
                // The links of a page begin with the path of the service.
                let text = response.text().replace("=\"/auth/", "=\"/");
                assert_eq!(text, expected.text(), "{shown}");
            }
            compared += 1;
        }
    }
    assert!(compared > 150, "only {compared} requests");
}
