//! `tokenhouse doctor`: what is wrong with an installation, and what to do.

mod clock;
mod postgres;
mod proxies;
mod schema;
mod transport;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::output::Output;
use crate::auth::{Auth, Verification};
use crate::config::{Config, Registration};
use crate::password::hash_password;
use crate::store;

/// A hash that takes less is cheap to crack; one that takes more, nobody wants to wait for.
const HASH_TAKES: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(50)..=Duration::from_millis(1_000);

/// How grave it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    Ok,
    Warning,
    Problem,
}

/// What was looked at, and what there is to say about it.
#[derive(Debug, Serialize)]
struct Finding {
    level: Level,
    about: &'static str,
    says: String,
}

pub(super) fn run(config: &Config, output: Output) -> Result<(), String> {
    let mut findings = settings(config);
    findings.extend(file_mode(config));
    findings.extend(transport::check(config));
    findings.push(clock::machine());
    findings.push(hash_time(config));
    findings.extend(database(config));
    let mut problems = 0;
    for finding in &findings {
        let level = match finding.level {
            Level::Ok => "ok",
            Level::Warning => "warning",
            Level::Problem => "problem",
        };
        problems += usize::from(finding.level == Level::Problem);
        output.print(finding, &[level, finding.about, &finding.says]);
    }
    match problems {
        0 => Ok(()),
        count => Err(format!("{count} problem(s)")),
    }
}

fn finding(level: Level, about: &'static str, says: impl Into<String>) -> Finding {
    Finding {
        level,
        about,
        says: says.into(),
    }
}

fn settings(config: &Config) -> Vec<Finding> {
    let mut findings: Vec<Finding> = config
        .warnings()
        .into_iter()
        .map(|warning| finding(Level::Warning, "settings", warning))
        .collect();
    let warn = |says: &str| finding(Level::Warning, "settings", says);
    if !config.auth.limits.on {
        findings.push(warn(
            "TOKENHOUSE_LIMITS: off, so passwords can be guessed at without end; set it to on",
        ));
    }
    let is_local = config.server.bind.ip().is_loopback();
    if !is_local && config.server.trusted_proxies.is_empty() {
        findings.push(warn(
            "TOKENHOUSE_BIND: open to other machines and no TOKENHOUSE_TRUSTED_PROXIES; passwords \
             go over the wire in the clear unless a proxy with TLS is in front",
        ));
    }
    if !is_local && config.auth.registration == Registration::Open {
        findings.push(warn(
            "TOKENHOUSE_REGISTRATION: everybody who can reach the service may register",
        ));
    }
    if config.auth.audit_key.is_none() {
        findings.push(warn(
            "TOKENHOUSE_AUDIT_KEY: not set, so whoever has the whole database can rewrite the \
             audit trail; set 32 random characters and keep them elsewhere",
        ));
    }
    if findings.is_empty() {
        findings.push(finding(Level::Ok, "settings", "fine"));
    }
    findings
}

fn file_mode(config: &Config) -> Option<Finding> {
    let path = config.database.url.sqlite_path()?;
    let about = "database file";
    let Ok(metadata) = fs::metadata(path) else {
        return Some(finding(
            Level::Ok,
            about,
            "not there yet; it will be made for its owner only",
        ));
    };
    let mode = metadata.permissions().mode() & 0o777;
    Some(if mode & 0o077 == 0 {
        finding(Level::Ok, about, format!("mode {mode:o}"))
    } else {
        let path = Path::display(path);
        let says = format!("others may read it (mode {mode:o}): chmod 600 {path}");
        finding(Level::Problem, about, says)
    })
}

fn hash_time(config: &Config) -> Finding {
    let begun = Instant::now();
    let hashed = hash_password(b"how long does it take?", config.auth.cost);
    let took = begun.elapsed();
    let says = format!(
        "{} ms at cost {}",
        took.as_millis(),
        u32::from(config.auth.cost)
    );
    if hashed.is_err() {
        finding(Level::Problem, "bcrypt", "the system gives no randomness")
    } else if HASH_TAKES.contains(&took) {
        finding(Level::Ok, "bcrypt", says)
    } else {
        let says = format!("{says}: between 50 and 1000 is wise; see TOKENHOUSE_BCRYPT_COST");
        finding(Level::Warning, "bcrypt", says)
    }
}

fn database(config: &Config) -> Vec<Finding> {
    let about = "database";
    let state = match store::inspect(&config.database) {
        Ok(state) => state,
        Err(error) => return vec![finding(Level::Problem, about, error.to_string())],
    };
    let mut findings = vec![finding(Level::Ok, about, state.version)];
    findings.extend(schema::check(config));
    findings.extend(postgres::check(config));
    if state.pending > 0 {
        let says = format!(
            "{} migration(s) pending: run tokenhouse migrate",
            state.pending
        );
        let level = if config.database.auto_migrate {
            Level::Warning
        } else {
            Level::Problem
        };
        findings.push(finding(level, about, says));
    } else {
        findings.extend(proxies::unnamed(config));
        findings.extend(contents(config).unwrap_or_default());
    }
    findings
}

/// What stands in the tables.
fn contents(config: &Config) -> Option<Vec<Finding>> {
    let auth = Auth::open(config).ok()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .ok()?;
    let trail = runtime.block_on(auth.verify_trail()).ok()?;
    let seen = runtime.block_on(auth.time_seen()).ok()?;
    Some(vec![trail_finding(&trail), clock::compare(seen)])
}

fn trail_finding(verification: &Verification) -> Finding {
    let about = "audit trail";
    match verification.problems.first() {
        None => finding(
            Level::Ok,
            about,
            format!("{} events, none altered", verification.events),
        ),
        Some(problem) => {
            let says = format!("{problem}; tokenhouse audit verify lists all");
            finding(Level::Problem, about, says)
        }
    }
}
