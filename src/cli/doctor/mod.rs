//! `tokenhouse doctor`: problems of an installation, and their solutions.

#[cfg(feature = "postgres-tls")]
mod certificates;
mod database;
mod environment;
mod service;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;

use super::common::counted;
use super::output::{Output, Tone};
use super::table::{Cell, Column};
use crate::audit::Verification;
use crate::auth::Auth;
use crate::config::Config;
use crate::error::Error;
use crate::password::hash_password;
use crate::store::{self, StoreError};

/// The recommended duration of a hash: a faster one is cheap to crack, a slower one delays users.
const HASH_DURATION: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(50)..=Duration::from_millis(1_000);

/// The columns of the report.
static COLUMNS: [Column; 3] = [
    Column::whole("LEVEL"),
    Column::whole("SUBJECT"),
    Column::wrapped("FINDING"),
];

/// The arguments of `doctor`.
#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    /// Search the whole SQLite file for damage, however long it takes
    #[arg(long)]
    deep: bool,
}

/// The severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    Ok,
    Warning,
    Problem,
}

/// The result of a check.
#[derive(Debug, Serialize)]
struct Finding {
    level: Level,
    subject: &'static str,
    message: String,
}

pub(super) fn run(config: &Config, args: &DoctorArgs, output: Output) -> Result<(), String> {
    let mut findings = settings(config);
    findings.extend(database::check_transport(config));
    #[cfg(feature = "postgres-tls")]
    findings.extend(certificates::check(config));
    findings.push(environment::check_clock());
    findings.push(hash_time(config));
    findings.extend(service::check_running(config));
    findings.extend(database(config, args.deep));
    let mut problems = 0;
    let mut table = output.table("findings", &COLUMNS);
    for finding in &findings {
        let (level, tone) = match finding.level {
            Level::Ok => ("ok", Tone::Good),
            Level::Warning => ("warning", Tone::Warning),
            Level::Problem => ("problem", Tone::Bad),
        };
        problems += usize::from(finding.level == Level::Problem);
        let cells = vec![
            Cell::new(level).tone(tone),
            Cell::new(finding.subject),
            Cell::new(&*finding.message),
        ];
        table.row(finding, cells);
    }
    table.end();
    match problems {
        0 => Ok(()),
        count => Err(counted(count, "problem")),
    }
}

fn finding(level: Level, subject: &'static str, message: impl Into<String>) -> Finding {
    Finding {
        level,
        subject,
        message: message.into(),
    }
}

fn settings(config: &Config) -> Vec<Finding> {
    let warnings = config.all_warnings().into_iter();
    let mut findings: Vec<Finding> = warnings
        .map(|warning| finding(Level::Warning, "settings", warning))
        .collect();
    if config.auth.static_keys.is_empty() {
        findings.push(finding(
            Level::Warning,
            "settings",
            "API_KEY_TOKEN: not set, so /protected and /page refuse every request, and so does /metrics \
             without TOKENHOUSE_METRICS_BIND",
        ));
    }
    if findings.is_empty() {
        findings.push(finding(Level::Ok, "settings", "fine"));
    }
    findings
}

fn file_mode(config: &Config) -> Option<Finding> {
    let path = config.database.url.sqlite_path()?;
    let subject = "database file";
    let metadata = fs::metadata(path).ok()?;
    let mode = metadata.permissions().mode() & 0o777;
    Some(if mode & 0o077 == 0 {
        finding(Level::Ok, subject, format!("mode {mode:o}"))
    } else {
        let path = Path::display(path);
        let message = format!("other users may read it (mode {mode:o}): chmod 600 {path}");
        finding(Level::Problem, subject, message)
    })
}

fn hash_time(config: &Config) -> Finding {
    let started = Instant::now();
    let hashed = hash_password(b"how long does it take?", config.auth.cost);
    let duration = started.elapsed();
    let message = format!(
        "{} ms at cost {}",
        duration.as_millis(),
        u32::from(config.auth.cost)
    );
    if hashed.is_err() {
        finding(
            Level::Problem,
            "bcrypt",
            "the system has no random number generator",
        )
    } else if HASH_DURATION.contains(&duration) {
        finding(Level::Ok, "bcrypt", message)
    } else {
        let message =
            format!("{message}: 50 to 1000 ms are recommended; see TOKENHOUSE_BCRYPT_COST");
        finding(Level::Warning, "bcrypt", message)
    }
}

fn database(config: &Config, is_deep: bool) -> Vec<Finding> {
    let subject = "database";
    let state = match store::inspect(&config.database) {
        Ok(state) => state,
        Err(error) => {
            let is_other = matches!(error, StoreError::Unsuitable(_));
            let mut findings = vec![finding(Level::Problem, subject, error.to_string())];
            if !is_other
                && config
                    .database
                    .url
                    .sqlite_path()
                    .is_some_and(|path| path.exists())
            {
                findings.extend(database::check_file(config, is_deep));
            }
            return findings;
        }
    };
    let url = &config.database.url;
    let mut settings = config.effective.iter();
    let message = match settings.find(|setting| setting.setting.name == "DATABASE_URL") {
        Some(setting) => format!(
            "{url} (DATABASE_URL: {}), {}",
            setting.source, state.version
        ),
        None => format!("{url}, {}", state.version),
    };
    let mut findings = vec![finding(Level::Ok, subject, message)];
    findings.extend(file_mode(config));
    findings.extend(database::check_file(config, is_deep));
    findings.extend(database::check_server(config));
    if !state.is_empty {
        findings.extend(database::check_schema(config));
    }
    findings.extend(database::check_postgres(config));
    if state.pending > 0 {
        let message = format!(
            "{} migration(s) pending: run tokenhouse migrate",
            state.pending
        );
        let level = if config.database.auto_migrate {
            Level::Warning
        } else {
            Level::Problem
        };
        findings.push(finding(level, subject, message));
    } else {
        findings.extend(database::check_search(config));
        findings.extend(environment::check_proxies(config));
        match contents(config) {
            Ok(found) => findings.extend(found),
            Err(problem) => findings.push(finding(Level::Problem, subject, problem)),
        }
    }
    findings
}

/// Checks the rows of the tables.
///
/// # Errors
/// Why they cannot be read.
fn contents(config: &Config) -> Result<Vec<Finding>, String> {
    let auth = Auth::open_existing(config).map_err(|error| error.to_string())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(|error| error.to_string())?;
    let check = async {
        let trail = auth.audit().verify().await?;
        let has_own_key = config.auth.audit_key.is_some() && !trail.problems.is_empty();
        let awaits_adoption = has_own_key && auth.audit().is_valid_by_stored_key().await?;
        let mut findings = vec![
            trail_finding(&trail, awaits_adoption),
            environment::compare_clock(auth.time_seen().await?),
            service::check_administrators(&auth).await?,
        ];
        findings.extend(service::check_keys(&auth).await?);
        findings.push(service::check_factors(&auth).await?);
        findings.extend(environment::judge_codes(
            &auth.seconds_codes_are_away().await?,
        ));
        findings.extend(service::check_passkeys(&auth).await?);
        Ok::<_, Error>(findings)
    };
    runtime
        .block_on(check)
        .map_err(|error| format!("cannot be read: {error}"))
}

fn trail_finding(verification: &Verification, awaits_adoption: bool) -> Finding {
    let subject = "audit trail";
    if awaits_adoption {
        return finding(
            Level::Warning,
            subject,
            "signed with the earlier key, in the database, and not yet with TOKENHOUSE_AUDIT_KEY: if you \
             have just set it, stop every process and run tokenhouse audit adopt-key; if it was in use \
             before, the trail was replaced",
        );
    }
    match verification.problems.first() {
        None => finding(
            Level::Ok,
            subject,
            format!("{} events, none altered", verification.events),
        ),
        Some(problem) => {
            let message = format!("{problem}; tokenhouse audit verify lists all problems");
            finding(Level::Problem, subject, message)
        }
    }
}
