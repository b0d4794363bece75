//! The query of a URL, with FastAPI's errors.

use std::str::FromStr;

use actix_web::HttpRequest;
use chrono::{DateTime, NaiveDateTime};

use crate::error::{Error, FieldError};

/// The parameters as they came.
pub(crate) struct Query {
    path: String,
    pairs: Vec<(String, String)>,
    errors: Vec<FieldError>,
}

impl Query {
    /// The query of a request.
    pub(crate) fn of(request: &HttpRequest) -> Self {
        let pairs = form_urlencoded::parse(request.query_string().as_bytes());
        Self {
            path: request.path().to_owned(),
            pairs: pairs.into_owned().collect(),
            errors: Vec::new(),
        }
    }

    /// A text; the last one when there are several, nothing when it is empty.
    pub(crate) fn text(&mut self, name: &'static str) -> Option<String> {
        // Postgres takes no U+0000 in a text.
        let message = "Value error, the NUL character (U+0000) cannot be looked for";
        self.parse(name, "value_error", message, |text| {
            (!text.contains('\0')).then(|| text.to_owned())
        })
        .filter(|text| !text.is_empty())
    }

    /// The names of all parameters, in their order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.pairs.iter().map(|(name, _)| name.as_str())
    }

    /// All the values of a parameter.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let named = self.pairs.iter().filter(|(key, _)| key == name);
        named.map(|(_, value)| value.as_str()).collect()
    }

    /// A whole number.
    pub(crate) fn number(&mut self, name: &'static str) -> Option<i64> {
        let message = "Input should be a valid integer, unable to parse string as an integer";
        self.parse(name, "int_parsing", message, |text| {
            i64::from_str(text).ok()
        })
    }

    /// How many are wanted: from 1 to `max`, or `default`.
    pub(crate) fn limit(&mut self, default: i64, max: i64) -> i64 {
        let limit = self.number("limit").unwrap_or(default);
        if !(1..=max).contains(&limit) {
            let message = format!("Input should be from 1 to {max}");
            let error = FieldError::new("limit", "value_error", message);
            self.errors.push(error.showing(limit));
        }
        limit
    }

    /// A time with its offset from UTC, as RFC 3339 has it.
    pub(crate) fn time(&mut self, name: &'static str) -> Option<NaiveDateTime> {
        let message = "Input should be a valid datetime with a time zone";
        self.parse(name, "datetime_parsing", message, |text| {
            let time = DateTime::parse_from_rfc3339(text).ok()?;
            Some(time.naive_utc())
        })
    }

    /// Refuses what was wrong.
    ///
    /// # Errors
    /// [`Error::InvalidQuery`] with every parameter that was asked for and wrong.
    pub(crate) fn check(&mut self) -> Result<(), Error> {
        if self.errors.is_empty() {
            Ok(())
        } else {
            Err(Error::InvalidQuery(std::mem::take(&mut self.errors)))
        }
    }

    /// The path and query of the same request but for one parameter.
    pub(crate) fn link(&self, name: &str, value: &str) -> String {
        let others = self.pairs.iter().filter(|(key, _)| key != name);
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(others)
            .append_pair(name, value)
            .finish();
        format!("{}?{query}", self.path)
    }

    fn parse<T>(
        &mut self,
        name: &'static str,
        kind: &'static str,
        message: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let mut named = self.pairs.iter().rev().filter(|(key, _)| key == name);
        let (_, text) = named.next()?;
        let parsed = parse(text);
        if parsed.is_none() {
            let error = FieldError::new(name, kind, message).showing(text.as_str());
            self.errors.push(error);
        }
        parsed
    }
}
