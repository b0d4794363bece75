//! Bad bodies at the routes for who is signed in: the same answers as in `bad_input.rs`.

use crate::bad_input::kind;
use crate::harness::{Backend, OWN_SCOPES, TestApp, on_both_databases};

on_both_databases!(
    every_json_route_answers_bad_json_alike,
    every_form_of_oauth_answers_bad_forms_alike,
);

/// The routes that take JSON from who is signed in, each with a member that is a text.
const JSON_ROUTES: [(&str, &str, &str); 6] = [
    ("PATCH", "/users/me", "name"),
    ("DELETE", "/users/me", "current_password"),
    ("POST", "/users/me/password", "new_password"),
    ("POST", "/users/me/keys", "name"),
    ("POST", "/admin/users", "email"),
    ("PATCH", "/admin/users/1", "scopes"),
];

fn every_json_route_answers_bad_json_alike(backend: Backend) {
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
            let answer = request
                .header("Content-Type", content_type)
                .body(body)
                .send();
            // What else is missing may be told first.
            let errors = answer.json()["detail"].clone();
            let kinds = errors.as_array().map_or(vec![kind(&answer)], |errors| {
                errors
                    .iter()
                    .map(|error| error["type"].as_str().unwrap().to_owned())
                    .collect()
            });
            assert_eq!(answer.status, status, "{method} {path} {shown} {answer:?}");
            assert!(
                kinds.iter().any(|kind| kind == expected),
                "{method} {path} {shown} {kinds:?}"
            );
            assert!(
                !answer.text().contains("hush"),
                "{method} {path} {shown} {answer:?}"
            );
        }
    }
    assert_eq!(app.status("/users/me", &token), 200);
    assert_eq!(app.database().count("users"), 1);
    assert_eq!(app.database().count("api_keys"), 0);
}

fn every_form_of_oauth_answers_bad_forms_alike(backend: Backend) {
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
            let answer = request.body(body).send();
            let shown = &body[..body.len().min(60)];
            assert_eq!(
                answer.status, status,
                "{path} {content_type} {shown} {answer:?}"
            );
            assert!(
                status == 200 || answer.json()["detail"].is_string(),
                "{answer:?}"
            );
        }
    }
    assert_eq!(app.status("/users/me", &token), 200);
}
