//! The mails that a service under test has written into a folder.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{Backend, ScratchDir, TestApp, TestAppBuilder};

/// What links begin with.
pub const PUBLIC_URL: &str = "https://auth.example";

/// How long a mail may take.
const TIMEOUT: Duration = Duration::from_secs(20);

/// How long no mail must come, to say that none does.
const SILENCE: Duration = Duration::from_millis(2_500);

/// A folder of mails.
pub struct Inbox(ScratchDir);

/// A mail: what tests look at.
#[derive(Clone, Debug)]
pub struct Mail {
    /// The name of its template.
    pub purpose: String,
    pub to: String,
    pub message_id: String,
    /// The token in the link; empty without one.
    pub token: String,
    /// The code; empty without one.
    pub code: String,
    pub text: String,
}

impl Inbox {
    pub fn new() -> Self {
        Self(ScratchDir::new("mails"))
    }

    /// A builder of a service that writes its mails here.
    pub fn app(&self, backend: Backend) -> TestAppBuilder {
        TestApp::builder(backend)
            .setting(
                "TOKENHOUSE_MAIL",
                &format!("file:{}", self.path().display()),
            )
            .setting("TOKENHOUSE_PUBLIC_URL", PUBLIC_URL)
            // The others would be among the mails that a test counts.
            .setting("TOKENHOUSE_NOTICES", "address-changed")
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// All mails, oldest first.
    pub fn mails(&self) -> Vec<Mail> {
        let mut files: Vec<_> = fs::read_dir(self.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|end| end == "eml"))
            .collect();
        files.sort();
        let read = |path: &std::path::PathBuf| {
            let name = path.file_stem().unwrap().to_str().unwrap();
            let purpose = name.split_once('-').unwrap().1;
            Mail::parse(purpose, &fs::read_to_string(path).unwrap())
        };
        files.iter().map(read).collect()
    }

    /// Waits until there are this many mails, and returns the last one.
    pub fn wait_for(&self, count: usize) -> Mail {
        let start = Instant::now();
        loop {
            let mails = self.mails();
            if mails.len() >= count {
                assert_eq!(mails.len(), count, "{mails:#?}");
                return mails.into_iter().last().expect("at least one");
            }
            assert!(start.elapsed() < TIMEOUT, "only {mails:#?}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits, and checks that there are still this many mails.
    pub fn stays_at(&self, count: usize) {
        thread::sleep(SILENCE);
        let mails = self.mails();
        assert_eq!(mails.len(), count, "{mails:#?}");
    }
}

impl Mail {
    /// Parses a mail as it is sent (RFC 5322). Its first part is the text.
    pub fn parse(purpose: &str, message: &str) -> Self {
        let header = |name: &str| {
            let mut lines = message.lines();
            let line = lines.find_map(|line| line.strip_prefix(name));
            line.unwrap_or_default().trim().to_owned()
        };
        let to = header("To:");
        let to = to.rsplit(['<', ' ']).next().unwrap_or_default();
        let part = message
            .split("Content-Type: text/plain")
            .nth(1)
            .expect("a text");
        let part = part.split("\r\n--").next().unwrap_or_default();
        let body = part.split_once("\r\n\r\n").expect("a body").1;
        let text = from_quoted_printable(body);
        let token = text.split("?t=").nth(1).unwrap_or_default();
        let token = token.split_whitespace().next().unwrap_or_default();
        let is_code = |line: &&str| {
            let is_plain = |byte: u8| byte.is_ascii_digit() || byte.is_ascii_uppercase();
            line.len() == 8 && line.bytes().all(is_plain)
        };
        Self {
            purpose: purpose.to_owned(),
            to: to.trim_end_matches('>').to_owned(),
            message_id: header("Message-ID:"),
            token: token.to_owned(),
            code: text.lines().find(is_code).unwrap_or_default().to_owned(),
            text,
        }
    }
}

/// Decodes RFC 2045 section 6.7.
fn from_quoted_printable(text: &str) -> String {
    let joined = text.replace("=\r\n", "");
    let mut bytes = Vec::new();
    let mut rest = joined.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let byte = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (first, byte) {
            (b'=', Some(byte)) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).expect("UTF-8")
}
