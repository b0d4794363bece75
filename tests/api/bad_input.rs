//! Every kind of invalid input gets its documented response, never a 5xx.

use serde_json::json;

use crate::harness::{Backend, Client, OWN_SCOPES, Response, TestApp, on_both_databases};

on_both_databases!(
    invalid_json_gets_the_documented_errors,
    invalid_forms_get_the_documented_errors,
    large_bodies_are_rejected_with_a_readable_response,
    hostile_text_is_stored_verbatim,
    every_json_route_rejects_invalid_json_alike,
    every_oauth_form_rejects_invalid_forms_alike,
);

fn post_json(app: &Client, body: impl Into<Vec<u8>>) -> Response {
    app.post("/register")
        .header("Content-Type", "application/json")
        .body(body)
        .send()
}

fn post_form(app: &Client, body: impl Into<Vec<u8>>) -> Response {
    app.post("/token")
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body(body)
        .send()
}

/// The type of the first error of a 422, or the `detail` string.
fn kind(response: &Response) -> String {
    let detail = &response.json()["detail"];
    let kind = detail.as_str().or_else(|| detail[0]["type"].as_str());
    kind.unwrap_or_else(|| panic!("{response:?}")).to_owned()
}

fn invalid_json_gets_the_documented_errors(backend: Backend) {
    let app = TestApp::start(backend);
    let unreadable = "There was an error parsing the body";
    let with = |name: &str| {
        format!(
            r#"{{"name":{name},"surname":"s","email":"a@example.com","website":"w","password":"hush-hush-9!"}}"#
        )
    };
    for (body, status, expected) in [
        (b"".to_vec(), 422, "missing"),
        (b"{".to_vec(), 422, "json_invalid"),
        (b"nul".to_vec(), 422, "json_invalid"),
        (b"{} x".to_vec(), 422, "json_invalid"),
        (b"[]".to_vec(), 422, "model_attributes_type"),
        (b"null".to_vec(), 422, "model_attributes_type"),
        (b"{}".to_vec(), 422, "missing"),
        (br#"{"name":"a","name":"b"}"#.to_vec(), 422, "json_invalid"),
        (
            br#"{"name":"a","n\u0061me":"b"}"#.to_vec(),
            422,
            "json_invalid",
        ),
        (b"{\"name\":\"\xff\"}".to_vec(), 400, unreadable),
        (b"\xff\xfe{\0}\0".to_vec(), 400, unreadable),
        (with("NaN").into(), 422, "json_invalid"),
        (with("-Infinity").into(), 422, "json_invalid"),
        (with("1e999").into(), 422, "string_type"),
        (with("12").into(), 422, "string_type"),
        (with(&"1".repeat(5_000)).into(), 400, unreadable),
        (with(r#""lone \ud800 half""#).into(), 422, "string_unicode"),
        (with(r#""with \u0000 in it""#).into(), 422, "value_error"),
        (
            with(&format!("{}{}", "[".repeat(400), "]".repeat(400))).into(),
            422,
            "string_type",
        ),
        (with(&"[".repeat(600)).into(), 400, unreadable),
        ("[".repeat(100_000).into(), 400, unreadable),
    ] {
        let response = post_json(&app, body.clone());
        let shown = body[..body.len().min(60)].escape_ascii();
        assert_eq!(
            (response.status, kind(&response)),
            (status, expected.to_owned()),
            "{shown}"
        );
        assert!(!response.text().contains("hush"), "{shown}: {response:?}");
    }
    let echoed = post_json(&app, with(r#"{"x":[{"Password":"hush"}]}"#));
    assert_eq!(echoed.json()["detail"][0]["input"], json!(null));
}

fn invalid_forms_get_the_documented_errors(backend: Backend) {
    let app = TestApp::start(backend);
    for (body, status, expected, error) in [
        ("", 422, "missing", "invalid_request"),
        ("username=a", 422, "missing", "invalid_request"),
        (
            "username=a&password=b&grant_type=x",
            422,
            "string_pattern_mismatch",
            "unsupported_grant_type",
        ),
        (
            "username=a&username=a&password=b",
            400,
            "A parameter is repeated",
            "invalid_request",
        ),
        (
            "username=a&password=b&scope=&scope=",
            400,
            "A parameter is repeated",
            "invalid_request",
        ),
        (
            "username=%00&password=%00",
            401,
            "Unauthorized",
            "invalid_grant",
        ),
        (
            "username=%ff%fe&password=%ed%a0%80",
            401,
            "Unauthorized",
            "invalid_grant",
        ),
        (
            "username=%&password=%zz",
            401,
            "Unauthorized",
            "invalid_grant",
        ),
    ] {
        let response = post_form(&app, body);
        assert_eq!(
            (response.status, kind(&response)),
            (status, expected.to_owned()),
            "{body}"
        );
        assert_eq!(response.json()["error"], json!(error), "{body}");
        assert!(response.json()["error_description"].is_string(), "{body}");
    }
    let many = format!("username=a&password=b{}", "&f=1".repeat(999));
    assert_eq!(
        kind(&post_form(&app, many)),
        "Too many fields. Maximum number of fields is 1000."
    );
    for (content_type, body) in [
        ("multipart/form-data", "x"),
        ("multipart/form-data; boundary=x", "--y\r\n"),
        (
            "multipart/form-data; boundary=x",
            "--x\r\nContent-Disposition: form-data; name=\"username\"\r\n\r\nno end",
        ),
    ] {
        let response = app
            .post("/token")
            .header("Content-Type", content_type)
            .body(body)
            .send();
        assert_eq!(response.status, 400, "{content_type} {response:?}");
    }
}

fn large_bodies_are_rejected_with_a_readable_response(backend: Backend) {
    let app = TestApp::start(backend);
    let too_large = (413, r#"{"detail":"Request Entity Too Large"}"#);
    for size in [17 << 10, 1 << 20] {
        let json = format!(r#"{{"name":"{}"}}"#, "x".repeat(size));
        let response = post_json(&app, json);
        assert_eq!((response.status, response.text()), too_large);
        let response = post_form(&app, format!("username={}", "x".repeat(size)));
        assert_eq!((response.status, response.text()), too_large);
        let chunked = format!("{size:x}\r\n{}\r\n0\r\n\r\n", "x".repeat(size));
        let request = app.post("/register").header("Transfer-Encoding", "chunked");
        let response = request
            .header("Content-Type", "application/json")
            .raw_body(chunked)
            .send();
        assert_eq!((response.status, response.text()), too_large);
        // A route that reads no body.
        let response = app.post("/page").body("x".repeat(size)).send();
        assert_eq!(response.status, 405);
    }
    let name = "x".repeat((16 << 10) - 200);
    let body = format!(
        r#"{{"name":"{name}","surname":"s","email":"a@example.com","website":"w","password":"correct-horse-9!"}}"#
    );
    assert_eq!(post_json(&app, body).status, 201);
}

fn hostile_text_is_stored_verbatim(backend: Backend) {
    let app = TestApp::start(backend);
    let texts = [
        "'; DROP TABLE users; --",
        "\" OR \"\"=\"",
        "a\u{1}b\u{1f}c\u{7f}d",
        "\u{202e}\u{feff}\u{ffff}\u{10ffff}",
        "%s%n{0}${x}\\",
    ];
    for (number, text) in texts.into_iter().enumerate() {
        let response = app
            .post("/register")
            .json(&json!({
                "name": format!("name {text}"), "surname": text, "website": text,
                "email": format!("u{number}@example.com"), "password": format!("pass {text} word"),
            }))
            .send();
        assert_eq!(response.status, 201, "{text:?} {response:?}");
        assert_eq!(response.json()["surname"], json!(text));
        let (username, password) = (
            format!("u{number}@example.com"),
            format!("pass {text} word"),
        );
        let form = [("username", username), ("password", password)];
        let form = form.each_ref().map(|(name, value)| (*name, value.as_str()));
        assert_eq!(
            app.post("/token").form(&form).send().status,
            200,
            "{text:?}"
        );
    }
    assert_eq!(app.database().count("users"), 5);
}

#[test]
fn incomplete_body_times_out() {
    let app = TestApp::start(Backend::Sqlite);
    let mut connection = app.connect().expect("the server listens");
    let unfinished = app
        .post("/token")
        .header("Content-Type", "application/x-www-form-urlencoded")
        .header("Content-Length", "100")
        .raw_body("username=a");
    let response = connection.send(&unfinished).expect("a response");
    assert_eq!(
        (response.status, response.text()),
        (408, r#"{"detail":"Request Timeout"}"#)
    );
    assert_eq!(response.header("connection").as_deref(), Some("close"));
}

/// Authenticated routes that take JSON, each with a string member.
const JSON_ROUTES: [(&str, &str, &str); 6] = [
    ("PATCH", "/users/me", "name"),
    ("DELETE", "/users/me", "current_password"),
    ("POST", "/users/me/password", "new_password"),
    ("POST", "/users/me/keys", "name"),
    ("POST", "/admin/users", "email"),
    ("PATCH", "/admin/users/1", "scopes"),
];

fn every_json_route_rejects_invalid_json_alike(backend: Backend) {
    let app = TestApp::start(backend);
    let token = app.register_with("admin", OWN_SCOPES).sign_in();
    let unreadable = "There was an error parsing the body";
    let too_large = "Request Entity Too Large";
    let json = "application/json";
    for (method, path, member) in JSON_ROUTES {
        let with = |value: &str| format!(r#"{{"{member}":{value}}}"#).into_bytes();
        let deep = format!("{}{}", "[".repeat(600), "]".repeat(600));
        let large = format!("\"{}\"", "x".repeat(17 << 10));
        for (content_type, body, status, expected) in [
            (json, b"".to_vec(), 422, "missing"),
            (json, b"{".to_vec(), 422, "json_invalid"),
            (json, b"[]".to_vec(), 422, "model_attributes_type"),
            (json, b"null".to_vec(), 422, "model_attributes_type"),
            (json, with("NaN"), 422, "json_invalid"),
            (json, with("1"), 422, "string_type"),
            (json, with("[\"a\"]"), 422, "string_type"),
            (json, with("{\"password\":\"hush\"}"), 422, "string_type"),
            (json, with("\"\\ud800\""), 422, "string_unicode"),
            (json, with(&deep), 400, unreadable),
            (json, with(&"1".repeat(5_000)), 400, unreadable),
            (json, with("\"\u{0}\""), 422, "json_invalid"),
            (json, b"{\"a\":\"\xff\"}".to_vec(), 400, unreadable),
            (json, br#"{"hush":1}"#.to_vec(), 422, "extra_forbidden"),
            (
                json,
                [&with("1")[..1], br#""a":1,"a":2}"#].concat(),
                422,
                "json_invalid",
            ),
            (json, br#"{"a":1,"\u0061":2}"#.to_vec(), 422, "json_invalid"),
            (json, with(&large), 413, too_large),
            ("text/plain", b"{}".to_vec(), 422, "model_attributes_type"),
        ] {
            let shown = body[..body.len().min(60)].escape_ascii().to_string();
            let request = app.request(method, path).bearer(&token);
            let response = request
                .header("Content-Type", content_type)
                .body(body)
                .send();
            // Missing members may be reported first.
            let errors = response.json()["detail"].clone();
            let kinds = errors.as_array().map_or(vec![kind(&response)], |errors| {
                errors
                    .iter()
                    .map(|error| error["type"].as_str().unwrap().to_owned())
                    .collect()
            });
            assert_eq!(
                response.status, status,
                "{method} {path} {shown} {response:?}"
            );
            assert!(
                kinds.iter().any(|kind| kind == expected),
                "{method} {path} {shown} {kinds:?}"
            );
            assert!(
                !response.text().contains("hush"),
                "{method} {path} {shown} {response:?}"
            );
        }
    }
    assert_eq!(app.status("/users/me", &token), 200);
    assert_eq!(app.database().count("users"), 1);
    assert_eq!(app.database().count("api_keys"), 0);
}

fn every_oauth_form_rejects_invalid_forms_alike(backend: Backend) {
    let app = TestApp::start(backend);
    let token = app.register_with("admin", OWN_SCOPES).sign_in();
    let file =
        "--x\r\nContent-Disposition: form-data; name=\"token\"; filename=\"f\"\r\n\r\na\r\n--x--";
    let part = "--x\r\nContent-Disposition: form-data; name=\"token\"\r\n\r\na\r\n--x--";
    let urlencoded = "application/x-www-form-urlencoded";
    let multipart = "multipart/form-data; boundary=x";
    let (many, large) = (
        format!("token=a{}", "&f=1".repeat(1_000)),
        "x".repeat(9 << 10),
    );
    for path in ["/revoke", "/introspect"] {
        for (content_type, body, status) in [
            (urlencoded, "token=%00", 200),
            (urlencoded, "token=%ff%fe&x=%", 200),
            (urlencoded, "token=a&x=1&x=2", 200),
            (multipart, part, 200),
            (urlencoded, "", 400),
            (urlencoded, "token", 400),
            (urlencoded, "token=&token=a", 400),
            (urlencoded, "token=a&token=b", 400),
            (urlencoded, &many, 400),
            (multipart, file, 400),
            (multipart, "--y\r\n", 400),
            ("multipart/form-data", part, 400),
            ("application/json", r#"{"token":"a"}"#, 400),
            ("", "token=a", 400),
            (urlencoded, &large, 413),
        ] {
            let request = app
                .post(path)
                .bearer(&token)
                .header("Content-Type", content_type);
            let response = request.body(body).send();
            let shown = &body[..body.len().min(60)];
            assert_eq!(
                response.status, status,
                "{path} {content_type} {shown} {response:?}"
            );
            assert!(
                status == 200 || response.json()["detail"].is_string(),
                "{response:?}"
            );
        }
    }
    assert_eq!(app.status("/users/me", &token), 200);
}
