//! The output of commands and the log on standard error: text or JSON. Output may contain names and
//! addresses chosen by untrusted clients, so all of it passes through this module, which prevents it
//! from moving a terminal's cursor and from colouring, hiding or reordering text.
//!
//! Commands print their results through [`Output`], which honours `--json` and `--color`, on standard
//! output. Errors and notes go to standard error, with `--json` as objects with the member `error`,
//! `warning` or `note`.

use std::env;
use std::fmt::Write as _;
use std::io::{IsTerminal, Write};
use std::panic::{self, PanicHookInfo};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use clap::ColorChoice;
use clap::builder::styling::{AnsiColor, Style};
use env_logger::WriteStyle;
use env_logger::fmt::Formatter;
use log::Record;
use rustix::fs::FileType;
use serde::Serialize;
use serde_json::json;

use super::table::{Column, Table};
use crate::config::{Config, LogFormat};
use crate::guards::audit_context::logged_ids;
use crate::printable::printable;

/// The width of a terminal that does not tell it.
const DEFAULT_WIDTH: usize = 80;

/// Whether standard error is JSON: set once, before the first line.
static IS_JSON: AtomicBool = AtomicBool::new(false);

/// What a text says, as its colour shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Header,
    Good,
    Warning,
    Bad,
}

/// The format of the output.
#[derive(Clone, Copy, Debug)]
pub(super) struct Output {
    is_json: bool,
    is_coloured: bool,
    color: ColorChoice,
    /// The width of the terminal; `None` when standard output is not one.
    width: Option<usize>,
}

impl Output {
    /// The format that these options and the environment ask for.
    pub(super) fn new(json: bool, color: ColorChoice) -> Self {
        IS_JSON.store(json, Ordering::Relaxed);
        let is_terminal = is_terminal();
        Self {
            is_json: json,
            is_coloured: match color {
                ColorChoice::Always => true,
                ColorChoice::Never => false,
                ColorChoice::Auto => environment_allows_colour(is_terminal),
            },
            color,
            width: is_terminal.then(terminal_width),
        }
    }

    /// Whether results are JSON.
    pub(super) fn is_json(self) -> bool {
        self.is_json
    }

    /// Whether people read the results: text at a terminal.
    pub(super) fn is_for_people(self) -> bool {
        self.width.is_some() && !self.is_json
    }

    /// The width of the terminal; `None` when standard output is not one.
    pub(super) fn width(self) -> Option<usize> {
        self.width
    }

    /// Starts a list of `noun`, a plural.
    pub(super) fn table(self, noun: &'static str, columns: &'static [Column]) -> Table {
        Table::new(self, noun, columns)
    }

    /// Prints one result: as JSON, or as columns separated by tabs.
    pub(super) fn print(self, value: &impl Serialize, columns: &[&str]) {
        if self.is_json {
            self.print_json(value);
        } else {
            let columns: Vec<String> = columns.iter().map(|text| printable(text)).collect();
            write_out(&columns.join("\t"));
        }
    }

    /// Prints one result: as JSON, or as lines of text.
    pub(super) fn print_lines(self, value: &impl Serialize, lines: &[String]) {
        if self.is_json {
            self.print_json(value);
        } else {
            lines.iter().for_each(|line| write_out(&printable(line)));
        }
    }

    /// Confirms a change: as JSON, or in a sentence.
    pub(super) fn confirm(self, value: &impl Serialize, sentence: &str) {
        self.print(value, &[sentence]);
    }

    /// Prints a value as JSON in one line.
    pub(super) fn print_json(self, value: &impl Serialize) {
        // The values are structs of texts and numbers, whose serialization cannot fail.
        print_json_text(&serde_json::to_string(value).unwrap_or_default());
    }

    /// Prints a line of printable text.
    pub(super) fn write(self, line: &str) {
        write_out(line);
    }

    /// Adds the colour of a tone to a printable text.
    pub(super) fn paint(self, tone: Tone, text: &str) -> String {
        let style = match tone {
            Tone::Plain => return text.to_owned(),
            Tone::Header => Style::new().bold(),
            Tone::Good => AnsiColor::Green.on_default(),
            Tone::Warning => AnsiColor::Yellow.on_default(),
            Tone::Bad => AnsiColor::Red.on_default(),
        };
        if self.is_coloured && !text.is_empty() {
            format!("{style}{text}{style:#}")
        } else {
            text.to_owned()
        }
    }
}

/// Whether the environment allows colour: <https://no-color.org> and <https://bixense.com/clicolors>.
fn environment_allows_colour(is_terminal: bool) -> bool {
    let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_zero = |name| env::var_os(name).is_some_and(|value| value == "0");
    let can_show = || env::var_os("TERM").is_some_and(|term| !term.is_empty() && term != "dumb");
    if is_set("NO_COLOR") {
        false
    } else if is_set("CLICOLOR_FORCE") && !is_zero("CLICOLOR_FORCE") {
        true
    } else {
        is_terminal && can_show() && !is_zero("CLICOLOR")
    }
}

fn terminal_width() -> usize {
    let size = rustix::termios::tcgetwinsize(std::io::stdout());
    let columns = size.map_or(0, |size| usize::from(size.ws_col));
    let stated = || env::var("COLUMNS").ok()?.parse().ok();
    match columns {
        0 => stated().unwrap_or(DEFAULT_WIDTH),
        columns => columns,
    }
}

/// Prints a line about the server. Results of commands are printed through [`Output`].
pub(super) fn announce(line: &str) {
    write_out(&printable(line));
}

/// Prints a line about the server as JSON, next to a log in JSON.
pub(super) fn announce_json(value: &impl Serialize) {
    print_json_text(&serde_json::to_string(value).unwrap_or_default());
}

/// Prints a JSON document of one or more lines.
pub(super) fn print_json_text(document: &str) {
    write_out(&in_ascii(document));
}

/// Prints a text unchanged. The text must contain nothing from clients.
pub(super) fn print_verbatim(text: &str) {
    write_out(text);
}

/// Prints on standard error, in one line, why a command fails.
pub(super) fn complain(problem: &str) {
    say("error", problem, &format!("tokenhouse: {problem}"));
}

/// Prints on standard error, in one line, what the operator should know although the command goes on.
pub(super) fn warn(problem: &str) {
    say("warning", problem, &format!("tokenhouse: {problem}"));
}

/// Prints a line on standard error.
pub(super) fn note(line: &str) {
    say("note", line, line);
}

/// Prints a line on standard error: an object with this member, or this text.
fn say(member: &str, message: &str, text: &str) {
    let line = if is_json() {
        in_ascii(&json!({ member: message }).to_string())
    } else {
        printable(text)
    };
    // A failure cannot be reported anywhere else.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Whether standard output is a terminal.
pub(super) fn is_terminal() -> bool {
    std::io::stdout().is_terminal()
}

/// Whether standard error is JSON.
pub(super) fn is_json() -> bool {
    IS_JSON.load(Ordering::Relaxed)
}

/// Asks on standard error, without a line break.
pub(super) fn ask(question: &str) {
    let mut stderr = std::io::stderr();
    let _ = write!(stderr, "{}", printable(question)).and_then(|()| stderr.flush());
}

/// Ends the line of a question that was not answered.
pub(super) fn ask_no_more() {
    let _ = writeln!(std::io::stderr());
}

/// Whether standard output is a file that other users can read, as after `> .env`.
pub(super) fn is_readable_by_others() -> bool {
    rustix::fs::fstat(std::io::stdout()).is_ok_and(|stat| {
        FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile && stat.st_mode & 0o044 != 0
    })
}

/// Ends the program when the reader has closed the pipe, as `| head` does.
fn write_out(text: &str) {
    if writeln!(std::io::stdout(), "{text}").is_err() {
        std::process::exit(0);
    }
}

/// Starts the log according to the settings.
pub(super) fn start_log(config: &Config, output: Output) {
    let mut builder = env_logger::Builder::new();
    builder.write_style(match output.color {
        ColorChoice::Always => WriteStyle::Always,
        ColorChoice::Never => WriteStyle::Never,
        ColorChoice::Auto => WriteStyle::Auto,
    });
    builder.parse_filters(&config.log_filter);
    match config.log_format {
        LogFormat::Text => builder.format(write_text),
        LogFormat::Json => builder.format(write_json),
    };
    // Tests run several commands in one process, which keeps the first logger.
    if builder.try_init().is_err() {
        log::debug!("logging was started already");
    }
    panic::set_hook(Box::new(log_panic));
}

/// Logs the location of a panic, but not its message, which may contain the data that caused it.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let thread = thread::current();
    let name = thread.name().unwrap_or("without a name");
    match panic.location() {
        Some(location) => log::error!("the thread {name} panicked at {location}"),
        None => log::error!("the thread {name} panicked"),
    }
}

/// The time in UTC, with milliseconds.
fn log_time() -> String {
    chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

/// Writes one line, without control characters from the message.
fn write_text(out: &mut Formatter, record: &Record<'_>) -> std::io::Result<()> {
    let (time, level) = (log_time(), record.level());
    let style = out.default_level_style(level);
    let message = printable(&record.args().to_string());
    let target = record.target();
    // Before the target: programs that read the log rely on what follows it.
    let ids = match logged_ids() {
        Some((own, Some(client))) => format!("request={own} client={client} "),
        Some((own, None)) => format!("request={own} "),
        None => String::new(),
    };
    writeln!(
        out,
        "[{time} {style}{level:<5}{style:#} {ids}{target}] {message}"
    )
}

/// A line of the log. Programs that read it may rely on the order.
#[derive(Serialize)]
struct LogLine<'a> {
    level: &'a str,
    message: String,
    target: &'a str,
    time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_request_id: Option<String>,
}

fn write_json(out: &mut Formatter, record: &Record<'_>) -> std::io::Result<()> {
    let (request_id, client_request_id) = logged_ids().unzip();
    let line = LogLine {
        level: record.level().as_str(),
        message: record.args().to_string(),
        target: record.target(),
        time: log_time(),
        request_id,
        client_request_id: client_request_id.flatten(),
    };
    // The values are texts, whose serialization cannot fail.
    let line = serde_json::to_string(&line).unwrap_or_default();
    writeln!(out, "{}", in_ascii(&line))
}

/// Converts JSON to ASCII: escapes all other characters, and DEL. Keeps line breaks: JSON escapes
/// those inside strings, so the remaining ones are layout.
fn in_ascii(json: &str) -> String {
    let mut ascii = String::with_capacity(json.len());
    for character in json.chars() {
        if character == '\n' || (character.is_ascii() && !character.is_ascii_control()) {
            ascii.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            // Writing to a string cannot fail.
            let _ = write!(ascii, "\\u{unit:04x}");
        }
    }
    ascii
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_ascii_and_keeps_every_character() {
        for start in (0..=0x0010_FFFF_u32).step_by(64) {
            let text: String = (start..start + 64).filter_map(char::from_u32).collect();
            let ascii = in_ascii(&serde_json::json!({ "text": text }).to_string());
            let is_printable = ascii.bytes().all(|byte| (0x20..0x7f).contains(&byte));
            assert!(is_printable, "{ascii}");
            let read: serde_json::Value = serde_json::from_str(&ascii).unwrap();
            assert_eq!(read["text"], text);
        }
    }
}
