//! Marked secrets are sent everywhere a secret is accepted, and must appear in nothing that the
//! service returns, logs, prints or stores.

use std::process::{Command, Stdio};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use test_support::server::announced_address;

use crate::harness::{
    Backend, Client, Log, Request, Response, Running, TestApp, on_both_databases, text,
};
use crate::pages::browser::Browser;

on_both_databases!(
    secrets_are_never_returned_logged_or_stored,
    every_log_line_is_a_json_object_whatever_clients_send,
);

/// Part of every secret, and of nothing else.
const MARK: &str = "canary";

const PASSWORD: &str = "Canary-mulberry-Tram-71";
const NEW_PASSWORD: &str = "Canary-orchard-Ferry-38";
const STATIC_KEY: &str = "Canary-static-key-of-the-tests";

const SECRET_SETTINGS: [(&str, &str); 5] = [
    ("API_KEY_TOKEN", STATIC_KEY),
    ("API_KEY_TOKEN_PREVIOUS", "Canary-static-key-before-that"),
    (
        "TOKENHOUSE_AUDIT_KEY",
        "Canary-audit-key-of-32-characters-or-more",
    ),
    ("RUST_LOG", "trace"),
    ("TOKENHOUSE_LOG_FORMAT", "json"),
];

/// A server process with secret settings and the most verbose log.
struct TestServer {
    app: TestApp,
    client: Client,
    log: Log,
    printed: String,
    process: Running,
}

impl TestServer {
    fn start(backend: Backend) -> Self {
        let app = TestApp::start(backend);
        let log = Log::new();
        let mut command = program(&app, &["serve"]);
        let mut process = Running::start(command.stderr(log.writer()));
        let printed = process.line();
        let client = Client::new(announced_address(&printed).unwrap());
        Self {
            app,
            client,
            log,
            printed,
            process,
        }
    }
}

/// The program with the secret settings, on the database of an app. Postgres ignores the password
/// in the URL: the role needs none.
fn program(app: &TestApp, arguments: &[&str]) -> Command {
    let url = app.database().url();
    let mut command = app.program(arguments);
    command.envs(SECRET_SETTINGS).env(
        "DATABASE_URL",
        url.replace("@127.", ":Canary-of-Postgres@127."),
    );
    command
}

/// Standard output and standard error.
fn output(command: &mut Command) -> Vec<u8> {
    let output = command.stdin(Stdio::null()).output().unwrap();
    [output.stdout, output.stderr].concat()
}

#[track_caller]
fn assert_absent(what: &str, bytes: &[u8], secret: &str) {
    let text = String::from_utf8_lossy(bytes).to_lowercase();
    if let Some(at) = text.find(&secret.to_lowercase()) {
        let around = text[..at].chars().rev().take(120).collect::<Vec<_>>();
        let around: String = around.into_iter().rev().collect();
        panic!("{what}: {secret:?} found after {around:?}");
    }
}

fn response_bytes(response: &Response) -> Vec<u8> {
    let headers = response.headers.iter();
    let head: String = headers
        .map(|(name, value)| format!("{name}: {value}\n"))
        .collect();
    [head.as_bytes(), &response.body].concat()
}

fn post(client: &Client, path: &str, content_type: &str, body: impl Into<Vec<u8>>) -> Request {
    client
        .post(path)
        .header("Content-Type", content_type)
        .body(body)
}

/// One valid password and several invalid ones.
fn passwords() -> Vec<Value> {
    let long = format!("Canary{}", "x".repeat(2_000));
    vec![
        json!("Canary"),
        json!("Canary-mulberry-Tram-72"),
        json!("Canary\0with-a-nul"),
        json!(long),
        json!(["Canary"]),
        json!({ "Canary": "Canary" }),
        json!([[{ "x": "Canary" }]]),
    ]
}

/// Bodies that do not parse as a JSON object.
fn unreadable_bodies() -> Vec<Vec<u8>> {
    let deep = format!("{}\"Canary\"", "[".repeat(600));
    let large = format!("{{\"password\":\"Canary{}\"}}", "x".repeat(20_000));
    vec![
        b"\"Canary\"".to_vec(),
        b"Canary".to_vec(),
        b"[\"Canary\"]".to_vec(),
        b"{\"password\":\"Canary".to_vec(),
        b"{\"password\":Canary}".to_vec(),
        b"{\"password\":\"Canary\",\"password\":\"Canary\"}".to_vec(),
        b"{\"password\":\"Canary \\ud800\"}".to_vec(),
        b"{\"password\":\"Canary \xff\"}".to_vec(),
        b"{\"password\":\"Canary\n\"}".to_vec(),
        deep.into_bytes(),
        large.into_bytes(),
    ]
}

fn registration_requests(client: &Client) -> Vec<Request> {
    let mut requests = Vec::new();
    for password in passwords() {
        let whole = json!({
            "name": "a name", "surname": "", "email": "not one", "website": "",
            "password": password,
        });
        requests.push(client.post("/register").json(&whole));
        let alone = json!({ "password": password, "new_password": password });
        requests.push(client.post("/register").json(&alone));
    }
    for body in unreadable_bodies() {
        requests.push(post(client, "/register", "application/json", body));
    }
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "Canary"] {
        requests.push(post(client, "/register", content_type, "password=Canary"));
    }
    requests
}

/// Links and codes of mails, and the passwords that come with them.
fn mail_requests(client: &Client, email: &str) -> Vec<Request> {
    let mut requests = Vec::new();
    for secret in passwords() {
        for body in [
            json!({ "token": secret, "password": secret }),
            json!({ "email": email, "code": secret, "password": PASSWORD }),
            json!({ "email": "not one", "code": secret, "password": secret }),
            json!({ "password": secret, "end_keys": "x" }),
        ] {
            requests.push(client.post("/reset-password").json(&body));
            for path in [
                "/verify-email",
                "/change-email",
                "/change-email/undo",
                "/invitations/accept",
            ] {
                requests.push(client.post(path).json(&body));
            }
        }
    }
    requests.push(client.get("/invitations/Canary-token"));
    for body in unreadable_bodies() {
        requests.push(post(client, "/reset-password", "application/json", body));
    }
    requests
}

fn sign_in_requests(client: &Client, email: &str) -> Vec<Request> {
    const FORM: &str = "application/x-www-form-urlencoded";
    let large = format!("username=a&password=Canary{}", "x".repeat(9_000));
    let bodies = [
        format!("username={email}&password=Canary-wrong"),
        "username=Canary&password=Canary".to_owned(),
        "username=Canary%40example.com&password=x".to_owned(),
        "username=Canary".to_owned(),
        "password=Canary".to_owned(),
        "username=a&password=Canary&password=Canary".to_owned(),
        format!("username={email}&password={PASSWORD}&scope=Canary"),
        "username=a&password=b&client_id=Canary&client_secret=Canary".to_owned(),
        "username=a&password=b&otp=Canary".to_owned(),
        format!("username={email}&password={PASSWORD}&otp=Canary"),
        "grant_type=urn:tokenhouse:grant-type:mfa-otp&mfa_token=tkm_Canary&otp=Canary".to_owned(),
        "grant_type=urn:tokenhouse:grant-type:mfa-webauthn&mfa_token=tkm_Canary&challenge_id=Canary\
         &credential=Canary"
            .to_owned(),
        "grant_type=urn:tokenhouse:grant-type:passkey&challenge_id=Canary&credential=Canary".to_owned(),
        format!(
            "grant_type=urn:tokenhouse:grant-type:mfa-otp&mfa_token=tkm_{:A<43}&otp=123456",
            "Canary"
        ),
        "grant_type=urn:tokenhouse:grant-type:mfa-enrollment&mfa_token=tkm_Canary".to_owned(),
        "username=a&password=b&device_token=tkd_Canary".to_owned(),
        format!("username={email}&password={PASSWORD}&device_token=Canary"),
        "grant_type=urn:tokenhouse:grant-type:mfa-recovery-code&mfa_token=Canary\
         &recovery_code=Canary"
            .to_owned(),
        "Canary=Canary&Canary".to_owned(),
        "%43anary=%43anary&password=%43anary".to_owned(),
        large,
    ];
    let mut requests: Vec<_> = bodies
        .into_iter()
        .map(|body| post(client, "/token", FORM, body))
        .collect();
    let part = "--x\r\nContent-Disposition: form-data; name=\"password\"";
    for rest in [
        "\r\n\r\nCanary\r\n--x--\r\n",
        "; filename=\"Canary\"\r\n\r\nCanary\r\n--x--\r\n",
        "\r\n\r\nCanary",
    ] {
        let content_type = "multipart/form-data; boundary=x";
        requests.push(post(
            client,
            "/token",
            content_type,
            format!("{part}{rest}"),
        ));
    }
    for body in unreadable_bodies() {
        requests.push(post(client, "/token", "application/json", body));
    }
    requests
}

fn account_requests(client: &Client, token: &str) -> Vec<Request> {
    let mut requests = Vec::new();
    for password in passwords() {
        let bodies = [
            json!({ "current_password": password, "new_password": "x" }),
            json!({ "current_password": PASSWORD, "new_password": password, "keep_keys": "x" }),
            json!({ "current_password": password, "new_password": NEW_PASSWORD }),
            json!({ "new_password": password, "password": password }),
        ];
        for body in &bodies {
            requests.push(client.post("/users/me/password").bearer(token).json(body));
        }
        for path in ["/users/me", "/users/me/keys", "/admin/users"] {
            let method = if path == "/users/me" { "PATCH" } else { "POST" };
            let body = json!({ "password": password, "secret": password, "Canary": 1 });
            requests.push(client.request(method, path).bearer(token).json(&body));
        }
        for (path, body) in [
            (
                "/users/me/factors",
                json!({ "kind": "totp", "current_password": password }),
            ),
            ("/users/me/factors/1/confirm", json!({ "otp": password })),
            (
                "/users/me/reauthenticate",
                json!({ "password": password, "otp": password }),
            ),
            (
                "/users/me/factors/1/confirm",
                json!({ "credential": { "id": password, "Canary": password } }),
            ),
            (
                "/users/me/reauthenticate",
                json!({ "challenge_id": password, "credential": { "id": password } }),
            ),
            (
                "/users/me/reauthenticate",
                json!({ "challenge_id": "Canary", "credential": { "Canary": password } }),
            ),
            (
                "/users/me/reauthenticate/options",
                json!({ "Canary": password }),
            ),
            ("/mfa/webauthn/options", json!({ "mfa_token": password })),
            ("/passkeys/options", json!({ "Canary": password })),
            (
                "/users/me/recovery-codes",
                json!({ "current_password": password }),
            ),
        ] {
            requests.push(client.post(path).bearer(token).json(&body));
        }
        let body = json!({ "current_password": password, "Canary": password });
        requests.push(
            client
                .request("DELETE", "/users/me")
                .bearer(token)
                .json(&body),
        );
    }
    for body in unreadable_bodies() {
        let request = post(client, "/users/me/password", "application/json", body);
        requests.push(request.bearer(token));
    }
    requests
}

fn credential_requests(client: &Client) -> Vec<Request> {
    // "Canary:Canary" and "x:Canary".
    let basic = [
        "Basic Q2FuYXJ5OkNhbmFyeQ==",
        "Basic eDpDYW5hcnk=",
        "Basic Canary",
    ];
    let mut requests = Vec::new();
    for path in [
        "/users/me",
        "/page",
        "/verify",
        "/metrics",
        "/admin/events",
        "/docs",
        "/nope",
    ] {
        for (name, value) in [
            ("Authorization", "Bearer Canary"),
            ("Authorization", "Token Canary"),
            ("Authorization", "Canary"),
            ("Authorization", basic[0]),
            ("Token", "Canary"),
            ("Cookie", "token=Canary"),
            ("Referer", "https://example.com/?token=Canary"),
            ("X-Forwarded-For", "Canary"),
            ("X-API-Key", "Canary"),
        ] {
            requests.push(client.get(path).header(name, value));
        }
        let two = client.get(path).header("Token", "Canary");
        requests.push(two.bearer("Canary-2"));
    }
    for path in ["/introspect", "/revoke"] {
        for authorization in basic.into_iter().chain(["Bearer Canary"]) {
            let request = client.post(path).header("Authorization", authorization);
            requests.push(request.form(&[("token", "Canary"), ("client_secret", "Canary")]));
        }
        let request = client.post(path).bearer(STATIC_KEY);
        requests.push(request.form(&[("token", "Canary"), ("token", "Canary")]));
        let request = client.post(path).bearer(STATIC_KEY);
        requests.push(request.form(&[("token", "Canary")]));
    }
    requests
}

/// Forms and cookies of the pages.
fn page_requests(client: &Client) -> Vec<Request> {
    let of_page = |request: Request| {
        let request = request.host("localhost");
        request.header("Sec-Fetch-Site", "same-origin")
    };
    let mut requests = Vec::new();
    for fields in [
        &[("email", "alice@example.com"), ("password", "Canary")][..],
        &[("email", ""), ("password", "Canary")],
        &[
            ("password", "Canary"),
            ("keep", "Canary"),
            ("next", "/Canary"),
        ],
        &[("password", "Canary"), ("password", "Canary")],
    ] {
        requests.push(of_page(client.post("/signin").form(fields)));
        requests.push(client.post("/signin").form(fields).host("localhost"));
        requests.push(client.post("/signin").form(fields));
    }
    for cookie in ["tokenhouse-device=Canary", "tokenhouse-device=tkd_Canary"] {
        let fields = [("email", "nobody@example.com"), ("password", "Canary")];
        let request = client.post("/signin").form(&fields);
        requests.push(of_page(request.header("Cookie", cookie)));
    }
    let fields = [
        ("mfa_token", "tkm_Canary"),
        ("code", "Canary"),
        ("remember", "yes"),
    ];
    requests.push(of_page(client.post("/signin/factor").form(&fields)));
    let fields = [
        ("mfa_token", "tkm_Canary"),
        ("otp", "Canary"),
        ("secret", "CANARY"),
    ];
    requests.push(of_page(client.post("/signin/enrol").form(&fields)));
    let fields = [("mfa_token", "tkm_Canary"), ("credential", "Canary")];
    for path in ["/signin/enrol/passkey", "/signin/enrol/passkey/confirm"] {
        requests.push(of_page(client.post(path).form(&fields)));
    }
    let fields = [("challenge_id", "Canary"), ("credential", "Canary")];
    requests.push(of_page(client.post("/signin/passkey").form(&fields)));
    for cookie in [
        "tokenhouse=Canary",
        "tokenhouse=tkb_Canary-canary-canary-canary-canary-canary-cana",
        "__Host-tokenhouse=Canary; tokenhouse-lang=Canary",
    ] {
        requests.push(of_page(client.get("/account").header("Cookie", cookie)));
        let form = [("user", "Canary"), ("password", "Canary")];
        let request = client.post("/signout").form(&form);
        requests.push(of_page(request.header("Cookie", cookie)));
    }
    requests
}

/// Secrets in the wrong places. Errors about a query repeat it to the client that sent it.
fn requests_with_misplaced_secrets(client: &Client, token: &str) -> Vec<Request> {
    let mut requests = Vec::new();
    for path in [
        "/Canary",
        "/users/me/Canary",
        "/users/me/keys/Canary",
        "/admin/users/Canary",
        "/%43anary%0a%1b[31m",
        "/docs/Canary",
        "/page?token=Canary&Canary",
        "/users/me?access_token=Canary",
        "/admin/users?search=Canary&limit=Canary",
        "/admin/events?since=Canary",
        "/verify?scope=a&token=Canary",
        "/page/?password=Canary",
        "/token?username=a&password=Canary",
    ] {
        for method in ["GET", "POST", "DELETE", "PATCH", "OPTIONS", "CANARY"] {
            requests.push(client.request(method, path).bearer(token));
        }
    }
    let scopes = json!({ "name": "a key", "scopes": "Canary:read" });
    requests.push(client.post("/users/me/keys").bearer(token).json(&scopes));
    requests
}

fn all_requests(client: &Client, token: &str, email: &str) -> Vec<(Request, bool)> {
    let secret = [
        registration_requests(client),
        sign_in_requests(client, email),
        mail_requests(client, email),
        account_requests(client, token),
        credential_requests(client),
        page_requests(client),
    ];
    let secret = secret.into_iter().flatten().map(|request| (request, false));
    let shown = requests_with_misplaced_secrets(client, token).into_iter();
    secret.chain(shown.map(|request| (request, true))).collect()
}

/// Sends all requests and checks the responses. Returns their statuses.
fn exercise(client: &Client, token: &str, email: &str) -> Vec<u16> {
    let mut statuses = Vec::new();
    for (number, (request, may_echo)) in all_requests(client, token, email).into_iter().enumerate()
    {
        let response = request.send();
        let bytes = response_bytes(&response);
        let what = format!("request {number}, answered {}", response.status);
        if !may_echo {
            assert_absent(&what, &bytes, MARK);
        }
        assert_absent(&what, &bytes, "$2b$");
        assert_absent(&what, &bytes, token);
        assert_absent(&what, &bytes, &hex_digest(token));
        statuses.push(response.status);
    }
    statuses
}

fn hex_digest(secret: &str) -> String {
    let digest = Sha256::digest(secret.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn register(client: &Client) -> &'static str {
    let email = "alice@example.com";
    let form = json!({
        "name": "Alice Example", "surname": "", "email": email, "website": "",
        "password": PASSWORD,
    });
    assert_eq!(client.post("/register").json(&form).send().status, 201);
    email
}

fn sign_in(client: &Client, email: &str, password: &str) -> String {
    let form = [("username", email), ("password", password)];
    let response = client.post("/token").form(&form).send();
    assert_eq!(response.status, 200, "{response:?}");
    text(&response.json()["access_token"])
}

fn secrets_are_never_returned_logged_or_stored(backend: Backend) {
    let mut server = TestServer::start(backend);
    let client = server.client;
    let email = register(&client);
    server
        .app
        .database()
        .execute("UPDATE users SET scopes = 'users:read users:write events:read introspect'");
    let first_token = sign_in(&client, email, PASSWORD);
    let key = client.create_key(&first_token, "users:read").secret;
    let change = json!({ "current_password": PASSWORD, "new_password": NEW_PASSWORD });
    let changed = client
        .post("/users/me/password")
        .bearer(&first_token)
        .json(&change);
    assert_eq!(
        changed.header("User-Agent", "found-here").send().status,
        204
    );
    let token = sign_in(&client, email, NEW_PASSWORD);

    let statuses = exercise(&client, &token, email);
    for expected in [200, 307, 400, 401, 403, 404, 405, 413, 422] {
        assert!(statuses.contains(&expected), "{expected} is missing");
    }
    let static_key = client.get("/metrics").header("Token", STATIC_KEY).send();
    assert_eq!(static_key.status, 200);
    let own_pages = [
        "/users/me",
        "/users/me/keys",
        "/users/me/events",
        "/admin/users",
        "/admin/events",
    ];
    // Of another user: it would end the session of this one.
    let mut browser = Browser::of(&client.register("bob"));
    let cookie = browser.secret();
    let link = reset_link(&server.app, email);
    let mut responses: Vec<_> = own_pages
        .map(|path| (path, client.get(path).bearer(&token).send()))
        .into();
    responses.push(("/metrics", static_key));
    responses.push(("/openapi.json", client.get("/openapi.json").send()));
    responses.push(("/account", browser.get("/account")));
    responses.push(("/account/sessions", browser.get("/account/sessions")));

    server.app.database().make_unavailable();
    let statuses = exercise(&client, &token, email);
    assert!(statuses.contains(&503), "the database was available");
    server.app.database().make_available();

    let secrets = [
        MARK,
        &token,
        &first_token,
        &key,
        &cookie,
        &cookie[4..],
        &link[4..],
    ];
    for (path, response) in &responses {
        assert_eq!(response.status, 200, "{path}");
        for secret in secrets {
            assert_absent(path, &response_bytes(response), secret);
        }
    }
    let digests = [&token, &first_token, &key, &cookie, &link].map(|secret| hex_digest(secret));
    let forbidden: Vec<&str> = secrets
        .into_iter()
        .chain(digests.iter().map(String::as_str))
        // The administrator's password and its encodings, in base64 and as a hash.
        .chain(["Q2FuYXJ5", "DYW5hcn", "$2b$"])
        .collect();
    for (what, bytes) in printed(&server.app) {
        forbidden
            .iter()
            .for_each(|secret| assert_absent(&what, &bytes, secret));
    }
    let log = server.log.bytes();
    assert!(log.len() > 10_000, "the log has {} bytes", log.len());
    for secret in &forbidden {
        assert_absent("the log", &log, secret);
        assert_absent("standard output", server.printed.as_bytes(), secret);
    }
    // While the server runs too, when SQLite keeps its log next to the file.
    for files in server.app.database().files(&SECRET_SETTINGS) {
        assert_absent("the database", &files, MARK);
        for secret in [&token, &first_token, &key, &cookie, &link] {
            assert_absent("the database", &files, secret);
        }
    }
    server.process.signal("TERM");
    server.process.wait();
    let files = server.app.database().files(&SECRET_SETTINGS).concat();
    let files = String::from_utf8_lossy(&files);
    assert!(
        files.contains("found-here") && files.contains("$2b$"),
        "the files were not read"
    );
}

/// The token of a link to reset the password of this user.
fn reset_link(app: &TestApp, email: &str) -> String {
    let mut command = program(app, &["user", "reset-link", email]);
    let printed = output(command.env("TOKENHOUSE_PUBLIC_URL", "https://auth.example"));
    let printed = String::from_utf8_lossy(&printed);
    let (_, token) = printed
        .split_once("?t=")
        .unwrap_or_else(|| panic!("{printed}"));
    token[..47].to_owned()
}

/// The output of commands.
fn printed(app: &TestApp) -> Vec<(String, Vec<u8>)> {
    let mut printed = Vec::new();
    for arguments in [
        &["config", "show"][..],
        &["doctor"],
        &["user", "list"],
        &["key", "list", "alice@example.com"],
        &["audit", "list"],
        &["audit", "verify"],
        &["openapi"],
        &["nonsense"],
    ] {
        printed.push((arguments.join(" "), output(&mut program(app, arguments))));
    }
    let unreachable = "postgres://user:Canary@127.0.0.1:1/none";
    for (name, value) in [
        ("DATABASE_URL", unreachable),
        (
            "DATABASE_URL",
            "postgres://user@127.0.0.1:1/none?password=Canary",
        ),
        ("DATABASE_URL", "postgres://user:x@Canary@127.0.0.1:1/none"),
        ("DATABASE_URL", "postgres://user:Canary%zz@127.0.0.1:1/none"),
        ("DATABASE_URL", "mysql://user:Canary@host/none"),
        ("DATABASE_URL", "sqlite://none?key=Canary"),
        ("TOKENHOUSE_AUDIT_KEY", "Canary"),
    ] {
        let mut command = program(app, &["doctor"]);
        printed.push((format!("{name}={value}"), output(command.env(name, value))));
    }
    printed
}

fn every_log_line_is_a_json_object_whatever_clients_send(backend: Backend) {
    let mut server = TestServer::start(backend);
    let client = server.client;
    let token = {
        let email = register(&client);
        sign_in(&client, email, PASSWORD)
    };
    let hostile = [
        "a\nINFO forged",
        "a\r\n{\"level\":\"ERROR\"}",
        "\u{1b}[31mred\u{1b}]0;title\u{7}",
        "\u{7f}\u{9b}31m\u{85}",
        "\u{202e}desrever\u{2066}\u{200f}",
        "\u{2028}\u{2029}\u{feff}",
        "\"},{\"",
    ];
    for text in hostile {
        let encoded: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
        client
            .get(&format!("/{encoded}?{encoded}={encoded}"))
            .send();
        client
            .request(b"GET", [b"/", text.as_bytes()].concat())
            .send();
        client.request(text.as_bytes(), "/page").send();
        for name in [
            "User-Agent",
            "X-Request-Id",
            "Host",
            "Content-Type",
            "Authorization",
            "Content-Length",
        ] {
            client.get("/page").header(name, text).send();
        }
        client
            .post("/token")
            .form(&[("username", text), ("password", text)])
            .send();
        let named = json!({ "name": text, "surname": text });
        client
            .request("PATCH", "/users/me")
            .bearer(&token)
            .json(&named)
            .send();
    }
    server.app.database().make_unavailable();
    client
        .post("/token")
        .form(&[("username", hostile[2]), ("password", "x")])
        .send();
    server.app.database().make_available();

    let log = server.log.bytes();
    let mut lines = 0;
    for line in log
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
    {
        let shown = line.escape_ascii();
        let object: Value = serde_json::from_slice(line).unwrap_or_else(|_| panic!("{shown}"));
        // A line about a request has its ids too.
        let is_of_request = |name: &&String| name.ends_with("request_id");
        let names = object.as_object().unwrap().keys();
        let mut names: Vec<_> = names.filter(|name| !is_of_request(name)).collect();
        names.sort();
        assert_eq!(names, ["level", "message", "target", "time"], "{shown}");
        assert!(
            line.iter().all(|byte| (0x20..0x7f).contains(byte)),
            "{shown}"
        );
        lines += 1;
    }
    assert!(lines > 100, "{lines} lines");
}
