//! Systematic differences between Tokenhouse and the recording, and the comparison of responses.

use serde_json::{Value, json};

use super::SHORT_LIFETIME;
use super::case::{Case, CompareBody, Expected, Profile, Tag};
use crate::harness::Response;

/// The challenge of every 401 (RFC 6750 section 3).
const CHALLENGE: &str = r#"Bearer realm="tokenhouse""#;

/// The prefix of every e-mail address error; Python's reason follows.
const BAD_EMAIL: &str = "value is not a valid email address: ";

impl Expected {
    /// The response of the contract instead of the recorded one.
    pub fn apply_contract(mut self, case: &Case, path: &str) -> Self {
        self.add_head_to_allow();
        self.set_challenge();
        if let Some(Value::Object(members)) = &mut self.json {
            if members.contains_key("surname") {
                members.insert("id".to_owned(), ANY_ID.into());
            }
            if members.contains_key("access_token") {
                members.insert("token_type".to_owned(), "bearer".into());
                members.insert("expires_in".to_owned(), lifetime(case).into());
                members.insert("scope".to_owned(), "".into());
            }
        }
        self.withhold_secrets();
        if path.starts_with("/token") {
            self.add_oauth_error();
        }
        self
    }

    /// `HEAD` is accepted wherever `GET` is (RFC 9110 section 9.3.2).
    fn add_head_to_allow(&mut self) {
        if let Some(allow) = self
            .headers
            .get_mut("allow")
            .filter(|allow| *allow == "GET")
        {
            allow.push_str(", HEAD");
        }
    }

    fn set_challenge(&mut self) {
        if self.status == 401 {
            let mut challenge = CHALLENGE.to_owned();
            if self.detail() == Some(&"Could not validate credentials".into()) {
                challenge.push_str(r#", error="invalid_token""#);
            }
            self.headers
                .insert("www-authenticate".to_owned(), challenge);
        }
    }

    /// FastAPI echoes invalid input, and the object that lacks a member, including passwords.
    /// Tokenhouse does not.
    fn withhold_secrets(&mut self) {
        for error in self.field_errors() {
            let is_whole_body = error["loc"] == json!(["body"]) || error["type"] == "missing";
            if is_whole_body || error["loc"] == json!(["body", "password"]) {
                error["input"] = Value::Null;
            }
        }
    }

    /// The error members of RFC 6749 section 5.2, in addition to FastAPI's `detail`.
    fn add_oauth_error(&mut self) {
        let (error, description) = match (self.status, self.detail()) {
            (401, _) => ("invalid_grant", "Incorrect username or password".to_owned()),
            (422, Some(Value::Array(errors))) => {
                let only_the_grant = errors.len() == 1 && errors[0]["loc"][1] == "grant_type";
                let error = if only_the_grant {
                    "unsupported_grant_type"
                } else {
                    "invalid_request"
                };
                (
                    error,
                    errors.iter().map(describe).collect::<Vec<_>>().join("; "),
                )
            }
            _ => return,
        };
        if let Some(json) = &mut self.json {
            json["error"] = error.into();
            json["error_description"] = description.into();
        }
    }

    /// Replaces Python's wording in the recording by that of the response, if it has the expected
    /// form.
    pub fn accept_wording(mut self, case: &Case, response: &Response) -> Self {
        let actual = serde_json::from_slice::<Value>(&response.body).unwrap_or_default();
        let has_free_email_wording = case.tags.contains(&Tag::EmailMsg);
        let has_free_json_wording = case.tags.contains(&Tag::JsonError);
        for (index, error) in self.field_errors().iter_mut().enumerate() {
            let got = &actual["detail"][index];
            let reason = got["ctx"]["reason"]
                .as_str()
                .filter(|reason| !reason.is_empty());
            if let Some(reason) =
                reason.filter(|_| has_free_email_wording && error["type"] == "value_error")
            {
                error["msg"] = format!("{BAD_EMAIL}{reason}").into();
                error["ctx"]["reason"] = reason.into();
            }
            let problem = got["ctx"]["error"]
                .as_str()
                .filter(|problem| !problem.is_empty());
            let position = got["loc"][1].as_u64().zip(problem);
            let is_free_wording = has_free_json_wording && error["type"] == "json_invalid";
            if let Some((position, problem)) = position.filter(|_| is_free_wording) {
                error["loc"][1] = position.into();
                error["ctx"]["error"] = problem.into();
            }
        }
        self
    }

    fn detail(&self) -> Option<&Value> {
        self.json.as_ref()?.get("detail")
    }

    fn field_errors(&mut self) -> &mut [Value] {
        let detail = self.json.as_mut().and_then(|json| json.get_mut("detail"));
        detail
            .and_then(Value::as_array_mut)
            .map_or(&mut [], Vec::as_mut_slice)
    }
}

/// Problems with the headers that every response carries.
pub fn header_problems(path: &str, response: &Response) -> Vec<String> {
    let mut expected = vec![("x-content-type-options", "nosniff")];
    // Documentation pages may be cached.
    if !["/docs", "/redoc"]
        .iter()
        .any(|page| path.starts_with(page))
    {
        expected.push(("cache-control", "no-store"));
    }
    if path == "/token" && response.status == 200 {
        expected.push(("pragma", "no-cache"));
    }
    let wrong = |(name, value): &(&str, &str)| response.header(name).as_deref() != Some(value);
    let mut problems: Vec<String> = expected
        .iter()
        .filter(|header| wrong(header))
        .map(|(name, value)| format!("{name}: expected {value}, got {:?}", response.header(name)))
        .collect();
    if response
        .header("x-request-id")
        .is_none_or(|id| id.is_empty())
    {
        problems.push("x-request-id: expected one".to_owned());
    }
    problems
}

fn lifetime(case: &Case) -> u64 {
    match case.profile {
        Profile::Plain => 86_400,
        Profile::ShortTtl => SHORT_LIFETIME,
    }
}

fn describe(error: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    format!("{}: {}", text(&error["loc"][1]), text(&error["msg"]))
}

/// The compared headers: those that clients act on.
pub const HEADERS: [&str; 4] = ["content-type", "www-authenticate", "location", "allow"];

/// Placeholder in an expected response for a token, 43 characters of URL-safe base64.
pub const ANY_TOKEN: &str = "<any token>";

/// Placeholder in an expected response for a row id.
pub const ANY_ID: &str = "<any id>";

/// One line per difference; empty when the responses match.
pub fn differences(expected: &Expected, response: &Response, body: &CompareBody) -> Vec<String> {
    let mut lines = Vec::new();
    if expected.status != response.status {
        lines.push(format!(
            "status: expected {}, got {}",
            expected.status, response.status
        ));
    }
    for name in HEADERS {
        let (mut expected_value, mut got) =
            (expected.headers.get(name).cloned(), response.header(name));
        if name == "allow" {
            [expected_value, got] = [expected_value, got].map(|list| list.as_deref().map(sorted));
        }
        if expected_value != got {
            lines.push(format!("{name}: expected {expected_value:?}, got {got:?}"));
        }
    }
    compare_body(expected, response, body, &mut lines);
    lines
}

/// The order of methods in `Allow` is not significant.
fn sorted(list: &str) -> String {
    let mut items: Vec<&str> = list.split(',').map(str::trim).collect();
    items.sort_unstable();
    items.join(", ")
}

fn compare_body(
    expected: &Expected,
    response: &Response,
    body: &CompareBody,
    lines: &mut Vec<String>,
) {
    let text = String::from_utf8_lossy(&response.body);
    if let CompareBody::Contains(pieces) = body {
        let missing = pieces.iter().filter(|piece| !text.contains(*piece));
        lines.extend(missing.map(|piece| format!("body: {piece:?} is missing")));
    } else if let Some(expected_value) = &expected.json {
        let selected = matches!(body, CompareBody::Select(_));
        match serde_json::from_slice(&response.body) {
            Ok(got) => compare_json("$", expected_value, &got, selected, lines),
            Err(_) => lines.push(format!("body: expected JSON, got {text:?}")),
        }
    } else if let Some(expected_value) = expected
        .text
        .as_ref()
        .filter(|expected_value| **expected_value != text)
    {
        lines.push(format!("body: expected {expected_value:?}, got {text:?}"));
    }
}

/// Compares values and types. With `selected`, members that are not expected are ignored.
fn compare_json(
    path: &str,
    expected_value: &Value,
    got: &Value,
    selected: bool,
    lines: &mut Vec<String>,
) {
    match (expected_value, got) {
        (Value::Object(expected_value), Value::Object(got)) => {
            for (name, expected_value) in expected_value {
                let got = got.get(name);
                match got {
                    Some(got) => compare_json(
                        &format!("{path}.{name}"),
                        expected_value,
                        got,
                        selected,
                        lines,
                    ),
                    None => lines.push(format!(
                        "{path}.{name}: expected {expected_value}, got nothing"
                    )),
                }
            }
            for (name, got) in got
                .iter()
                .filter(|(name, _)| !selected && !expected_value.contains_key(*name))
            {
                lines.push(format!("{path}.{name}: expected nothing, got {got}"));
            }
        }
        (Value::Array(expected_value), Value::Array(got)) if expected_value.len() == got.len() => {
            for (index, (expected_value, got)) in expected_value.iter().zip(got).enumerate() {
                compare_json(
                    &format!("{path}[{index}]"),
                    expected_value,
                    got,
                    selected,
                    lines,
                );
            }
        }
        _ if !matches_expected(expected_value, got) => {
            lines.push(format!("{path}: expected {expected_value}, got {got}"))
        }
        _ => {}
    }
}

fn matches_expected(expected_value: &Value, got: &Value) -> bool {
    match expected_value.as_str() {
        Some(ANY_TOKEN) => got.as_str().is_some_and(is_token),
        Some(ANY_ID) => got.as_u64().is_some_and(|id| id > 0),
        _ => expected_value == got,
    }
}

fn is_token(text: &str) -> bool {
    text.len() == 43
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}
