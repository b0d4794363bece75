//! What is checked at once: the quick checks of `tokenhouse doctor`.

use std::time::Duration;

use askama::Template;
use chrono::NaiveDateTime;

use crate::pages::language::fill;
use crate::pages::texts::console::ConsoleTexts;
use crate::pages::texts::console_system::SystemTexts;
use crate::pages::time::ago;
use crate::pages::{Frame, Language};

use super::{ChainState, ConsoleHead, Section};

/// What the checks have found.
pub(crate) struct HealthChecks {
    /// How long the database took to answer; `None` if it did not.
    pub(crate) database: Option<Duration>,
    pub(crate) is_clock_trusted: bool,
    pub(crate) has_administrator: Option<bool>,
    /// How many keys end soon.
    pub(crate) expiring_keys: Option<u64>,
    pub(crate) chain: Option<ChainState>,
    /// What `tokenhouse config check` warns of.
    pub(crate) warnings: Vec<String>,
    /// When the process was started, UTC.
    pub(crate) started_at: NaiveDateTime,
}

/// The quick checks and their results.
#[derive(Template)]
#[template(path = "console/health.html")]
pub(crate) struct HealthPage {
    frame: Frame,
    t: &'static SystemTexts,
    c: &'static ConsoleTexts,
    head: ConsoleHead,
    version: String,
    findings: Vec<Finding>,
}

/// The result of a check.
struct Finding {
    class: &'static str,
    level: &'static str,
    subject: &'static str,
    text: String,
    /// Whether the text is that of the program, which speaks English.
    is_english: bool,
}

/// How bad it is.
#[derive(Clone, Copy)]
enum Level {
    Fine,
    Warning,
    Problem,
}

impl HealthPage {
    /// The page at `now` for a user with these scopes.
    pub(crate) fn new(
        frame: Frame,
        scopes: &str,
        checks: &HealthChecks,
        now: NaiveDateTime,
    ) -> Self {
        let language = frame.language;
        let t = SystemTexts::of(language);
        let version = fill(t.version, "v", env!("CARGO_PKG_VERSION"));
        Self {
            version: fill(&version, "when", &ago(checks.started_at, now, language)),
            findings: findings(t, language, checks),
            t,
            c: ConsoleTexts::of(language),
            head: ConsoleHead::new(Section::Health, scopes),
            frame,
        }
    }
}

fn findings(t: &SystemTexts, language: Language, checks: &HealthChecks) -> Vec<Finding> {
    let finding = |level, subject, text: String| {
        let (class, name) = match level {
            Level::Fine => ("good", t.fine),
            Level::Warning => ("warn", t.warning),
            Level::Problem => ("bad", t.problem),
        };
        Finding {
            class,
            level: name,
            subject,
            text,
            is_english: false,
        }
    };
    let judged = |subject, is_good: Option<bool>, good: &str, bad: &str, level| {
        is_good.map(|is_good| match is_good {
            true => finding(Level::Fine, subject, good.to_owned()),
            false => finding(level, subject, bad.to_owned()),
        })
    };
    let database = match checks.database {
        Some(took) => {
            let ms = took.as_millis().max(1).to_string();
            finding(Level::Fine, t.database, fill(t.database_ok, "ms", &ms))
        }
        None => finding(Level::Problem, t.database, t.database_bad.to_owned()),
    };
    let clock = judged(
        t.clock,
        Some(checks.is_clock_trusted),
        t.clock_ok,
        t.clock_bad,
        Level::Warning,
    );
    let administrators = judged(
        t.administrators,
        checks.has_administrator,
        t.administrators_ok,
        t.administrators_bad,
        Level::Warning,
    );
    let keys = checks.expiring_keys.map(|count| match count {
        0 => finding(Level::Fine, t.expiring, t.expiring_ok.to_owned()),
        count => finding(
            Level::Warning,
            t.expiring,
            language.count(t.expiring_bad, count),
        ),
    });
    let chain = match &checks.chain {
        Some(ChainState::Verified { count: 0, .. }) => {
            finding(Level::Fine, t.chain, t.chain_ok.to_owned())
        }
        Some(ChainState::Verified { .. }) => {
            finding(Level::Problem, t.chain, t.chain_bad.to_owned())
        }
        Some(ChainState::TookTooLong { .. }) | None => {
            finding(Level::Warning, t.chain, t.chain_unknown.to_owned())
        }
    };
    let warnings = checks.warnings.iter().map(|warning| Finding {
        is_english: true,
        ..finding(Level::Warning, t.configuration, warning.clone())
    });
    let mut all = vec![database];
    all.extend([clock, administrators, keys].into_iter().flatten());
    all.push(chain);
    if checks.warnings.is_empty() {
        all.push(finding(
            Level::Fine,
            t.configuration,
            t.configuration_ok.to_owned(),
        ));
    }
    all.extend(warnings);
    all
}
