//! Questions at a terminal, and passwords.

use std::io::{ErrorKind, IsTerminal, Read};

use clap::Args;
use pydantic_email::EmailAddress;
use secrecy::{ExposeSecret, SecretString};

use super::common::Failure;
use super::output::{ask, ask_no_more, note};
use crate::password::PasswordPolicy;

/// How often a new password can be entered at a terminal.
const MAX_ATTEMPTS: usize = 3;

/// The longest password that is read, in bytes. The policy allows far less.
const MAX_PASSWORD: u64 = 4096;

/// Whether a person can answer questions.
pub(super) fn is_interactive() -> bool {
    std::io::stdin().is_terminal()
}

/// The arguments of commands that ask before they do what cannot be undone.
#[derive(Debug, Args)]
pub(super) struct YesArgs {
    /// Do not ask; without a terminal, the command never asks
    #[arg(long, short)]
    yes: bool,
}

impl YesArgs {
    /// Asks a question of yes or no.
    pub(super) fn confirm(&self, question: &str) -> Result<(), Failure> {
        self.check(&format!("{question} [y/N] "), |answer| {
            ["y", "yes"].contains(&answer.to_lowercase().as_str())
        })
    }

    /// Asks for the address of the user.
    pub(super) fn confirm_address(&self, question: &str, email: &str) -> Result<(), Failure> {
        let key = |text: &str| EmailAddress::parse(text).ok().map(|address| address.key());
        let question = format!("{question} Type the address to confirm: ");
        self.check(&question, |answer| {
            answer == email || (key(answer).is_some() && key(answer) == key(email))
        })
    }

    /// Whether there is a question to ask.
    pub(super) fn will_ask(&self) -> bool {
        !self.yes && is_interactive()
    }

    fn check(&self, question: &str, accepts: impl FnOnce(&str) -> bool) -> Result<(), Failure> {
        if !self.will_ask() {
            return Ok(());
        }
        ask(question);
        let mut answer = String::new();
        // An answer that cannot be read is none.
        let _ = std::io::stdin().read_line(&mut answer);
        if !answer.ends_with('\n') {
            // The end of the input leaves the cursor behind the question.
            ask_no_more();
        }
        match accepts(answer.trim()) {
            true => Ok(()),
            false => Err(Failure::from("not confirmed, so nothing was changed")),
        }
    }
}

/// Reads a new password: without echo at a terminal, twice, and again when it is refused; otherwise
/// one line of standard input. `words` are the user's address and names.
pub(super) fn read_new_password(
    policy: PasswordPolicy,
    words: &[&str],
) -> Result<SecretString, Failure> {
    if !is_interactive() {
        return read_line(std::io::stdin());
    }
    for left in (0..MAX_ATTEMPTS).rev() {
        let problem = match enter_new_password(policy, words)? {
            Ok(password) => return Ok(password),
            Err(problem) => problem,
        };
        match left {
            0 => return Err(Failure::bad_input(problem)),
            _ => note(&format!("{problem}; try again")),
        }
    }
    Err(Failure::bad_input("no password was entered"))
}

/// The password, or why it is refused.
fn enter_new_password(
    policy: PasswordPolicy,
    words: &[&str],
) -> Result<Result<SecretString, String>, Failure> {
    let password = enter("Password: ")?;
    let checked = policy
        .check_shape(password.expose_secret())
        .and_then(|()| policy.check_commonness(password.expose_secret(), words));
    if let Err(violation) = checked {
        return Ok(Err(format!("the password {violation}")));
    }
    let again = enter("Confirm password: ")?;
    Ok(if password.expose_secret() == again.expose_secret() {
        Ok(password)
    } else {
        Err("the two passwords differ".to_owned())
    })
}

fn enter(prompt: &str) -> Result<SecretString, Failure> {
    match rpassword::prompt_password(prompt) {
        Ok(password) => Ok(password.into()),
        Err(error) => {
            ask_no_more();
            Err(match error.kind() {
                ErrorKind::UnexpectedEof => Failure::from("no password was entered"),
                _ => Failure::from(format!("no password was entered: {error}")),
            })
        }
    }
}

/// Reads a password of exactly one line, with or without a line break.
fn read_line(input: impl Read) -> Result<SecretString, Failure> {
    let mut bytes = Vec::new();
    let read = input.take(MAX_PASSWORD + 1).read_to_end(&mut bytes);
    read.map_err(|error| format!("the password on standard input: {}", error.kind()))?;
    let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    let line = match bytes.len() == line.len() {
        true => line,
        false => line.strip_suffix(b"\r").unwrap_or(line),
    };
    if line.contains(&b'\n') {
        return Err(Failure::bad_input(
            "the password on standard input must be a single line, and there are more",
        ));
    }
    if bytes.len() as u64 > MAX_PASSWORD {
        return Err(Failure::bad_input(format!(
            "the password on standard input has more than {MAX_PASSWORD} bytes"
        )));
    }
    match std::str::from_utf8(line) {
        Ok(password) => Ok(password.to_owned().into()),
        Err(_error) => Err(Failure::bad_input(
            "the password on standard input is not valid UTF-8: convert it from its encoding, such \
             as Latin-1, with iconv",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn password_is_one_line_of_utf_8() {
        for (input, expected) in [
            ("pass", Ok("pass")),
            ("pass\n", Ok("pass")),
            ("pass\r\n", Ok("pass")),
            ("pass\r", Ok("pass\r")),
            (" pass ", Ok(" pass ")),
            ("p\u{e4}ss", Ok("p\u{e4}ss")),
            ("", Ok("")),
            ("pass\nword", Err("single line")),
            ("pass\nword\n", Err("single line")),
            ("pass\n\n", Err("single line")),
            ("pass\r\n\r\n", Err("single line")),
        ] {
            assert_read(input.as_bytes(), expected);
        }
        assert_read(b"p\xe4ss\n", Err("not valid UTF-8"));
        assert_read(&[b'x'; 5000], Err("more than 4096 bytes"));
    }

    fn assert_read(input: &[u8], expected: Result<&str, &str>) {
        match (read_line(input), expected) {
            (Ok(password), Ok(expected)) => assert_eq!(password.expose_secret(), expected),
            (Err(failure), Err(part)) => assert!(format!("{failure:?}").contains(part)),
            (read, expected) => panic!("{input:?}: {read:?}, expected {expected:?}"),
        }
    }
}
