//! Commands at a terminal: tables, colours, questions and passwords.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use regex::Regex;
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use crate::harness::{Backend, Person, TestApp};

/// The longest wait for a program to print something, or to end.
const TIMEOUT: Duration = Duration::from_secs(60);

const CTRL_C: &str = "\u{3}";
const CTRL_D: &str = "\u{4}";

/// A program at a terminal, which is its controlling one, so that Ctrl-C reaches it.
struct Terminal {
    process: Child,
    keyboard: File,
    screen: Receiver<Vec<u8>>,
    /// What is on the screen.
    text: String,
    /// How much of it was expected.
    seen: usize,
}

impl Terminal {
    fn start(app: &TestApp, columns: u16, arguments: &[&str]) -> Self {
        Self::start_with(app, columns, arguments, &[("TERM", "xterm-256color")])
    }

    fn start_with(
        app: &TestApp,
        columns: u16,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
        let master = openpt(flags).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let size = Winsize {
            ws_row: 24,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&master, size).unwrap();
        let terminal = File::from(ioctl_tiocgptpeer(&master, flags).unwrap());
        let stdio = || Stdio::from(terminal.try_clone().unwrap());
        let program = app.program(arguments);
        let mut command = Command::new("/usr/bin/setsid");
        command.arg("--ctty").arg(program.get_program());
        command.args(program.get_args()).env_clear();
        let settings = program.get_envs();
        command.envs(settings.filter_map(|(name, value)| Some((name, value?))));
        command.envs(environment.iter().copied());
        command.stdin(stdio()).stdout(stdio()).stderr(stdio());
        let process = command.spawn().unwrap();
        // Reading ends when no process has the terminal open.
        drop((command, terminal));
        let keyboard = File::from(master);
        let mut output = keyboard.try_clone().unwrap();
        let (send, screen) = channel();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut buffer) {
                if send.send(buffer[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self {
            process,
            keyboard,
            screen,
            text: String::new(),
            seen: 0,
        }
    }

    /// Waits until this text appears after the one expected before.
    fn expect(&mut self, text: &str) {
        loop {
            if let Some(at) = self.text[self.seen..].find(text) {
                self.seen += at + text.len();
                return;
            }
            assert!(self.read(), "expected {text}: {}", self.text);
        }
    }

    fn enter(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Enters a password, once the terminal does not show it.
    fn enter_hidden(&mut self, prompt: &str, keys: &str) {
        self.expect(prompt);
        let shows_keys = || {
            let modes = tcgetattr(&self.keyboard).unwrap().local_modes;
            modes.contains(LocalModes::ECHO)
        };
        while shows_keys() {
            thread::sleep(Duration::from_millis(5));
        }
        self.enter(keys);
    }

    /// Answers a question.
    fn answer(&mut self, question: &str, keys: &str) {
        self.expect(question);
        self.enter(keys);
    }

    /// Waits for the end of the program. Returns the screen and the exit code, as a shell has it.
    fn end(mut self) -> (String, i32) {
        while self.read() {}
        let status = self.process.wait().unwrap();
        let code = status
            .code()
            .unwrap_or_else(|| 128 + status.signal().unwrap());
        (self.text.replace('\r', ""), code)
    }

    /// Waits for more text. Returns whether there is any.
    fn read(&mut self) -> bool {
        match self.screen.recv_timeout(TIMEOUT) {
            Ok(bytes) => {
                self.text.push_str(&String::from_utf8_lossy(&bytes));
                true
            }
            Err(RecvTimeoutError::Disconnected) => false,
            Err(RecvTimeoutError::Timeout) => panic!("the program hangs: {}", self.text),
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It has ended already, unless the test fails.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What a command prints at a terminal.
fn screen(app: &TestApp, columns: u16, arguments: &[&str]) -> String {
    let (screen, code) = Terminal::start(app, columns, arguments).end();
    assert_eq!(code, 0, "{arguments:?}: {screen}");
    screen
}

/// The text without colours.
fn plain(text: &str) -> String {
    Regex::new("\u{1b}\\[[0-9;]*m")
        .unwrap()
        .replace_all(text, "")
        .into_owned()
}

fn app_with_people() -> (TestApp, Person) {
    let app = TestApp::start(Backend::Sqlite);
    let alice = app.register_with("alice", "orders:read reports:monthly");
    app.register("bobby");
    app.register("carol");
    (app, alice)
}

#[test]
fn lists_are_tables_that_fit_the_terminal() {
    let (app, alice) = app_with_people();
    let long = "a-long-local-part.with.many.parts@subdomain.of.a.company.example.com";
    app.database().execute(&format!(
        "UPDATE users SET email = '{long}', email_key = '{long}' WHERE id = 2;
         UPDATE users SET name = '王芳王芳', disabled_at = '2020-01-01 00:00:00' WHERE id = 3"
    ));
    for columns in [70, 80, 120] {
        let all = plain(&screen(&app, columns, &["user", "list"]));
        let lines: Vec<&str> = all.lines().collect();
        assert_eq!(lines.len(), 4, "{all}");
        let headers: Vec<&str> = lines[0].split_whitespace().collect();
        assert_eq!(headers, ["ID", "ADDRESS", "NAME", "STATE", "SCOPES"]);
        assert!(lines[1].starts_with(" 1  alice@exa"), "{all}");
        assert!(lines[2].contains('…'), "{all}");
        assert!(lines[3].contains("  王芳王芳  "), "{all}");
        assert!(
            lines[3].contains("disabled ") && lines[3].ends_with(" years ago"),
            "{all}"
        );
        assert!(!all.contains('\t'), "{all}");
        // The state begins in the same column everywhere; two characters are as wide as four.
        let column_of = |line: &str, text: &str| line.split(text).next().unwrap().chars().count();
        let state = column_of(lines[0], "STATE");
        assert_eq!(column_of(lines[1], "enabled"), state, "{all}");
        assert_eq!(column_of(lines[3], "disabled"), state - 4, "{all}");
        for line in lines {
            let wide = line.chars().filter(|c| ('一'..='龥').contains(c)).count();
            let width = line.chars().count() + wide;
            assert!(width <= usize::from(columns), "{width}: {line}");
        }
    }
    let shown = plain(&screen(&app, 70, &["user", "show", long]));
    assert!(shown.contains(&format!("ADDRESS  {long}\n")), "{shown}");
    assert!(shown.contains("STATE    enabled\n"), "{shown}");
    let first = screen(&app, 80, &["user", "list", "--limit", "2"]);
    assert!(
        first.contains("2 of 3 users — continue with --after 2\n"),
        "{first}"
    );
    let none = screen(&app, 80, &["user", "list", "--after", "3"]);
    assert_eq!(none, "no users\n");
    // In a pipe, the note goes to standard error as well.
    let piped = app
        .program(&["user", "list", "--limit", "2"])
        .output()
        .unwrap();
    assert_eq!(
        piped.stdout.iter().filter(|byte| **byte == b'\t').count(),
        8
    );
    let note = "2 of 3 users — continue with --after 2\n";
    assert_eq!(String::from_utf8(piped.stderr).unwrap(), note);

    app.create_key(&alice.sign_in(), "");
    let keys = plain(&screen(&app, 120, &["key", "list"]));
    assert!(
        keys.contains("in 3 months") && keys.contains("never"),
        "{keys}"
    );
    let events = plain(&screen(&app, 120, &["audit", "tail"]));
    assert!(events.contains("user:1 alice@example.com"), "{events}");
    assert!(
        events.contains(" seconds ago") || events.contains("just now"),
        "{events}"
    );
}

#[test]
fn followed_trail_shows_wider_rows_whole_until_ctrl_c() {
    let app = TestApp::start(Backend::Sqlite);
    let tail = ["audit", "tail", "-f", "--action", "register"];
    app.register("al");
    let mut terminal = Terminal::start(&app, 120, &tail);
    terminal.expect("user:1 al@example.com");
    app.register("a-person-with-a-long-name");
    terminal.expect("user:2 a-person-with-a-long-name@example.com");
    terminal.enter(CTRL_C);
    let (screen, code) = terminal.end();
    assert_eq!(code, 130, "{screen}");
    assert_eq!(screen.matches("TARGET").count(), 1, "{screen}");
}

#[test]
fn colours_follow_the_option_and_the_environment() {
    let (app, alice) = app_with_people();
    let disable = app.program(&["user", "disable", &alice.email]).output();
    assert!(disable.unwrap().status.success());
    // A name cannot colour anything itself.
    app.database()
        .execute("UPDATE users SET name = 'a' || char(27) || '[31mb' WHERE id = 2");
    let colours = |environment: &[(&str, &str)], option: &str| {
        let arguments = ["user", "list", "--color", option];
        let (screen, _) = Terminal::start_with(&app, 80, &arguments, environment).end();
        assert!(plain(&screen).contains("a [31mb"), "{screen}");
        screen.matches('\u{1b}').count()
    };
    let term = ("TERM", "xterm");
    // Five headers and a state, each with a beginning and an end.
    assert_eq!(colours(&[term], "auto"), 12);
    for off in [
        &[term, ("NO_COLOR", "1")][..],
        &[term, ("CLICOLOR", "0")],
        &[("TERM", "dumb")],
        &[],
    ] {
        assert_eq!(colours(off, "auto"), 0, "{off:?}");
        assert_eq!(colours(off, "always"), 12, "{off:?}");
    }
    assert_eq!(colours(&[term, ("CLICOLOR_FORCE", "1")], "never"), 0);
    let piped = |option: &str| {
        let mut command = app.program(&["user", "list", "--color", option]);
        let output = command.env("TERM", "xterm").output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(!piped("auto").contains('\u{1b}'));
    assert!(piped("always").contains("\u{1b}[33mdisabled 20"));
    for option in ["always", "never"] {
        let help = app.program(&["--help", "--color", option]).output();
        let help = String::from_utf8(help.unwrap().stdout).unwrap();
        assert_eq!(help.contains('\u{1b}'), option == "always", "{help}");
        let is_wide = help.lines().any(|line| line.chars().count() > 100);
        assert!(is_wide, "help is wrapped at a terminal only: {help}");
    }
    let help = plain(&screen(&app, 80, &["user", "--help"]));
    assert!(
        help.lines().all(|line| line.chars().count() <= 80),
        "{help}"
    );
}

/// A command, the answer that confirms it, and what counts the rows that it changes.
const DESTRUCTIVE: [(&[&str], &str, &str); 6] = [
    (
        &["key", "revoke", "alice@example.com", "1", "2"],
        "y\n",
        "api_keys WHERE revoked_at IS NULL",
    ),
    (
        &["token", "prune"],
        "Yes\n",
        "access_tokens WHERE expiration_date < '2021-01-01'",
    ),
    (
        &["user", "sign-out", "alice@example.com"],
        "y\n",
        "access_tokens WHERE user_id = 1",
    ),
    (&["after-restore"], "y\n", "access_tokens"),
    (
        &["user", "delete", "alice@example.com"],
        "ALICE@example.com\n",
        "users WHERE id = 1",
    ),
    (
        &["audit", "prune"],
        "y\n",
        "audit_events WHERE action <> 'audit.prune' AND action <> 'clock.confirm'",
    ),
];

fn prepare(app: &TestApp) {
    let alice = app.register("alice");
    let (bobby, carol) = (app.register("bobby"), app.register("carol"));
    let token = alice.sign_in();
    for _ in 0..2 {
        app.create_key(&token, "");
    }
    bobby.sign_in();
    carol.sign_in();
    app.database().execute(
        "UPDATE access_tokens SET expiration_date = '2020-01-01 00:00:00' WHERE user_id = 2",
    );
}

#[test]
fn destructive_commands_ask_and_change_nothing_without_a_confirmation() {
    let app = TestApp::start(Backend::Sqlite);
    prepare(&app);
    let users = || app.database().count("users");
    for (arguments, confirmation, rows) in DESTRUCTIVE {
        let count = || app.database().count(rows);
        let before = (count(), users());
        for (keys, code) in [
            ("n\n", 1),
            ("\n", 1),
            ("bobby@example.com\n", 1),
            (CTRL_D, 1),
            (CTRL_C, 130),
        ] {
            let mut terminal = Terminal::start(&app, 100, arguments);
            terminal.expect(if confirmation.contains('@') {
                "to confirm: "
            } else {
                "? [y/N] "
            });
            terminal.enter(keys);
            let (screen, ended) = terminal.end();
            assert_eq!(ended, code, "{arguments:?} {keys:?}: {screen}");
            let says_so = screen.contains("not confirmed, so nothing was changed");
            assert_eq!(says_so, code == 1, "{screen}");
            assert_eq!((count(), users()), before, "{arguments:?} {keys:?}");
        }
        if arguments == ["audit", "prune"] {
            // Nothing is old enough.
            continue;
        }
        let mut terminal = Terminal::start(&app, 100, arguments);
        terminal.answer(
            if confirmation.contains('@') {
                "to confirm: "
            } else {
                "? [y/N] "
            },
            confirmation,
        );
        let (screen, code) = terminal.end();
        assert_eq!(code, 0, "{arguments:?}: {screen}");
        assert_eq!(count(), 0, "{arguments:?}: {screen}");
    }
}

#[test]
fn yes_skips_the_question_and_a_pipe_has_none() {
    for is_piped in [false, true] {
        let app = TestApp::start(Backend::Sqlite);
        prepare(&app);
        for (arguments, _, rows) in DESTRUCTIVE {
            let screen = if is_piped {
                let output = app.program(arguments).output().unwrap();
                assert!(output.status.success(), "{arguments:?} {output:?}");
                String::from_utf8(output.stdout).unwrap()
            } else {
                let mut arguments = arguments.to_vec();
                arguments.push(if arguments.len() > 2 { "-y" } else { "--yes" });
                screen(&app, 100, &arguments)
            };
            assert!(
                !screen.contains("[y/N]") && !screen.contains("confirm"),
                "{screen}"
            );
            assert!(!screen.is_empty(), "{arguments:?} confirms nothing");
            if arguments != ["audit", "prune"] {
                assert_eq!(app.database().count(rows), 0, "{arguments:?}");
            }
        }
    }
}

#[test]
fn restore_asks_before_it_replaces_the_database() {
    let app = TestApp::start(Backend::Sqlite);
    app.register("alice");
    let folder = crate::harness::ScratchDir::new("restore-question");
    let copy = folder.join("copy.db").to_str().unwrap().to_owned();
    let replaced = format!("sqlite://{}", folder.join("replaced.db").display());
    for arguments in [&["backup", copy.as_str()][..], &["restore", &copy]] {
        let mut command = app.program(arguments);
        if arguments[0] == "restore" {
            command.env("DATABASE_URL", &replaced);
        }
        assert!(command.output().unwrap().status.success());
    }
    let environment = [("DATABASE_URL", replaced.as_str())];
    let restore = ["restore", copy.as_str(), "--replace"];
    for (keys, expected) in [("n\n", 1), (CTRL_C, 130), ("y\n", 0)] {
        let mut terminal = Terminal::start_with(&app, 100, &restore, &environment);
        terminal.answer("and end all login tokens and API keys? [y/N] ", keys);
        let (screen, code) = terminal.end();
        assert_eq!(code, expected, "{screen}");
    }
}

#[test]
fn user_is_checked_before_the_password_is_asked_for() {
    let (app, _) = app_with_people();
    for (arguments, code, problem) in [
        (
            &["user", "create", "new@example.com", "--name", "Bob"][..],
            2,
            "name: must have at least 5 characters",
        ),
        (
            &[
                "user",
                "create",
                "no address",
                "--name",
                "Bobby",
                "--scope",
                "a\"b",
            ],
            2,
            "email: is not a valid e-mail address",
        ),
        (
            &["user", "create", "ALICE@example.com", "--name", "Alice"],
            1,
            "the e-mail address is taken",
        ),
        (&["user", "passwd", "new@example.com"], 1, "no such user"),
    ] {
        let (screen, ended) = Terminal::start(&app, 200, arguments).end();
        assert_eq!(ended, code, "{screen}");
        let expected = format!("tokenhouse: {problem}");
        assert!(screen.starts_with(&expected), "{screen}");
        assert_eq!(screen.lines().count(), 1, "{screen}");
    }
}

#[test]
fn refused_password_can_be_entered_again_twice() {
    let app = TestApp::start(Backend::Sqlite);
    let create = ["user", "create", "new@example.com", "--name", "Newcomer"];
    let good = "mulberry-Tram-71\n";
    let mut terminal = Terminal::start(&app, 200, &create);
    terminal.enter_hidden("Password: ", "short\n");
    terminal.expect("the password must have at least 8 characters; try again");
    terminal.enter_hidden("Password: ", good);
    terminal.enter_hidden("Confirm password: ", "mulberry-Tram-72\n");
    terminal.expect("the two passwords differ; try again");
    terminal.enter_hidden("Password: ", good);
    terminal.enter_hidden("Confirm password: ", good);
    let (screen, code) = terminal.end();
    assert_eq!(code, 0, "{screen}");
    assert!(!screen.contains("mulberry"), "{screen}");
    assert!(
        screen.ends_with("created user 1, new@example.com\n"),
        "{screen}"
    );

    let passwd = ["user", "passwd", "new@example.com"];
    let hashes = || {
        app.database()
            .texts("SELECT hashed_password AS text FROM users")
    };
    let before = hashes();
    let mut terminal = Terminal::start(&app, 200, &passwd);
    for weak in ["password\n", "newcomer1\n", "short\n"] {
        terminal.enter_hidden("Password: ", weak);
    }
    let (screen, code) = terminal.end();
    assert_eq!(code, 2, "{screen}");
    assert!(
        screen.ends_with("the password must have at least 8 characters\n"),
        "{screen}"
    );
    for (keys, expected) in [(CTRL_C, 130), (CTRL_D, 1)] {
        let mut terminal = Terminal::start(&app, 200, &passwd);
        terminal.enter_hidden("Password: ", keys);
        let (screen, code) = terminal.end();
        assert_eq!(code, expected, "{screen}");
    }
    assert_eq!(hashes(), before);
}
