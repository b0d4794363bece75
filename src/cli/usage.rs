//! The arguments of the process, and what is wrong with them.

use std::ffi::{OsStr, OsString};

use clap::{ColorChoice, CommandFactory, FromArgMatches, ValueEnum};

use super::Cli;
use super::output::{Output, complain, is_json, is_terminal, note};

/// Parses the arguments of the process. Ends it when they are invalid or request help.
pub(super) fn parse() -> Cli {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let mut command = Cli::command().color(color(&arguments));
    if !is_terminal() {
        // Programs that read the help find an option or a command in one line.
        command = command.term_width(0);
    }
    let parsed = command
        .try_get_matches_from(&arguments)
        .and_then(|matches| Cli::from_arg_matches(&matches));
    parsed.unwrap_or_else(|error| {
        if !error.use_stderr() {
            error.exit();
        }
        // The options were not parsed, so that `--json` is looked up in the arguments.
        Output::new(
            options(&arguments).any(|option| option == "--json"),
            ColorChoice::Never,
        );
        let text = error.render().to_string();
        if is_json() {
            complain(&summary(&text));
        } else {
            text.lines().for_each(note);
        }
        std::process::exit(error.exit_code())
    })
}

/// The arguments that can be options.
fn options(arguments: &[OsString]) -> impl Iterator<Item = &OsStr> {
    let arguments = arguments.iter().skip(1).map(OsString::as_os_str);
    arguments.take_while(|argument| *argument != "--")
}

/// The value of `--color`, which help and errors honour before it is parsed.
fn color(arguments: &[OsString]) -> ColorChoice {
    let mut options = options(arguments).map(OsStr::to_string_lossy);
    let found = options.find_map(|option| match option.strip_prefix("--color") {
        Some("") => Some(None),
        Some(rest) => rest.strip_prefix('=').map(|value| Some(value.to_owned())),
        None => None,
    });
    let value = found.and_then(|value| value.or_else(|| options.next().map(Into::into)));
    let choice = value.and_then(|value| ColorChoice::from_str(&value, false).ok());
    choice.unwrap_or(ColorChoice::Auto)
}

/// What is wrong, in one line, without the usage.
fn summary(text: &str) -> String {
    let is_advice = |part: &&str| {
        let part = part.trim_start();
        part.starts_with("Usage:") || part.starts_with("For more information")
    };
    let parts = text.split("\n\n").filter(|part| !is_advice(part));
    let parts: Vec<String> = parts
        .map(|part| part.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    let all = parts.join("; ");
    all.strip_prefix("error: ").unwrap_or(&all).to_owned()
}
