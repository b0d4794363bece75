//! `{{name}}` in the texts of a case, and what stands for it.

use std::collections::BTreeMap;

use rand::distr::{Alphanumeric, SampleString};
use serde_json::Value;

use super::case::Expected;
use crate::harness::Client;

/// The static key of the recording.
pub const API_KEY: &str = "SECRET_PASSWORD";

/// The variables of one run of one case.
pub struct Variables(BTreeMap<String, String>);

impl Variables {
    /// A name that no other run has, so that all of them may use one database.
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

    /// Replaces `{{name}}` and `{{repeat:TEXT:COUNT}}`. Other braces stay.
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

    pub fn expand_answer(&self, answer: &Expected) -> Expected {
        let header = |(name, value): (&String, &String)| (name.clone(), self.expand(value));
        Expected {
            status: answer.status,
            headers: answer.headers.iter().map(header).collect(),
            json: answer.json.as_ref().map(|value| self.expand_json(value)),
            text: answer.text.as_ref().map(|text| self.expand(text)),
        }
    }
}
