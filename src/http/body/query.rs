//! The query of a URL, with FastAPI's errors.

use std::str::FromStr;

use actix_web::HttpRequest;
use chrono::{DateTime, NaiveDateTime};

use crate::http::error_details::ErrorDetails;
use crate::http::request_error::RequestError;

/// The results on a page, unless the client asks for another number.
const PAGE_SIZE: i64 = 50;

/// The most results on a page.
const MAX_PAGE_SIZE: i64 = 500;

/// The parameters of a query. Errors are collected until [`check`](Query::check).
pub(crate) struct Query {
    path: String,
    pairs: Vec<(String, String)>,
    errors: Vec<ErrorDetails>,
}

impl Query {
    /// The query of a request.
    pub(crate) fn from_request(request: &HttpRequest) -> Self {
        let pairs = form_urlencoded::parse(request.query_string().as_bytes());
        Self {
            path: request.path().to_owned(),
            pairs: pairs.into_owned().collect(),
            errors: Vec::new(),
        }
    }

    /// A text: the last one when there are several, `None` when it is empty.
    pub(crate) fn text(&mut self, name: &'static str) -> Option<String> {
        // Postgres cannot store U+0000 in a text.
        let message = "Value error, the NUL character (U+0000) cannot be searched for";
        self.parse(name, "value_error", message, |text| {
            (!text.contains('\0')).then(|| text.to_owned())
        })
        .filter(|text| !text.is_empty())
    }

    /// A text of at most `max` bytes, like [`Self::text`].
    pub(crate) fn text_up_to(&mut self, name: &'static str, max: usize) -> Option<String> {
        let text = self.text(name)?;
        if text.len() > max {
            let message = format!("Value error, more than {max} bytes cannot be searched for");
            let error = ErrorDetails::new(name, "value_error", message);
            self.errors.push(error.with_input(text.as_str()));
        }
        Some(text)
    }

    /// The names of all parameters, in order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.pairs.iter().map(|(name, _)| name.as_str())
    }

    /// All values of a parameter.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let named = self.pairs.iter().filter(|(key, _)| key == name);
        named.map(|(_, value)| value.as_str()).collect()
    }

    /// One of these values.
    pub(crate) fn one_of(
        &mut self,
        name: &'static str,
        values: &'static [&'static str],
    ) -> Option<&'static str> {
        let message = format!("Input should be {}", values.join(" or "));
        self.parse(name, "literal_error", &message, |text| {
            values.iter().copied().find(|value| *value == text)
        })
    }

    /// A whole number.
    pub(crate) fn number(&mut self, name: &'static str) -> Option<i64> {
        let message = "Input should be a valid integer, unable to parse string as an integer";
        self.parse(name, "int_parsing", message, |text| {
            i64::from_str(text).ok()
        })
    }

    /// The maximum number of results on a page.
    pub(crate) fn limit(&mut self) -> i64 {
        let limit = self.number("limit").unwrap_or(PAGE_SIZE);
        if !(1..=MAX_PAGE_SIZE).contains(&limit) {
            let message = format!("Input should be from 1 to {MAX_PAGE_SIZE}");
            let error = ErrorDetails::new("limit", "value_error", message);
            self.errors.push(error.with_input(limit));
        }
        limit
    }

    /// A time with its offset from UTC (RFC 3339).
    pub(crate) fn time(&mut self, name: &'static str) -> Option<NaiveDateTime> {
        let message = "Input should be a valid datetime with a time zone";
        self.parse(name, "datetime_parsing", message, |text| {
            let time = DateTime::parse_from_rfc3339(text).ok()?;
            Some(time.naive_utc())
        })
    }

    /// Reports the invalid parameters.
    ///
    /// # Errors
    /// [`RequestError::InvalidQuery`] with every parameter that was read and is invalid.
    pub(crate) fn check(&mut self) -> Result<(), RequestError> {
        if self.errors.is_empty() {
            Ok(())
        } else {
            Err(RequestError::InvalidQuery(std::mem::take(&mut self.errors)))
        }
    }

    /// The path and query of the same request with another value of one parameter.
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
            let error = ErrorDetails::new(name, kind, message).with_input(text.as_str());
            self.errors.push(error);
        }
        parsed
    }
}
