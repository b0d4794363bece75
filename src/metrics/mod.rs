//! What the service counts, and the text form in which Prometheus reads it (exposition format
//! 0.0.4). Counting takes an atomic addition or two, because every request is counted.

mod count;

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub use count::{Counter, Durations};

/// The status codes that are answered; any other is counted as the last one.
const STATUSES: [u16; 18] = [
    200, 201, 204, 307, 400, 401, 403, 404, 405, 408, 409, 413, 415, 422, 429, 500, 503, 0,
];

/// Every metric, with its type and what it says, in the order in which they are printed. The
/// documentation lists the same.
pub const METRICS: &[(&str, &str, &str)] = &[
    (
        "tokenhouse_build_info",
        "gauge",
        "Always 1, with the version",
    ),
    (
        "tokenhouse_http_requests_total",
        "counter",
        "Requests, by route and status",
    ),
    (
        "tokenhouse_http_request_duration_seconds",
        "histogram",
        "Time to the answer, by route",
    ),
    (
        "tokenhouse_sign_ins_total",
        "counter",
        "Sign-ins, by result and reason",
    ),
    (
        "tokenhouse_credential_checks_total",
        "counter",
        "Tokens and keys looked at, by result",
    ),
    (
        "tokenhouse_static_key_checks_total",
        "counter",
        "Static keys looked at, by result",
    ),
    (
        "tokenhouse_throttled_total",
        "counter",
        "Attempts and changes turned away, by what was used up",
    ),
    (
        "tokenhouse_account_waits_total",
        "counter",
        "Accounts that refuse attempts, by whether the wait is the longest",
    ),
    (
        "tokenhouse_untrusted_forwards_total",
        "counter",
        "Requests with X-Forwarded-For or Forwarded from a peer that is no trusted proxy",
    ),
    (
        "tokenhouse_hash_duration_seconds",
        "histogram",
        "Time of a password hash, the wait included",
    ),
    (
        "tokenhouse_hash_queue_depth",
        "gauge",
        "Passwords that wait for a hash thread",
    ),
    (
        "tokenhouse_database_connections_used",
        "gauge",
        "Queries under way",
    ),
    (
        "tokenhouse_database_connections_max",
        "gauge",
        "Queries that may be under way",
    ),
    (
        "tokenhouse_access_tokens_live",
        "gauge",
        "Login tokens that are good, some minutes ago",
    ),
    (
        "tokenhouse_access_tokens_purged_total",
        "counter",
        "Expired login tokens deleted",
    ),
];

/// What is counted of the requests of one route.
#[derive(Debug, Default)]
pub struct RouteMetrics {
    statuses: [Counter; STATUSES.len()],
    durations: Durations,
}

impl RouteMetrics {
    /// One more request that was answered.
    pub fn observe(&self, status: u16, duration: Duration) {
        let known = STATUSES.iter().position(|known| *known == status);
        self.statuses[known.unwrap_or(STATUSES.len() - 1)].increment();
        self.durations.observe(duration);
    }
}

/// How an attempt to sign in ended.
#[derive(Clone, Copy, Debug)]
pub enum SignIn {
    /// With a token.
    Ok,
    /// Nobody has this name.
    UnknownUser,
    /// The password is another.
    WrongPassword,
    /// The user is disabled.
    Disabled,
    /// The account has to wait.
    Throttled,
    /// The user does not hold a scope that was asked for.
    Scope,
}

impl SignIn {
    /// Why, as the audit trail names it; empty for a success.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Ok => "",
            Self::UnknownUser => "unknown-user",
            Self::WrongPassword => "wrong-password",
            Self::Disabled => "disabled",
            Self::Throttled => "throttled",
            Self::Scope => "scope",
        }
    }

    /// Which series counts it. What a client cannot tell apart, a scrape cannot either: the metrics
    /// must not answer whether a user exists.
    const fn series(self) -> usize {
        match self {
            Self::Ok => 0,
            Self::UnknownUser | Self::WrongPassword | Self::Disabled | Self::Throttled => 1,
            Self::Scope => 2,
        }
    }
}

/// The labels of the series of sign-ins: result and reason.
const SIGN_INS: [(&str, &str); 3] = [("ok", ""), ("refused", "credentials"), ("refused", "scope")];

/// What was used up.
#[derive(Clone, Copy, Debug)]
pub enum Budget {
    /// That of an account.
    Account,
    /// That of an address.
    Address,
    /// The registrations of an address.
    Registrations,
    /// The changes of a user.
    Changes,
    /// The new keys of a user.
    Keys,
    /// The sign-ins to an account.
    SignIns,
}

/// Everything that is counted.
#[derive(Debug, Default)]
pub struct Metrics {
    routes: Mutex<BTreeMap<&'static str, Arc<RouteMetrics>>>,
    sign_ins: [Counter; SIGN_INS.len()],
    throttled: [Counter; 6],
    account_waits: [Counter; 2],
    /// Credentials that were good.
    pub checks_ok: Counter,
    /// Credentials that were not.
    pub checks_refused: Counter,
    /// Static keys that were right.
    pub static_keys_ok: Counter,
    /// Static keys that were not.
    pub static_keys_refused: Counter,
    /// Requests that say for whom they were forwarded, from a peer that is no trusted proxy.
    pub untrusted_forwards: Counter,
    /// Password hashes.
    pub hashes: Durations,
    /// Login tokens that are good, as last counted.
    pub tokens_live: Counter,
    /// Login tokens that were deleted because they had expired.
    pub tokens_purged: Counter,
}

/// What is asked for when the metrics are read.
#[derive(Clone, Copy, Debug)]
pub struct Gauges {
    /// Passwords that wait.
    pub hash_queue: usize,
    /// Queries under way.
    pub connections_used: usize,
    /// Queries that may be under way.
    pub connections_max: usize,
}

impl Metrics {
    /// What is counted for a route.
    pub fn route(&self, route: &'static str) -> Arc<RouteMetrics> {
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(routes.entry(route).or_default())
    }

    /// One more attempt to sign in.
    pub fn sign_in(&self, how: SignIn) {
        self.sign_ins[how.series()].increment();
    }

    /// One more attempt that was turned away.
    pub fn throttled(&self, by: Budget) {
        self.throttled[by as usize].increment();
    }

    /// One more account that refuses attempts: the first time, or for the longest time.
    pub fn account_waits(&self, is_longest: bool) {
        self.account_waits[usize::from(is_longest)].increment();
    }

    /// The text that Prometheus reads.
    pub fn text(&self, gauges: Gauges) -> String {
        let mut text = String::new();
        for (name, kind, help) in METRICS {
            // Writing into a String does not fail.
            let _written = writeln!(text, "# HELP {name} {help}.\n# TYPE {name} {kind}")
                .and_then(|()| self.write(&mut text, name, gauges));
        }
        text
    }

    fn write(&self, to: &mut String, name: &str, gauges: Gauges) -> fmt::Result {
        match name {
            "tokenhouse_build_info" => {
                let version = env!("CARGO_PKG_VERSION");
                writeln!(to, "{name}{{version=\"{version}\"}} 1")
            }
            "tokenhouse_http_requests_total" => self.each_route(|route, metrics| {
                let counted = STATUSES.iter().zip(&metrics.statuses);
                for (status, counter) in counted.filter(|(_, counter)| counter.get() > 0) {
                    let count = counter.get();
                    writeln!(
                        to,
                        "{name}{{route=\"{route}\",status=\"{status}\"}} {count}"
                    )?;
                }
                Ok(())
            }),
            "tokenhouse_http_request_duration_seconds" => self.each_route(|route, metrics| {
                metrics
                    .durations
                    .write(to, name, &format!("route=\"{route}\""))
            }),
            "tokenhouse_sign_ins_total" => {
                for ((result, reason), counter) in SIGN_INS.iter().zip(&self.sign_ins) {
                    let count = counter.get();
                    writeln!(
                        to,
                        "{name}{{result=\"{result}\",reason=\"{reason}\"}} {count}"
                    )?;
                }
                Ok(())
            }
            "tokenhouse_credential_checks_total" => {
                writeln!(to, "{name}{{result=\"ok\"}} {}", self.checks_ok.get())?;
                writeln!(
                    to,
                    "{name}{{result=\"refused\"}} {}",
                    self.checks_refused.get()
                )
            }
            "tokenhouse_static_key_checks_total" => {
                let (ok, refused) = (&self.static_keys_ok, &self.static_keys_refused);
                writeln!(to, "{name}{{result=\"ok\"}} {}", ok.get())?;
                writeln!(to, "{name}{{result=\"refused\"}} {}", refused.get())
            }
            "tokenhouse_throttled_total" => {
                let kinds = [
                    "account",
                    "address",
                    "registrations",
                    "changes",
                    "keys",
                    "sign-ins",
                ];
                for (by, counter) in kinds.iter().zip(&self.throttled) {
                    writeln!(to, "{name}{{by=\"{by}\"}} {}", counter.get())?;
                }
                Ok(())
            }
            "tokenhouse_account_waits_total" => {
                let stages = ["first", "longest"];
                for (stage, counter) in stages.iter().zip(&self.account_waits) {
                    writeln!(to, "{name}{{stage=\"{stage}\"}} {}", counter.get())?;
                }
                Ok(())
            }
            "tokenhouse_untrusted_forwards_total" => {
                writeln!(to, "{name} {}", self.untrusted_forwards.get())
            }
            "tokenhouse_hash_duration_seconds" => self.hashes.write(to, name, ""),
            "tokenhouse_hash_queue_depth" => writeln!(to, "{name} {}", gauges.hash_queue),
            "tokenhouse_database_connections_used" => {
                writeln!(to, "{name} {}", gauges.connections_used)
            }
            "tokenhouse_database_connections_max" => {
                writeln!(to, "{name} {}", gauges.connections_max)
            }
            "tokenhouse_access_tokens_live" => writeln!(to, "{name} {}", self.tokens_live.get()),
            _ => writeln!(to, "{name} {}", self.tokens_purged.get()),
        }
    }

    fn each_route(&self, mut write: impl FnMut(&str, &RouteMetrics) -> fmt::Result) -> fmt::Result {
        let routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        routes
            .iter()
            .try_for_each(|(route, metrics)| write(route, metrics))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_printed_with_its_type() {
        let metrics = Metrics::default();
        metrics.route("/a").observe(200, Duration::from_millis(1));
        metrics.route("/a").observe(999, Duration::from_millis(1));
        metrics.sign_in(SignIn::Scope);
        metrics.throttled(Budget::Registrations);
        let gauges = Gauges {
            hash_queue: 1,
            connections_used: 2,
            connections_max: 3,
        };
        let text = metrics.text(gauges);
        for (name, kind, _) in METRICS {
            assert!(text.contains(&format!("# TYPE {name} {kind}\n")), "{name}");
            assert!(text.lines().any(|line| line.starts_with(name)), "{name}");
        }
        for line in [
            "tokenhouse_http_requests_total{route=\"/a\",status=\"200\"} 1",
            "tokenhouse_http_requests_total{route=\"/a\",status=\"0\"} 1",
            "tokenhouse_sign_ins_total{result=\"refused\",reason=\"scope\"} 1",
            "tokenhouse_throttled_total{by=\"registrations\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }
}
