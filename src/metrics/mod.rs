//! Metrics in Prometheus' text format. Every request is counted, so counting takes an atomic addition or
//! two, without a lock or a lookup.

mod atomics;
mod snapshot;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::encoding::prometheus_text::{self, CONTENT_TYPE};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

pub use atomics::{Counter, Durations, RouteMetrics};
use snapshot::{BuildInfo, Counters, Histograms};

/// How a sign-in ended.
#[derive(Clone, Copy, Debug)]
pub enum SignInOutcome {
    /// With a token.
    Ok,
    /// No user has this name.
    UnknownUser,
    /// The password does not match.
    WrongPassword,
    /// The user is disabled.
    Disabled,
    /// The account was throttled.
    Throttled,
    /// The user does not have a requested scope.
    Scope,
    /// The user has not verified the address.
    Unverified,
    /// The password is right, and a code of a second factor is missing.
    CodeRequired,
    /// The code of a second factor is wrong.
    WrongCode,
    /// The password is right, and the user has to add a second factor.
    FactorRequired,
}

impl SignInOutcome {
    /// The reason in the audit trail; empty for a success.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Ok => "",
            Self::UnknownUser => "unknown-user",
            Self::WrongPassword => "wrong-password",
            Self::Disabled => "disabled",
            Self::Throttled => "throttled",
            Self::Scope => "scope",
            Self::Unverified => "unverified",
            Self::CodeRequired => "code-required",
            Self::WrongCode => "wrong-code",
            Self::FactorRequired => "factor-required",
        }
    }

    /// The series that counts it. Outcomes that a client cannot distinguish share a series: the metrics
    /// must not reveal whether a user exists.
    const fn series(self) -> usize {
        match self {
            Self::Ok => 0,
            Self::UnknownUser | Self::WrongPassword | Self::Disabled | Self::Throttled => 1,
            Self::Scope => 2,
            Self::Unverified => 3,
            Self::CodeRequired => 4,
            Self::WrongCode => 5,
            Self::FactorRequired => 6,
        }
    }
}

/// The limit that refused a request.
#[derive(Clone, Copy, Debug)]
pub enum Budget {
    /// Failed attempts at an account.
    Account,
    /// Failed attempts from an address.
    Address,
    /// Registrations from an address.
    Registrations,
    /// Changes by a user.
    Changes,
    /// New keys of a user.
    Keys,
    /// Sign-ins to an account.
    SignIns,
    /// Mails to an address, for a client, or of the whole service.
    Mails,
}

/// How a try to send a mail ended.
#[derive(Clone, Copy, Debug)]
pub enum MailOutcome {
    /// The mail server has accepted it.
    Sent,
    /// It will be tried again.
    Retried,
    /// It will not be sent.
    Failed,
}

/// The values of the labels `result` and `reason`, by [`SignInOutcome::series`].
const SIGN_INS: [[&str; 2]; 7] = [
    ["ok", ""],
    ["refused", "credentials"],
    ["refused", "scope"],
    ["refused", "unverified"],
    ["refused", "code-required"],
    ["refused", "wrong-code"],
    ["refused", "factor-required"],
];

/// The values of the label `by`, in the order of the variants of [`Budget`].
const BUDGETS: [[&str; 1]; 7] = [
    ["account"],
    ["address"],
    ["registrations"],
    ["changes"],
    ["keys"],
    ["sign-ins"],
    ["mails"],
];

/// The values of the label `result`, in the order of the variants of [`MailOutcome`].
const MAILS: [[&str; 1]; 3] = [["sent"], ["retried"], ["failed"]];

/// All metrics.
#[derive(Debug, Default)]
pub struct Metrics {
    routes: Mutex<BTreeMap<&'static str, Arc<RouteMetrics>>>,
    sign_ins: [Counter; SIGN_INS.len()],
    throttled: [Counter; BUDGETS.len()],
    account_waits: [Counter; 2],
    mails: [Counter; MAILS.len()],
    /// Credentials that were accepted.
    pub checks_ok: Counter,
    /// Credentials that were refused.
    pub checks_refused: Counter,
    /// Static keys that were accepted.
    pub static_keys_ok: Counter,
    /// Static keys that were refused.
    pub static_keys_refused: Counter,
    /// Requests with forwarding headers from a peer that is not a trusted proxy.
    pub untrusted_forwards: Counter,
    /// Password hashes, with the time in the queue.
    pub hashes: Durations,
    /// The time in the queue, of the passwords that a thread has begun to hash.
    pub hash_waits: Durations,
    /// Valid login tokens, as last counted.
    pub tokens_live: Gauge,
    /// Expired login tokens that were deleted.
    pub tokens_purged: Counter,
    /// Keys of users that end within 14 days, as last counted.
    pub user_keys_expiring: Gauge,
    /// Keys of apps that end within 14 days, as last counted.
    pub app_keys_expiring: Gauge,
    /// Mails that wait to be sent, as last counted.
    pub mails_waiting: Gauge,
    /// Mails that have failed, as last counted.
    pub mails_failed: Gauge,
}

/// Values that are read when the metrics are scraped.
#[derive(Clone, Copy, Debug)]
pub struct Gauges {
    /// Passwords in the hash queue.
    pub hash_queue: usize,
    /// Running queries.
    pub connections_used: usize,
    /// The maximum of running queries.
    pub connections_max: usize,
}

impl Metrics {
    /// The content type of [`Self::encode`].
    pub const CONTENT_TYPE: &'static str = CONTENT_TYPE;

    /// The metrics of a route. Takes a lock, so keep the result.
    pub fn route(&self, route: &'static str) -> Arc<RouteMetrics> {
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(routes.entry(route).or_default())
    }

    /// Counts a sign-in.
    pub fn sign_in(&self, outcome: SignInOutcome) {
        self.sign_ins[outcome.series()].inc();
    }

    /// Counts a request that a limit refused.
    pub fn throttled(&self, by: Budget) {
        self.throttled[by as usize].inc();
    }

    /// Counts a try to send a mail.
    pub fn mail(&self, outcome: MailOutcome) {
        self.mails[outcome as usize].inc();
    }

    /// How many requests each limit has refused, by the name of the limit.
    #[cfg(feature = "pages")]
    pub(crate) fn throttled_counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.throttled.iter().map(Counter::get);
        BUDGETS.into_iter().map(|[budget]| budget).zip(counts)
    }

    /// Counts an account that starts to refuse attempts: for the first time, or for the longest time.
    pub fn account_waits(&self, is_longest: bool) {
        self.account_waits[usize::from(is_longest)].inc();
    }

    /// The metrics in Prometheus' text format, version 0.0.4.
    pub fn encode(&self, gauges: Gauges) -> String {
        let mut text = String::new();
        // Cannot fail: writing into a `String` does not, nor do our implementations of `EncodeMetric`.
        let encoded = prometheus_text::encode(&mut text, &self.registry(gauges));
        debug_assert_eq!(encoded, Ok(()));
        text
    }

    /// The values of all metrics, with their names. The patterns without `..` and the lint make it
    /// impossible to forget one: a field that is not registered does not compile.
    #[deny(unused_variables)]
    fn registry(&self, gauges: Gauges) -> Registry {
        let Self {
            routes,
            sign_ins,
            throttled,
            account_waits: [first_waits, longest_waits],
            mails,
            checks_ok,
            checks_refused,
            static_keys_ok,
            static_keys_refused,
            untrusted_forwards,
            hashes,
            hash_waits,
            tokens_live,
            tokens_purged,
            user_keys_expiring,
            app_keys_expiring,
            mails_waiting,
            mails_failed,
        } = self;
        let Gauges {
            hash_queue,
            connections_used,
            connections_max,
        } = gauges;
        let routes = routes.lock().unwrap_or_else(PoisonError::into_inner);
        let requests = routes.iter().flat_map(|(route, metrics)| {
            let statuses = metrics.statuses();
            statuses.map(|(status, count)| ([(*route).into(), status.to_string().into()], count))
        });
        let durations = routes
            .iter()
            .map(|(route, metrics)| ([*route], &metrics.durations));
        let mut registry = Registry::with_prefix("tokenhouse");
        registry.register("build_info", "Always 1, with the version", BuildInfo);
        registry.register(
            "http_requests",
            "Requests, by route and status",
            Counters::new(["route", "status"], requests),
        );
        registry.register(
            "http_request_duration_seconds",
            "Response times, by route",
            Histograms::read(["route"], durations),
        );
        registry.register(
            "sign_ins",
            "Sign-ins, by result and reason",
            Counters::read(["result", "reason"], SIGN_INS.into_iter().zip(sign_ins)),
        );
        registry.register(
            "credential_checks",
            "Checks of tokens and keys, by result",
            by_result(checks_ok, checks_refused),
        );
        registry.register(
            "static_key_checks",
            "Checks of static keys, by result",
            by_result(static_keys_ok, static_keys_refused),
        );
        registry.register(
            "throttled",
            "Requests refused by a limit, by limit",
            Counters::read(["by"], BUDGETS.into_iter().zip(throttled)),
        );
        registry.register(
            "account_waits",
            "Accounts that start to refuse attempts, by stage of the wait",
            Counters::read(
                ["stage"],
                [(["first"], first_waits), (["longest"], longest_waits)],
            ),
        );
        registry.register(
            "untrusted_forwards",
            "Requests with X-Forwarded-For or Forwarded from a peer that is not a trusted proxy",
            Counters::one(untrusted_forwards),
        );
        registry.register(
            "hash_duration_seconds",
            "Time to hash a password, with the time in the queue",
            Histograms::read([], [([], hashes)]),
        );
        registry.register(
            "hash_wait_seconds",
            "Time of a password in the queue",
            Histograms::read([], [([], hash_waits)]),
        );
        registry.register(
            "hash_queue_depth",
            "Passwords that wait for a hash thread",
            gauge(hash_queue),
        );
        registry.register(
            "database_connections_used",
            "Running queries",
            gauge(connections_used),
        );
        registry.register(
            "database_connections_max",
            "Maximum of running queries",
            gauge(connections_max),
        );
        registry.register(
            "access_tokens_live",
            "Valid login tokens, counted every few minutes",
            tokens_live.clone(),
        );
        registry.register(
            "access_tokens_purged",
            "Expired login tokens that were deleted",
            Counters::one(tokens_purged),
        );
        registry.register(
            "user_keys_expiring",
            "API keys of users that end within 14 days, counted every hour",
            user_keys_expiring.clone(),
        );
        registry.register(
            "app_keys_expiring",
            "API keys of apps that end within 14 days, counted every hour",
            app_keys_expiring.clone(),
        );
        registry.register(
            "mails",
            "Tries to send a mail, by result",
            Counters::read(["result"], MAILS.into_iter().zip(mails)),
        );
        registry.register(
            "mails_waiting",
            "Mails that wait to be sent, counted every minute",
            mails_waiting.clone(),
        );
        registry.register(
            "mails_failed",
            "Mails of the last 30 days that were not sent, counted every minute",
            mails_failed.clone(),
        );
        registry
    }
}

fn by_result(ok: &Counter, refused: &Counter) -> Counters<1> {
    Counters::read(["result"], [(["ok"], ok), (["refused"], refused)])
}

fn gauge(value: usize) -> Gauge {
    let gauge = Gauge::default();
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
    gauge
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const GAUGES: Gauges = Gauges {
        hash_queue: 1,
        connections_used: 2,
        connections_max: 3,
    };

    #[track_caller]
    fn assert_lines(metrics: &Metrics, lines: &[&str]) {
        let text = metrics.encode(GAUGES);
        for line in lines {
            assert!(text.lines().any(|found| found == *line), "{line}\n{text}");
        }
    }

    #[test]
    fn every_metric_has_its_type_and_its_series() {
        let metrics = Metrics::default();
        metrics.route("/a").observe(200, Duration::from_millis(1));
        metrics.route("/a").observe(999, Duration::from_millis(1));
        metrics.sign_in(SignInOutcome::Scope);
        metrics.throttled(Budget::Registrations);
        metrics.account_waits(true);
        assert_lines(
            &metrics,
            &[
                "# TYPE tokenhouse_build_info gauge",
                concat!(
                    "tokenhouse_build_info{version=\"",
                    env!("CARGO_PKG_VERSION"),
                    "\"} 1"
                ),
                "# HELP tokenhouse_http_requests_total Requests, by route and status.",
                "# TYPE tokenhouse_http_requests_total counter",
                "tokenhouse_http_requests_total{route=\"/a\",status=\"200\"} 1",
                "tokenhouse_http_requests_total{route=\"/a\",status=\"0\"} 1",
                "# TYPE tokenhouse_http_request_duration_seconds histogram",
                "tokenhouse_http_request_duration_seconds_count{route=\"/a\"} 2",
                "# TYPE tokenhouse_sign_ins_total counter",
                "tokenhouse_sign_ins_total{result=\"ok\",reason=\"\"} 0",
                "tokenhouse_sign_ins_total{result=\"refused\",reason=\"scope\"} 1",
                "tokenhouse_credential_checks_total{result=\"refused\"} 0",
                "tokenhouse_static_key_checks_total{result=\"ok\"} 0",
                "tokenhouse_throttled_total{by=\"registrations\"} 1",
                "tokenhouse_account_waits_total{stage=\"longest\"} 1",
                "tokenhouse_untrusted_forwards_total 0",
                "# TYPE tokenhouse_hash_duration_seconds histogram",
                "tokenhouse_hash_duration_seconds_count 0",
                "# TYPE tokenhouse_hash_wait_seconds histogram",
                "# TYPE tokenhouse_hash_queue_depth gauge",
                "tokenhouse_hash_queue_depth 1",
                "tokenhouse_database_connections_used 2",
                "tokenhouse_database_connections_max 3",
                "# TYPE tokenhouse_access_tokens_live gauge",
                "tokenhouse_access_tokens_live 0",
                "# TYPE tokenhouse_access_tokens_purged_total counter",
                "tokenhouse_access_tokens_purged_total 0",
                "# TYPE tokenhouse_user_keys_expiring gauge",
                "tokenhouse_user_keys_expiring 0",
                "tokenhouse_app_keys_expiring 0",
                "tokenhouse_mails_total{result=\"retried\"} 0",
                "tokenhouse_mails_waiting 0",
                "tokenhouse_mails_failed 0",
            ],
        );
    }

    #[test]
    fn duration_counts_in_every_bucket_above_it() {
        let metrics = Metrics::default();
        for micros in [100, 101, 6_000_000] {
            metrics.hashes.observe(Duration::from_micros(micros));
        }
        assert_lines(
            &metrics,
            &[
                "tokenhouse_hash_duration_seconds_bucket{le=\"0.0001\"} 1",
                "tokenhouse_hash_duration_seconds_bucket{le=\"0.00025\"} 2",
                "tokenhouse_hash_duration_seconds_bucket{le=\"5\"} 2",
                "tokenhouse_hash_duration_seconds_bucket{le=\"+Inf\"} 3",
                "tokenhouse_hash_duration_seconds_sum 6.000201",
                "tokenhouse_hash_duration_seconds_count 3",
            ],
        );
    }
}
