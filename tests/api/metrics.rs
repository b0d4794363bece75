//! The metrics: what is counted, who may read them, and what they never contain.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::json;
use tokenhouse::metrics::{Gauges, Metrics};

use crate::harness::{Backend, Client, Running, STATIC_KEY, TestApp, free_port, on_both_databases};

on_both_databases!(
    requests_are_counted_by_route_and_status,
    sign_ins_are_counted_by_reason,
    throttled_requests_are_counted,
    metrics_do_not_reveal_whether_a_user_exists,
    metrics_contain_no_client_input,
);

/// The series and their values at one moment.
struct Snapshot(BTreeMap<String, f64>);

impl Snapshot {
    fn take(app: &Client) -> Self {
        let response = app.get("/metrics").header("Token", STATIC_KEY).send();
        assert_eq!(response.status, 200, "{response:?}");
        let lines = response
            .text()
            .lines()
            .filter(|line| !line.starts_with('#'));
        let series = lines.map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        });
        Self(series.collect())
    }

    /// The value of a series; 0 before it is first counted.
    fn value(&self, series: &str) -> f64 {
        self.0.get(series).copied().unwrap_or(0.0)
    }

    /// Asserts how much these series have grown since an earlier snapshot, in whole numbers; all
    /// other series of the same metrics must be unchanged.
    fn assert_growth(&self, since: &Self, expected: &[(&str, i64)]) {
        let metric = |series: &str| series.split('{').next().unwrap_or_default().to_owned();
        let metrics: BTreeSet<_> = expected.iter().map(|(series, _)| metric(series)).collect();
        let grown: BTreeMap<&str, i64> = self
            .0
            .iter()
            .filter(|(series, _)| metrics.contains(&metric(series)))
            // Reading the metrics is counted too.
            .filter(|(series, _)| !series.contains("\"/metrics\""))
            .map(|(series, value)| (series.as_str(), (value - since.value(series)) as i64))
            .filter(|(_, growth)| *growth != 0)
            .collect();
        assert_eq!(grown, expected.iter().copied().collect());
    }
}

fn requests_are_counted_by_route_and_status(backend: Backend) {
    let app = TestApp::start(backend);
    let token = app.register("alice").sign_in();
    let key = app.create_key(&token, "").id;
    let before = Snapshot::take(&app);
    for _ in 0..3 {
        assert_eq!(app.status("/users/me", &token), 200);
    }
    assert_eq!(app.status("/users/me", &"x".repeat(43)), 401);
    assert_eq!(app.get("/users/me").send().status, 401);
    assert_eq!(app.status(&format!("/users/me/keys/{key}"), &token), 405);
    assert_eq!(app.get("/no/such/path").send().status, 404);
    let after = Snapshot::take(&app);
    after.assert_growth(
        &before,
        &[
            (
                r#"tokenhouse_http_requests_total{route="/users/me",status="200"}"#,
                3,
            ),
            (
                r#"tokenhouse_http_requests_total{route="/users/me",status="401"}"#,
                2,
            ),
            (
                r#"tokenhouse_http_requests_total{route="/users/me/keys/{id}",status="405"}"#,
                1,
            ),
            (
                r#"tokenhouse_http_requests_total{route="unknown",status="404"}"#,
                1,
            ),
            (r#"tokenhouse_credential_checks_total{result="ok"}"#, 3),
            (r#"tokenhouse_credential_checks_total{result="refused"}"#, 1),
        ],
    );
    let count = r#"tokenhouse_http_request_duration_seconds_count{route="/users/me"}"#;
    let sum = r#"tokenhouse_http_request_duration_seconds_sum{route="/users/me"}"#;
    assert_eq!(after.value(count) - before.value(count), 5.0);
    assert!(after.value(sum) > before.value(sum));
    assert_eq!(after.value("tokenhouse_database_connections_max"), 4.0);
    assert!(after.value("tokenhouse_database_connections_used") <= 4.0);
}

fn sign_ins_are_counted_by_reason(backend: Backend) {
    let app = TestApp::builder(backend)
        .setting("TOKENHOUSE_LIMITS", "on")
        .setting("TOKENHOUSE_LIMIT_ACCOUNT", "1")
        .start();
    let [alice, bob, carol] = ["alice", "bobby", "carol"].map(|name| app.register(name));
    let output = app.program(&["user", "disable", &carol.email]).output();
    assert!(output.unwrap().status.success());
    let before = Snapshot::take(&app);
    alice.sign_in();
    assert_eq!(alice.try_sign_in(&alice.password, "a").status, 400);
    assert_eq!(bob.try_sign_in("a wrong guess", "").status, 401);
    assert_eq!(bob.try_sign_in(&bob.password, "").status, 401);
    assert_eq!(carol.try_sign_in(&carol.password, "").status, 401);
    let unknown = [("username", "nobody@example.com"), ("password", "x")];
    assert_eq!(app.post("/token").form(&unknown).send().status, 401);
    let after = Snapshot::take(&app);
    let refused = |reason: &str| {
        format!(r#"tokenhouse_sign_ins_total{{result="refused",reason="{reason}"}}"#)
    };
    let (credentials, scope) = (refused("credentials"), refused("scope"));
    let mut expected = vec![(credentials.as_str(), 4), (scope.as_str(), 1)];
    expected.push((r#"tokenhouse_sign_ins_total{result="ok",reason=""}"#, 1));
    expected.push((r#"tokenhouse_throttled_total{by="account"}"#, 1));
    after.assert_growth(&before, &expected);
    let hashes = "tokenhouse_hash_duration_seconds_count";
    assert_eq!(after.value(hashes) - before.value(hashes), 6.0);
    let waits = "tokenhouse_hash_wait_seconds_count";
    assert_eq!(after.value(waits) - before.value(waits), 6.0);
    let all = r#"tokenhouse_hash_duration_seconds_bucket{le="+Inf"}"#;
    assert_eq!(after.value(all), after.value(hashes));
    assert_eq!(after.value("tokenhouse_hash_queue_depth"), 0.0);
}

/// The series that a sign-in increments, except timings, and what is in progress at the moment: a background job
/// measures how long a new kind of hash takes on the same threads. That each sign-in computes as many hashes shows in
/// their number.
fn grown_by_sign_in(app: &Client, name: &str) -> BTreeMap<String, i64> {
    let is_timing = |series: &str| {
        let timing = ["_sum", "_bucket", "connections_used", "hash_queue_depth"];
        timing.iter().any(|part| series.contains(part))
    };
    let before = Snapshot::take(app);
    let form = [("username", name), ("password", "a wrong guess")];
    assert_eq!(app.post("/token").form(&form).send().status, 401);
    let after = Snapshot::take(app);
    let counters = after.0.iter().filter(|(series, _)| !is_timing(series));
    let growth =
        |(series, value): (&String, &f64)| (series.clone(), (value - before.value(series)) as i64);
    counters
        .map(growth)
        .filter(|(_, growth)| *growth != 0)
        .collect()
}

fn metrics_do_not_reveal_whether_a_user_exists(backend: Backend) {
    let app = TestApp::builder(backend)
        .setting("TOKENHOUSE_LIMITS", "on")
        .setting("TOKENHOUSE_LIMIT_ADDRESS", "1000")
        .start();
    for name in ["alice", "bobby", "carol", "david", "ellen"] {
        app.register(name);
    }
    let disable = app.program(&["user", "disable", "bobby@example.com"]);
    assert!({ disable }.output().unwrap().status.success());
    let set_hash = |name: &str, hash: &str| {
        app.database().execute(&format!(
            "UPDATE users SET hashed_password = '{hash}' WHERE email = '{name}@example.com'"
        ));
    };
    set_hash("carol", "!unusable");
    // Hashes of other programs, cheaper and more expensive.
    set_hash(
        "david",
        "pbkdf2_sha256$1000$salt$bm90IGEgZGlnZXN0IGJ1dCAzMiBieXRlcyBsb25nISE=",
    );
    set_hash(
        "ellen",
        "$2b$06$abcdefghijklmnopqrstuu7EJV7kdjBBQxyb0HjTh9KS7.Lah/6CG",
    );
    let unknown = grown_by_sign_in(&app, "nobody@example.com");
    let refused = r#"tokenhouse_sign_ins_total{result="refused",reason="credentials"}"#;
    assert_eq!(unknown.get(refused), Some(&1));
    let hashes = "tokenhouse_hash_duration_seconds_count";
    assert_eq!(unknown.get(hashes), Some(&1));
    for name in ["alice", "bobby", "carol", "david", "ellen"] {
        let grown = grown_by_sign_in(&app, &format!("{name}@example.com"));
        assert_eq!(grown, unknown, "{name}");
    }
    assert_eq!(grown_by_sign_in(&app, "no address"), unknown);
    // While the account is throttled, too.
    for _ in 0..12 {
        let both = ["alice@example.com", "nobody@example.com"];
        let [existing, unknown] = both.map(|name| grown_by_sign_in(&app, name));
        assert_eq!(existing, unknown);
    }
}

fn throttled_requests_are_counted(backend: Backend) {
    let app = TestApp::builder(backend)
        .setting("TOKENHOUSE_LIMITS", "on")
        .setting("TOKENHOUSE_LIMIT_ADDRESS", "1")
        .setting("TOKENHOUSE_LIMIT_REGISTRATIONS", "1")
        .start();
    app.register("alice");
    let before = Snapshot::take(&app);
    let guess = || {
        let form = [("username", "nobody@example.com"), ("password", "x")];
        app.post("/token").form(&form).send().status
    };
    let statuses = [guess(), guess(), guess()];
    let throttled = statuses.iter().filter(|status| **status == 429).count() as i64;
    assert!(throttled >= 1, "{statuses:?}");
    let form = json!({
        "name": "Bobby", "surname": "Example", "email": "b@example.com",
        "website": "https://example.com", "password": "mulberry-Tram-71",
    });
    assert_eq!(app.post("/register").json(&form).send().status, 429);
    Snapshot::take(&app).assert_growth(
        &before,
        &[
            (r#"tokenhouse_throttled_total{by="address"}"#, throttled),
            (r#"tokenhouse_throttled_total{by="registrations"}"#, 1),
        ],
    );
}

fn metrics_contain_no_client_input(backend: Backend) {
    let app = TestApp::start(backend);
    let alice = app.register("alice-in-person");
    let token = alice.sign_in();
    let key = app.create_key(&token, "").secret;
    for path in [
        "/a-secret-path",
        "/users/me?a-secret-path",
        "/users/me/keys/77123",
    ] {
        app.get(path)
            .bearer(&token)
            .header("X-Request-Id", "an-id-of-mine")
            .send();
        app.request("MADE-UP", path)
            .header("User-Agent", "an-agent-of-mine")
            .send();
    }
    assert_eq!(app.status("/users/me", &key), 200);
    let response = app.get("/metrics").header("Token", STATIC_KEY).send();
    assert_eq!(
        response.header("content-type").as_deref(),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    for secret in [
        "alice",
        "example.com",
        "a-secret",
        "77123",
        "MADE-UP",
        "of-mine",
        "127.0.0.1",
        alice.password.as_str(),
        token.as_str(),
        key.as_str(),
        STATIC_KEY,
    ] {
        assert!(!response.text().contains(secret), "{secret}");
    }
}

#[test]
fn metrics_require_the_static_key() {
    let app = TestApp::start(Backend::Sqlite);
    let root = app
        .register_with("root", crate::harness::OWN_SCOPES)
        .sign_in();
    let request = || app.get("/metrics");
    let statuses = [
        request().header("Token", STATIC_KEY).send().status,
        request().send().status,
        request().header("Token", "another").send().status,
        request().bearer(&root).send().status,
    ];
    assert_eq!(statuses, [200, 403, 403, 403]);
}

#[test]
fn separate_listener_serves_only_metrics() {
    let app = TestApp::start(Backend::Sqlite);
    let bind = format!("127.0.0.1:{}", free_port());
    let mut program = app.program(&["serve"]);
    program.env("TOKENHOUSE_METRICS_BIND", &bind);
    let (_process, server) = Running::serve(program.env_remove("API_KEY_TOKEN"));
    let metrics = Client::new(bind.parse().unwrap());
    let response = metrics.get("/metrics").send();
    assert_eq!(response.status, 200, "{response:?}");
    assert!(response.text().contains("tokenhouse_build_info{version="));
    for path in ["/users/me", "/readyz", "/docs", "/"] {
        assert_eq!(metrics.get(path).send().status, 404, "{path}");
    }
    assert_eq!(server.get("/metrics").send().status, 403);
}

/// All metrics by name, with their types.
fn metrics_with_types() -> BTreeMap<String, String> {
    let text = Metrics::default().encode(Gauges {
        hash_queue: 0,
        connections_used: 0,
        connections_max: 0,
    });
    let types = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    types
        .map(|(name, kind)| (name.to_owned(), kind.to_owned()))
        .collect()
}

/// The metric names in a text, without the suffixes of histogram series.
fn names_in(text: &str) -> BTreeSet<String> {
    let metrics = metrics_with_types();
    let is_name_character = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split(|c| !is_name_character(c))
        .filter(|word| word.starts_with("tokenhouse_"))
        .map(|word| {
            let parts = ["_bucket", "_sum", "_count"];
            let base = parts.iter().find_map(|part| word.strip_suffix(part));
            base.filter(|base| metrics.get(*base).is_some_and(|kind| kind == "histogram"))
                .unwrap_or(word)
                .to_owned()
        })
        .collect()
}

fn file(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

fn metric_names() -> BTreeSet<String> {
    metrics_with_types().into_keys().collect()
}

#[test]
fn documentation_lists_exactly_the_metrics() {
    let document = file("docs/operating.md");
    let table = document.split("\n## Metrics\n").nth(1).unwrap();
    let table = table.split("\n## ").next().unwrap();
    assert_eq!(names_in(table), metric_names());
}

#[test]
fn served_metrics_are_exactly_the_listed_ones() {
    let app = TestApp::start(Backend::Sqlite);
    app.register("alice").sign_in();
    let response = app.get("/metrics").header("Token", STATIC_KEY).send();
    assert_eq!(names_in(response.text()), metric_names());
}

#[test]
fn dashboard_and_alerts_use_listed_metrics() {
    let dashboard = file("deploy/grafana/dashboard.json");
    serde_json::from_str::<serde_json::Value>(&dashboard).unwrap();
    assert_eq!(names_in(&dashboard), metric_names());
    let alerts = file("deploy/prometheus/alerts.yaml");
    let names = names_in(&alerts);
    assert!(
        names.len() > 5 && names.is_subset(&metric_names()),
        "{names:?}"
    );
}
