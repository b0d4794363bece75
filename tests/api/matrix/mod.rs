//! Every kind of credential, at every route and method, in every place: the declared policy decides
//! which ones pass.

mod control;
pub mod credential;
pub mod policy;

use std::collections::BTreeSet;
use std::thread;

use serde_json::Value;

use crate::harness::{Backend, Client, Request, ScratchDir, TestApp, on_both_databases};
use credential::{Form, Kind};
use policy::{Body, Guard, ROUTES, Route, outcome};

on_both_databases!(every_combination_matches_the_policy);

/// Routes that the OpenAPI document omits.
const UNDOCUMENTED: [&str; 7] = [
    "/livez",
    "/readyz",
    "/docs",
    "/docs/{file}",
    "/redoc",
    "/redoc/{file}",
    "/openapi.json",
];

/// Concurrent requests.
const THREADS: usize = 4;

fn every_combination_matches_the_policy(backend: Backend) {
    let mails = ScratchDir::new("mails");
    let app = TestApp::builder(backend)
        .setting("API_KEY_TOKEN_PREVIOUS", credential::PREVIOUS_STATIC_KEY)
        .setting("TOKENHOUSE_MAIL", &format!("file:{}", mails.display()))
        .setting("TOKENHOUSE_PUBLIC_URL", "http://localhost")
        .start();
    let (kinds, other) = credential::all(&app);
    app.database().execute(
        "CREATE TABLE saved_sessions AS SELECT * FROM sessions;
         CREATE TABLE saved_tokens AS SELECT * FROM access_tokens",
    );
    let routes = with_head(ROUTES);
    let (logout_routes, others): (Vec<_>, Vec<_>) =
        routes.iter().partition(|route| route.path == "/logout");

    let (client, all): (&Client, _) = (&app, (&kinds[..], &other));
    let mut mismatches: Vec<String> = thread::scope(|scope| {
        let share = |number| others.iter().skip(number).step_by(THREADS).copied();
        let threads: Vec<_> = (0..THREADS)
            .map(|number| scope.spawn(move || check(client, share(number), all, || {})))
            .collect();
        let threads = threads.into_iter();
        threads.flat_map(|thread| thread.join().unwrap()).collect()
    });
    // Sequentially: the token revoked by a logout is restored after each.
    let restore_tokens = || {
        app.database().execute(
            "INSERT INTO sessions SELECT * FROM saved_sessions
             WHERE id NOT IN (SELECT id FROM sessions);
             INSERT INTO access_tokens SELECT * FROM saved_tokens
             WHERE access_token NOT IN (SELECT access_token FROM access_tokens)",
        );
    };
    mismatches.extend(check(
        client,
        logout_routes.into_iter(),
        all,
        restore_tokens,
    ));

    let cells = routes.len() * kinds.len() * Form::ALL.len();
    println!(
        "{cells} cells: {} routes and methods x {} kinds x {} places; {} mismatches",
        routes.len(),
        kinds.len(),
        Form::ALL.len(),
        mismatches.len()
    );
    assert!(
        mismatches.is_empty(),
        "{} of {cells}: {:#?}",
        mismatches.len(),
        &mismatches[..mismatches.len().min(30)]
    );
}

/// Adds `HEAD` wherever `GET` is accepted.
fn with_head(routes: &[Route]) -> Vec<Route> {
    let heads = routes.iter().filter(|route| route.method == "GET");
    let heads = heads.map(|route| Route {
        method: "HEAD",
        ..*route
    });
    routes.iter().copied().chain(heads).collect()
}

/// The combinations for these routes that do not match the policy.
fn check<'a>(
    client: &Client,
    routes: impl Iterator<Item = &'a Route>,
    (kinds, other): (&[Kind], &Kind),
    after_success: impl Fn(),
) -> Vec<String> {
    let mut connection = client.connect().unwrap();
    let mut send = |request: &Request| {
        connection.send(request).unwrap_or_else(|_closed| {
            connection = client.connect().unwrap();
            connection.send(request).unwrap()
        })
    };
    let mut mismatches = Vec::new();
    for route in routes {
        for (kind, form) in kinds
            .iter()
            .flat_map(|kind| Form::ALL.map(|form| (kind, form)))
        {
            let response = send(&form.request(client, route, kind, other));
            let got = (response.status, response.header("www-authenticate"));
            let expected = outcome(route, kind, form, other);
            if got != expected {
                let Route { method, target, .. } = route;
                let name = kind.name;
                mismatches.push(format!(
                    "{method} {target}, {name} as {form:?}: {got:?}, not {expected:?}"
                ));
            }
            if response.status == 204 {
                after_success();
            }
        }
    }
    mismatches
}

#[test]
fn every_documented_route_has_a_declared_guard() {
    let document = openapi_document();
    let paths = document["paths"].as_object().unwrap();
    let documented: BTreeSet<(String, String)> = paths
        .iter()
        .flat_map(|(path, item)| methods(item).map(|method| (path.clone(), method)))
        .collect();
    let declared: BTreeSet<(String, String)> = ROUTES
        .iter()
        .filter(|route| !UNDOCUMENTED.contains(&route.path))
        // The document shows one of all the methods.
        .filter(|route| route.path != "/verify" || route.method == "GET")
        .map(|route| (route.path.to_owned(), route.method.to_owned()))
        .collect();
    assert_eq!(documented, declared);
}

/// The document of a service that sends mail.
fn openapi_document() -> Value {
    let settings = [
        ("TOKENHOUSE_MAIL", "log"),
        ("TOKENHOUSE_PUBLIC_URL", "https://auth.example"),
    ];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
    document_with(settings.to_vec())
}

fn document_with(settings: Vec<(String, String)>) -> Value {
    let config = tokenhouse::Config::from_vars(settings).unwrap();
    serde_json::to_value(tokenhouse::http::openapi_document(&config.auth)).unwrap()
}

#[test]
fn routes_for_mail_are_documented_only_with_mail() {
    let (with, without) = (openapi_document(), document_with(Vec::new()));
    let paths = |document: &Value| -> BTreeSet<String> {
        document["paths"]
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect()
    };
    let (with, without) = (paths(&with), paths(&without));
    let only_with: Vec<&String> = with.difference(&without).collect();
    assert_eq!(
        only_with,
        [
            "/admin/invitations",
            "/admin/invitations/{id}",
            "/admin/invitations/{id}/resend",
            "/admin/mail",
            "/admin/mail/{id}",
            "/admin/mail/{id}/retry",
            "/admin/users/{id}/reset",
            "/change-email",
            "/change-email/undo",
            "/forgot-password",
            "/invitations/accept",
            "/invitations/{token}",
            "/reset-password",
            "/users/me/email",
            "/verify-email",
            "/verify-email/request",
        ]
    );
}

/// The names of methods in generated clients.
#[test]
fn operation_ids_are_plain_and_unique() {
    let document = openapi_document();
    let items = document["paths"].as_object().unwrap().values();
    let operations: Vec<&Value> = items
        .flat_map(|item| item.as_object().unwrap().values())
        .collect();
    let ids: BTreeSet<&str> = operations
        .iter()
        .map(|operation| operation["operationId"].as_str().unwrap())
        .collect();
    assert_eq!(ids.len(), operations.len(), "{ids:?}");
    for id in &ids {
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
        assert!(id.bytes().all(is_plain), "{id}");
        // FastAPI appends the path and the method.
        let repeats = ["_get", "_post", "_patch", "_delete"];
        assert!(!repeats.iter().any(|end| id.ends_with(end)), "{id}");
    }
    let shown = |path: &str, method: &str| {
        let operation = &document["paths"][path][method];
        let ids = [
            &operation["operationId"],
            &operation["x-tutorial-operation-id"],
        ];
        ids.map(|id| id.as_str().unwrap().to_owned())
    };
    for (path, method, id, in_tutorial) in [
        ("/register", "post", "register", "register_register_post"),
        ("/token", "post", "create_token", "create_token_token_post"),
        (
            "/users/me",
            "get",
            "read_current_user",
            "read_users_me_users_me_get",
        ),
        ("/page", "get", "read_page", "page_page_get"),
        (
            "/protected",
            "get",
            "read_protected",
            "protected_route_protected_get",
        ),
    ] {
        assert_eq!(shown(path, method), [id, in_tutorial]);
    }
}

fn methods(item: &Value) -> impl Iterator<Item = String> {
    let methods = item.as_object().unwrap().keys();
    methods.map(|method| method.to_uppercase())
}

/// Including the paths that the document omits.
#[test]
fn every_path_in_the_route_table_has_a_declared_guard() {
    let table = include_str!("../../../src/http/routes/mod.rs");
    let table: String = table.split_whitespace().collect();
    let paths: BTreeSet<&str> = paths_in(&table)
        .chain(["/.well-known/oauth-authorization-server"])
        .collect();
    assert!(
        paths.len() > 20,
        "the route table has a different format: {paths:?}"
    );
    let declared: BTreeSet<&str> = ROUTES.iter().map(|route| route.path).collect();
    assert_eq!(paths, declared);
}

/// The paths in the source of a route table, which has no spaces.
fn paths_in(table: &str) -> impl Iterator<Item = &str> {
    let in_quotes = table.split("resource(").skip(1);
    in_quotes.filter_map(|rest| rest.split('"').nth(1))
}

/// The OpenAPI document describes the guards that are declared, and therefore tested.
#[test]
fn document_describes_the_declared_guards() {
    let document = openapi_document();
    for route in ROUTES {
        let method = route.method.to_lowercase();
        let operation = &document["paths"][route.path][&method];
        let user = |scopes: &[&str]| serde_json::json!({ "OAuth2PasswordBearer": scopes });
        let expected = match route.guard {
            _ if operation.is_null() => continue,
            Guard::Open => Value::Null,
            Guard::StaticKey => serde_json::json!([{ "APIKeyHeader": [] }]),
            Guard::Metrics => {
                serde_json::json!([{ "APIKeyHeader": [] }, { "StaticKeyBasic": [] }])
            }
            Guard::User | Guard::ScopedUser | Guard::Login | Guard::Enrolment | Guard::Proxy(_) => {
                serde_json::json!([user(&[])])
            }
            Guard::Scope(name) | Guard::LoginScope(name) => {
                serde_json::json!([user(&[name])])
            }
            Guard::Optional => serde_json::json!([{}, user(&[])]),
            Guard::Control => unreachable!("only in `tokenhouse dev`"),
            Guard::Client => {
                serde_json::json!([user(&["introspect"]), { "StaticKeyBasic": [] }])
            }
        };
        assert_eq!(operation["security"], expected, "{method} {}", route.path);
        assert_eq!(
            operation["requestBody"].is_null(),
            matches!(route.body, Body::None),
            "{method} {}",
            route.path
        );
    }
}
