//! Whether two answers are the same, and where they differ.

use serde_json::Value;

use super::case::{CompareBody, Expected};
use crate::harness::Response;

/// The headers that are compared: what a client acts on.
pub const HEADERS: [&str; 4] = ["content-type", "www-authenticate", "location", "allow"];

/// Stands in an expected answer for a token, 43 characters of URL-safe base64.
pub const ANY_TOKEN: &str = "<any token>";

/// Stands in an expected answer for the number of a row.
pub const ANY_ID: &str = "<any id>";

/// A line for each difference; none when the answers are the same.
pub fn differences(expected: &Expected, answer: &Response, body: &CompareBody) -> Vec<String> {
    let mut lines = Vec::new();
    if expected.status != answer.status {
        lines.push(format!(
            "status: expected {}, got {}",
            expected.status, answer.status
        ));
    }
    for name in HEADERS {
        let (mut want, mut got) = (expected.headers.get(name).cloned(), answer.header(name));
        if name == "allow" {
            [want, got] = [want, got].map(|list| list.as_deref().map(sorted));
        }
        if want != got {
            lines.push(format!("{name}: expected {want:?}, got {got:?}"));
        }
    }
    compare_body(expected, answer, body, &mut lines);
    lines
}

/// The methods in `Allow` stand in no order.
fn sorted(list: &str) -> String {
    let mut items: Vec<&str> = list.split(',').map(str::trim).collect();
    items.sort_unstable();
    items.join(", ")
}

fn compare_body(
    expected: &Expected,
    answer: &Response,
    body: &CompareBody,
    lines: &mut Vec<String>,
) {
    let text = String::from_utf8_lossy(&answer.body);
    if let CompareBody::Contains(pieces) = body {
        let missing = pieces.iter().filter(|piece| !text.contains(*piece));
        lines.extend(missing.map(|piece| format!("body: {piece:?} is not in it")));
    } else if let Some(want) = &expected.json {
        let selected = matches!(body, CompareBody::Select(_));
        match serde_json::from_slice(&answer.body) {
            Ok(got) => compare_json("$", want, &got, selected, lines),
            Err(_) => lines.push(format!("body: expected JSON, got {text:?}")),
        }
    } else if let Some(want) = expected.text.as_ref().filter(|want| **want != text) {
        lines.push(format!("body: expected {want:?}, got {text:?}"));
    }
}

/// By value and by type. When `selected`, members that are not expected are passed over.
fn compare_json(place: &str, want: &Value, got: &Value, selected: bool, lines: &mut Vec<String>) {
    match (want, got) {
        (Value::Object(want), Value::Object(got)) => {
            for (name, want) in want {
                let got = got.get(name);
                match got {
                    Some(got) => {
                        compare_json(&format!("{place}.{name}"), want, got, selected, lines)
                    }
                    None => lines.push(format!("{place}.{name}: expected {want}, got nothing")),
                }
            }
            for (name, got) in got
                .iter()
                .filter(|(name, _)| !selected && !want.contains_key(*name))
            {
                lines.push(format!("{place}.{name}: expected nothing, got {got}"));
            }
        }
        (Value::Array(want), Value::Array(got)) if want.len() == got.len() => {
            for (index, (want, got)) in want.iter().zip(got).enumerate() {
                compare_json(&format!("{place}[{index}]"), want, got, selected, lines);
            }
        }
        _ if !is_same(want, got) => lines.push(format!("{place}: expected {want}, got {got}")),
        _ => {}
    }
}

fn is_same(want: &Value, got: &Value) -> bool {
    match want.as_str() {
        Some(ANY_TOKEN) => got.as_str().is_some_and(is_token),
        Some(ANY_ID) => got.as_u64().is_some_and(|id| id > 0),
        _ => want == got,
    }
}

fn is_token(text: &str) -> bool {
    text.len() == 43
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}
