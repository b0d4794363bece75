//! The user who runs this process: what the audit trail says about an operator with a shell.

use std::fs;
use std::io::IsTerminal;

/// The longest name of a terminal, in bytes.
const MAX_TERMINAL: usize = 32;

/// `<uid>`, or `<uid>/<uid>` for root through sudo, whose caller is the second; then `@<terminal>`
/// when standard input is one: `0/1000@pts/3`. `None` where the system does not provide it.
pub(super) fn process_owner() -> Option<String> {
    let sudo_uid = std::env::var("SUDO_UID").ok();
    let terminal = std::io::stdin()
        .is_terminal()
        .then(|| fs::read_link("/proc/self/fd/0").ok())
        .flatten();
    let terminal = terminal.as_ref().and_then(|path| path.to_str());
    Some(describe(real_uid()?, sudo_uid.as_deref(), terminal))
}

/// The real user id, on Linux.
fn real_uid() -> Option<u32> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let ids = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    ids.split_ascii_whitespace().next()?.parse().ok()
}

fn describe(uid: u32, sudo_uid: Option<&str>, terminal: Option<&str>) -> String {
    let mut who = uid.to_string();
    // Any user can set the variable, but root could act without sudo as well.
    let is_number = |text: &&str| text.bytes().all(|byte| byte.is_ascii_digit());
    let caller = sudo_uid.filter(is_number).and_then(|id| id.parse().ok());
    if let Some(caller) = caller.filter(|_: &u32| uid == 0) {
        who.push_str(&format!("/{caller}"));
    }
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_".contains(&byte);
    let terminal = terminal.and_then(|path| path.strip_prefix("/dev/"));
    if let Some(name) = terminal.filter(|name| name.len() <= MAX_TERMINAL)
        && name.bytes().all(is_plain)
    {
        who.push_str(&format!("@{name}"));
    }
    who
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caller_of_sudo_is_told_by_root_alone_and_only_as_a_number() {
        for (uid, sudo_uid, terminal, expected) in [
            (0, None, None, "0"),
            (0, Some("1000"), None, "0/1000"),
            (0, Some("1000"), Some("/dev/pts/3"), "0/1000@pts/3"),
            (1001, Some("1000"), Some("/dev/tty1"), "1001@tty1"),
            (1001, None, None, "1001"),
            (0, Some(""), None, "0"),
            (0, Some("-1"), None, "0"),
            (0, Some("+1"), None, "0"),
            (0, Some("1000 user:1"), None, "0"),
            (0, Some("99999999999999999999"), None, "0"),
            (0, None, Some("/proc/1/fd/0"), "0"),
            (0, None, Some("/dev/pts/\u{202e}"), "0"),
            (
                0,
                None,
                Some("/dev/an-endless-name-of-a-terminal-that-is-none"),
                "0",
            ),
        ] {
            assert_eq!(describe(uid, sudo_uid, terminal), expected);
        }
    }

    #[test]
    fn the_system_tells_who_runs_this() {
        let owner = process_owner().unwrap();
        assert!(
            owner.starts_with(|first: char| first.is_ascii_digit()),
            "{owner}"
        );
    }
}
