//! Where Tokenhouse answers otherwise than the recording everywhere, not only in single cases:
//! turns a recorded answer into ours.

use serde_json::{Value, json};

use super::SHORT_LIFETIME;
use super::case::{Case, Expected, Profile, Tag};
use super::compare::ANY_ID;
use crate::harness::Response;

/// The challenge of every 401 (RFC 6750 section 3).
const CHALLENGE: &str = r#"Bearer realm="tokenhouse""#;

/// How the message of every bad e-mail address begins; Python's reason for it follows.
const BAD_EMAIL: &str = "value is not a valid email address: ";

impl Expected {
    /// The answer of the contract in place of the recorded one.
    pub fn by_contract(mut self, case: &Case, path: &str) -> Self {
        self.add_head_to_allow();
        self.name_the_realm();
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

    /// `HEAD` is taken wherever `GET` is (RFC 9110 section 9.3.2).
    fn add_head_to_allow(&mut self) {
        if let Some(allow) = self
            .headers
            .get_mut("allow")
            .filter(|allow| *allow == "GET")
        {
            allow.push_str(", HEAD");
        }
    }

    fn name_the_realm(&mut self) {
        if self.status == 401 {
            let mut challenge = CHALLENGE.to_owned();
            if self.detail() == Some(&"Could not validate credentials".into()) {
                challenge.push_str(r#", error="invalid_token""#);
            }
            self.headers
                .insert("www-authenticate".to_owned(), challenge);
        }
    }

    /// FastAPI sends back what is wrong, or what something is missing from, with the password in
    /// it. We do not.
    fn withhold_secrets(&mut self) {
        for error in self.field_errors() {
            let is_whole_body = error["loc"] == json!(["body"]) || error["type"] == "missing";
            if is_whole_body || error["loc"] == json!(["body", "password"]) {
                error["input"] = Value::Null;
            }
        }
    }

    /// RFC 6749 section 5.2, beside FastAPI's `detail`.
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

    /// Takes over from the answer what is Python's wording in the recording, if it has the form
    /// that it should have.
    pub fn without_wording(mut self, case: &Case, answer: &Response) -> Self {
        let answered = serde_json::from_slice::<Value>(&answer.body).unwrap_or_default();
        let email_is_free = case.tags.contains(&Tag::EmailMsg);
        let json_is_free = case.tags.contains(&Tag::JsonError);
        for (index, error) in self.field_errors().iter_mut().enumerate() {
            let got = &answered["detail"][index];
            let reason = got["ctx"]["reason"]
                .as_str()
                .filter(|reason| !reason.is_empty());
            if let Some(reason) = reason.filter(|_| email_is_free && error["type"] == "value_error")
            {
                error["msg"] = format!("{BAD_EMAIL}{reason}").into();
                error["ctx"]["reason"] = reason.into();
            }
            let problem = got["ctx"]["error"]
                .as_str()
                .filter(|problem| !problem.is_empty());
            let position = got["loc"][1].as_u64().zip(problem);
            let is_free = json_is_free && error["type"] == "json_invalid";
            if let Some((position, problem)) = position.filter(|_| is_free) {
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

/// What is wrong with the headers that every answer carries, whatever it is about.
pub fn envelope_problems(path: &str, answer: &Response) -> Vec<String> {
    let mut expected = vec![("x-content-type-options", "nosniff")];
    // The pages of the documentation may be kept.
    if !["/docs", "/redoc"]
        .iter()
        .any(|page| path.starts_with(page))
    {
        expected.push(("cache-control", "no-store"));
    }
    if path == "/token" && answer.status == 200 {
        expected.push(("pragma", "no-cache"));
    }
    let wrong = |(name, value): &(&str, &str)| answer.header(name).as_deref() != Some(value);
    let mut problems: Vec<String> = expected
        .iter()
        .filter(|header| wrong(header))
        .map(|(name, value)| format!("{name}: expected {value}, got {:?}", answer.header(name)))
        .collect();
    if answer.header("x-request-id").is_none_or(|id| id.is_empty()) {
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
