//! What commands print: lines for people and their tools, or JSON.

use std::io::Write;

use serde::Serialize;

/// How a command prints.
#[derive(Clone, Copy, Debug)]
pub(super) struct Output {
    /// A JSON document a line in place of columns.
    pub(super) json: bool,
}

impl Output {
    /// Prints one thing: as JSON, or as columns separated by tabs.
    pub(super) fn print(self, value: &impl Serialize, columns: &[&str]) {
        if self.json {
            // What is printed here are structs of texts and numbers, and those have a JSON form.
            say(&serde_json::to_string(value).unwrap_or_default());
        } else {
            say(&line(columns));
        }
    }
}

/// Prints a line. Nobody reading on, as behind `head`, ends the program: there is nothing left to do.
pub(super) fn say(line: &str) {
    if writeln!(std::io::stdout(), "{line}").is_err() {
        std::process::exit(0);
    }
}

/// Columns separated by tabs, without control characters: a name is what a stranger typed.
fn line(columns: &[&str]) -> String {
    let plain: Vec<String> = columns
        .iter()
        .map(|text| text.replace(char::is_control, " "))
        .collect();
    plain.join("\t")
}
