//! Every kind of bad input has its documented answer, and none of them is a 5xx.

use serde_json::json;

use crate::harness::{Backend, Client, Response, TestApp, on_both_databases};

on_both_databases!(
    bad_json_is_answered_as_documented,
    bad_forms_are_answered_as_documented,
    large_bodies_are_refused_and_the_answer_can_be_read,
    whatever_is_in_a_text_it_is_stored_or_refused,
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

/// The type of the first error of a 422, or the `detail` that is a text.
pub fn kind(answer: &Response) -> String {
    let detail = &answer.json()["detail"];
    let kind = detail.as_str().or_else(|| detail[0]["type"].as_str());
    kind.unwrap_or_else(|| panic!("{answer:?}")).to_owned()
}

fn bad_json_is_answered_as_documented(backend: Backend) {
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
        let answer = post_json(&app, body.clone());
        let shown = body[..body.len().min(60)].escape_ascii();
        assert_eq!(
            (answer.status, kind(&answer)),
            (status, expected.to_owned()),
            "{shown}"
        );
        assert!(!answer.text().contains("hush"), "{shown}: {answer:?}");
    }
    let echoed = post_json(&app, with(r#"{"x":[{"Password":"hush"}]}"#));
    assert_eq!(echoed.json()["detail"][0]["input"], json!(null));
}

fn bad_forms_are_answered_as_documented(backend: Backend) {
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
        let answer = post_form(&app, body);
        assert_eq!(
            (answer.status, kind(&answer)),
            (status, expected.to_owned()),
            "{body}"
        );
        assert_eq!(answer.json()["error"], json!(error), "{body}");
        assert!(answer.json()["error_description"].is_string(), "{body}");
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
        let answer = app
            .post("/token")
            .header("Content-Type", content_type)
            .body(body)
            .send();
        assert_eq!(answer.status, 400, "{content_type} {answer:?}");
    }
}

fn large_bodies_are_refused_and_the_answer_can_be_read(backend: Backend) {
    let app = TestApp::start(backend);
    let too_large = (413, r#"{"detail":"Request Entity Too Large"}"#);
    for size in [17 << 10, 1 << 20] {
        let json = format!(r#"{{"name":"{}"}}"#, "x".repeat(size));
        let answer = post_json(&app, json);
        assert_eq!((answer.status, answer.text()), too_large);
        let answer = post_form(&app, format!("username={}", "x".repeat(size)));
        assert_eq!((answer.status, answer.text()), too_large);
        let chunked = format!("{size:x}\r\n{}\r\n0\r\n\r\n", "x".repeat(size));
        let request = app.post("/register").header("Transfer-Encoding", "chunked");
        let answer = request
            .header("Content-Type", "application/json")
            .raw_body(chunked)
            .send();
        assert_eq!((answer.status, answer.text()), too_large);
        // Routes that read no body.
        let answer = app.post("/page").body("x".repeat(size)).send();
        assert_eq!(answer.status, 405);
    }
    let name = "x".repeat((16 << 10) - 200);
    let body = format!(
        r#"{{"name":"{name}","surname":"s","email":"a@example.com","website":"w","password":"correct-horse-9!"}}"#
    );
    assert_eq!(post_json(&app, body).status, 201);
}

fn whatever_is_in_a_text_it_is_stored_or_refused(backend: Backend) {
    let app = TestApp::start(backend);
    let texts = [
        "'; DROP TABLE users; --",
        "\" OR \"\"=\"",
        "a\u{1}b\u{1f}c\u{7f}d",
        "\u{202e}\u{feff}\u{ffff}\u{10ffff}",
        "%s%n{0}${x}\\",
    ];
    for (number, text) in texts.into_iter().enumerate() {
        let answer = app
            .post("/register")
            .json(&json!({
                "name": format!("name {text}"), "surname": text, "website": text,
                "email": format!("u{number}@example.com"), "password": format!("pass {text} word"),
            }))
            .send();
        assert_eq!(answer.status, 201, "{text:?} {answer:?}");
        assert_eq!(answer.json()["surname"], json!(text));
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
fn a_body_that_does_not_arrive_is_not_waited_for() {
    let app = TestApp::start(Backend::Sqlite);
    let mut connection = app.connect().expect("the server listens");
    let unfinished = app
        .post("/token")
        .header("Content-Type", "application/x-www-form-urlencoded")
        .header("Content-Length", "100")
        .raw_body("username=a");
    let answer = connection.send(&unfinished).expect("an answer");
    assert_eq!(
        (answer.status, answer.text()),
        (408, r#"{"detail":"Request Timeout"}"#)
    );
    assert_eq!(answer.header("connection").as_deref(), Some("close"));
}
