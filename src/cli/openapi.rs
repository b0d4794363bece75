//! `tokenhouse openapi`

use std::process::ExitCode;

use super::output::say_json;
use crate::http;

/// Prints the OpenAPI document.
pub(super) fn run() -> ExitCode {
    match http::openapi_document().to_pretty_json() {
        Ok(document) => {
            say_json(&document);
            ExitCode::SUCCESS
        }
        Err(_error) => ExitCode::FAILURE,
    }
}
