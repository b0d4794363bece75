//! The form of `cases.json` and `deviations.json`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

/// One story: requests to make one after another, and what the reference answered.
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

/// What is special about a case.
#[derive(Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Tag {
    /// Ends in the reasons of Python's e-mail library.
    EmailMsg,
    /// Ends in the words of Python's JSON parser.
    JsonError,
    /// Another version of FastAPI answers otherwise.
    VersionDependent,
    /// Another HTTP parser answers otherwise.
    ParserDependent,
}

/// The kind of server that a case is about.
#[derive(Clone, Copy, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    #[default]
    Plain,
    /// Tokens live for [`super::SHORT_LIFETIME`].
    ShortTtl,
}

#[derive(Deserialize)]
#[serde(untagged)]
pub enum Step {
    /// Let seconds pass.
    Sleep { sleep: f64 },
    /// Make all requests at the same time, and count the answers by status.
    Parallel {
        parallel: Vec<RequestTemplate>,
        expect: Statuses,
    },
    /// Make one request.
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
    /// What the answer must not contain.
    #[serde(default)]
    pub secrets: Vec<String>,
    /// Variables to take from the answer, by name: `$.member`.
    #[serde(default)]
    pub capture: BTreeMap<String, String>,
    // Leave to compare less, or another status. We say exactly what we answer instead.
    #[serde(rename = "rules", default)]
    _rules: IgnoredAny,
    #[serde(rename = "accept", default)]
    _accept: IgnoredAny,
    #[serde(rename = "leaks_secret", default)]
    _leaks_secret: bool,
}

/// How much of the body the recording is about.
#[derive(Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CompareBody {
    #[default]
    Whole,
    /// These texts are somewhere in it.
    Contains(Vec<String>),
    /// These parts of a JSON body; the recording holds nothing else.
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

/// An answer, with `{{variables}}` in its texts. A body that is neither JSON nor text here is not
/// compared.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    pub status: u16,
    /// Those of [`super::compare::HEADERS`] that it has.
    pub headers: BTreeMap<String, String>,
    pub json: Option<Value>,
    pub text: Option<String>,
}

/// The answers that are not the recorded ones, on purpose.
#[derive(Deserialize)]
pub struct Deviations {
    pub deviations: Vec<Deviation>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deviation {
    #[serde(rename = "reason")]
    _reason: String,
    /// What is answered instead, by case and by number of the step, counted from 1.
    pub cases: BTreeMap<String, BTreeMap<usize, Expected>>,
}
