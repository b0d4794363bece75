//! The format of `cases.json` and `deviations.json`, and how requests are built from them.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rand::distr::{Alphanumeric, SampleString};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::harness::{Client, Request};

/// One scenario: requests to send in order, and the recorded responses.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    pub id: String,
    #[serde(rename = "group")]
    _group: String,
    #[serde(rename = "note", default)]
    _note: String,
    #[serde(default)]
    pub tags: Vec<Tag>,
    #[serde(default)]
    pub profile: Profile,
    pub steps: Vec<Step>,
}

/// Special properties of a case.
#[derive(Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Tag {
    /// Contains reasons of Python's e-mail library.
    EmailMsg,
    /// Contains messages of Python's JSON parser.
    JsonError,
    /// Other versions of FastAPI respond differently.
    VersionDependent,
    /// Other HTTP parsers respond differently.
    ParserDependent,
}

/// The kind of server that a case requires.
#[derive(Clone, Copy, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    #[default]
    Plain,
    /// Tokens expire after [`super::SHORT_LIFETIME`].
    ShortTtl,
}

#[derive(Deserialize)]
#[serde(untagged)]
pub enum Step {
    /// Wait for this many seconds.
    Sleep { sleep: f64 },
    /// Send all requests concurrently, and count the responses by status.
    Parallel {
        parallel: Vec<RequestTemplate>,
        expect: Statuses,
    },
    /// Send one request.
    Exchange(Box<Exchange>),
}

#[derive(Deserialize)]
pub struct Statuses {
    pub statuses: BTreeMap<String, usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exchange {
    pub request: RequestTemplate,
    pub expect: Expected,
    #[serde(default)]
    pub compare_body: CompareBody,
    /// What the response must not contain.
    #[serde(default)]
    pub secrets: Vec<String>,
    /// Variables to set from the response, by name: `$.member`.
    #[serde(default)]
    pub capture: BTreeMap<String, String>,
    // Permit weaker comparisons or another status. The deviations state the exact responses instead.
    #[serde(rename = "rules", default)]
    _rules: IgnoredAny,
    #[serde(rename = "accept", default)]
    _accept: IgnoredAny,
    #[serde(rename = "leaks_secret", default)]
    _leaks_secret: bool,
}

/// Which part of the body the recording covers.
#[derive(Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CompareBody {
    #[default]
    Whole,
    /// The body contains these texts.
    Contains(Vec<String>),
    /// Only these parts of a JSON body; the recording has nothing else.
    Select(IgnoredAny),
}

/// A request with `{{variables}}` in its texts.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestTemplate {
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub json: Option<Value>,
    pub body: Option<String>,
    pub body_b64: Option<String>,
    pub form: Option<Vec<(String, String)>>,
    pub multipart: Option<Vec<Part>>,
}

/// A part of a multipart form.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    pub name: String,
    pub value: String,
    pub filename: Option<String>,
    #[serde(rename = "type")]
    pub content_type: Option<String>,
}

/// A response, with `{{variables}}` in its texts. Bodies that are neither JSON nor text here are not
/// compared.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    pub status: u16,
    /// The values of [`super::contract::HEADERS`] that are present.
    pub headers: BTreeMap<String, String>,
    pub json: Option<Value>,
    pub text: Option<String>,
}

/// The intentional differences from the recording.
#[derive(Deserialize)]
pub struct Deviations {
    pub deviations: Vec<Deviation>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deviation {
    #[serde(rename = "reason")]
    _reason: String,
    /// The actual response, by case and by step number, counted from 1.
    pub cases: BTreeMap<String, BTreeMap<usize, Expected>>,
}

const BOUNDARY: &str = "----tokenhouse-conformance-boundary";

impl RequestTemplate {
    /// The request, ready to send to `server`.
    pub fn build(&self, server: Client, variables: &Variables) -> Request {
        let mut request = server.request(&self.method, latin1(&variables.expand(&self.path)));
        for (name, value) in &self.headers {
            request = request.header(latin1(name), latin1(&variables.expand(value)));
        }
        let (content_type, body) = self.content(variables);
        let has_type = self
            .headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        if let Some(content_type) = content_type.filter(|_| !has_type) {
            request = request.header("Content-Type", content_type);
        }
        if !body.is_empty() || ["POST", "PUT", "PATCH"].contains(&&*self.method) {
            request = request.body(body);
        }
        request
    }

    fn content(&self, variables: &Variables) -> (Option<String>, Vec<u8>) {
        if let Some(value) = &self.json {
            let body = variables.expand_json(value).to_string();
            (Some("application/json".to_owned()), body.into_bytes())
        } else if let Some(fields) = &self.form {
            let mut form = form_urlencoded::Serializer::new(String::new());
            for (name, value) in fields {
                form.append_pair(&variables.expand(name), &variables.expand(value));
            }
            let content_type = "application/x-www-form-urlencoded".to_owned();
            (Some(content_type), form.finish().into_bytes())
        } else if let Some(parts) = &self.multipart {
            let content_type = format!("multipart/form-data; boundary={BOUNDARY}");
            (Some(content_type), multipart(parts, variables).into_bytes())
        } else if let Some(encoded) = &self.body_b64 {
            (
                None,
                STANDARD.decode(encoded).expect("the case holds base64"),
            )
        } else {
            let body = self.body.as_deref().unwrap_or_default();
            (None, variables.expand(body).into_bytes())
        }
    }
}

fn multipart(parts: &[Part], variables: &Variables) -> String {
    let mut body = String::new();
    for part in parts {
        let mut head = format!("Content-Disposition: form-data; name=\"{}\"", part.name);
        if let Some(filename) = &part.filename {
            head += &format!("; filename=\"{filename}\"");
        }
        if let Some(content_type) = &part.content_type {
            head += &format!("\r\nContent-Type: {content_type}");
        }
        let value = variables.expand(&part.value);
        body += &format!("--{BOUNDARY}\r\n{head}\r\n\r\n{value}\r\n");
    }
    body + "--" + BOUNDARY + "--\r\n"
}

/// The text of a case as the bytes that were sent: one byte per character.
fn latin1(text: &str) -> Vec<u8> {
    let byte = |character| u8::try_from(character).expect("request heads are Latin-1");
    text.chars().map(byte).collect()
}

/// The static key of the recording.
pub const API_KEY: &str = "SECRET_PASSWORD";

/// The variables of one run of one case.
pub struct Variables(BTreeMap<String, String>);

impl Variables {
    /// Uses a random run name, so that all runs can share one database.
    pub fn new(server: Client) -> Self {
        let run = format!(
            "r{}",
            Alphanumeric
                .sample_string(&mut rand::rng(), 7)
                .to_lowercase()
        );
        let variables = [
            ("base", format!("http://{}", server.address())),
            ("api_key", API_KEY.to_owned()),
            ("RUN", run.to_uppercase()),
            ("run", run),
        ];
        Self(
            variables
                .map(|(name, value)| (name.to_owned(), value))
                .into(),
        )
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.0.insert(name.to_owned(), value.to_owned());
    }

    /// Replaces `{{name}}` and `{{repeat:TEXT:COUNT}}`. Unknown names stay as they are.
    pub fn expand(&self, text: &str) -> String {
        let Some((before, rest)) = text.split_once("{{") else {
            return text.to_owned();
        };
        let known = rest
            .split_once("}}")
            .and_then(|(name, after)| Some((self.value(name)?, after)));
        match known {
            Some((value, after)) => format!("{before}{value}{}", self.expand(after)),
            None => format!("{before}{{{{{}", self.expand(rest)),
        }
    }

    fn value(&self, name: &str) -> Option<String> {
        if let Some(repeat) = name.strip_prefix("repeat:") {
            let (text, count) = repeat.rsplit_once(':')?;
            return Some(text.repeat(count.parse().ok()?));
        }
        self.0.get(name).cloned()
    }

    pub fn expand_json(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => self.expand(text).into(),
            Value::Array(items) => items.iter().map(|item| self.expand_json(item)).collect(),
            Value::Object(members) => {
                let member =
                    |(name, value): (&String, _)| (self.expand(name), self.expand_json(value));
                members.iter().map(member).collect()
            }
            other => other.clone(),
        }
    }

    pub fn expand_response(&self, response: &Expected) -> Expected {
        let header = |(name, value): (&String, &String)| (name.clone(), self.expand(value));
        Expected {
            status: response.status,
            headers: response.headers.iter().map(header).collect(),
            json: response.json.as_ref().map(|value| self.expand_json(value)),
            text: response.text.as_ref().map(|text| self.expand(text)),
        }
    }
}
