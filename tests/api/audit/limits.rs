//! Limits of the trail: rows and pages have a maximum size, and floods of refusals are summed up.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use serde_json::{Value, json};

use super::{Auditor, administrator, page};
use crate::harness::{Backend, Log, Running, StopOnDrop, TestApp, concurrently, on_both_databases};

on_both_databases!(
    invalid_scopes_are_not_echoed_or_stored,
    requests_cannot_create_long_rows,
    pages_are_limited_in_bytes,
    concurrent_pages_use_little_memory,
    flood_of_refusals_is_counted,
    anonymous_refusals_do_not_hide_refusals_of_users,
);

/// The longest possible row: two scope lists of maximum length, plus the other columns.
const MAX_ROW_BYTES: usize = 6_000;

/// Row length written by versions without a limit.
const OLD_ROW_BYTES: usize = 189_000;

const TEXTS: &str = "actor || credential || level || action || target || result || ip || \
     user_agent || request_id || detail || previous_digest || digest";

/// The rows after this event, each as one text.
fn rows_after(app: &TestApp, id: i64) -> Vec<String> {
    let query = format!("SELECT {TEXTS} AS text FROM audit_events WHERE id > {id} ORDER BY id");
    app.database().texts(&query)
}

fn invalid_scopes_are_not_echoed_or_stored(backend: Backend) {
    let app = TestApp::start(backend);
    let token = app.register("alice").sign_in();
    let challenge = r#"Bearer realm="tokenhouse", error="insufficient_scope""#;
    let many: Vec<String> = (0..10_000).map(|number| number.to_string()).collect();
    for scope in [
        "%FF".repeat(20_000),
        "x".repeat(60_000),
        "x".repeat(2_001),
        many.join("+"),
        format!("a+{}", "b".repeat(2_000)),
        "a+%22b".to_owned(),
    ] {
        let last = app.database().count("audit_events");
        let response = app
            .get(&format!("/verify?scope={scope}"))
            .bearer(&token)
            .send();
        assert_eq!(response.status, 403);
        let header = response.header("www-authenticate");
        assert_eq!(header.as_deref(), Some(challenge));
        let [row] = &rows_after(&app, last)[..] else {
            panic!("one row for {} bytes", scope.len());
        };
        assert!(row.len() < 500, "{row}");
        assert!(row.contains("(not a scope)"), "{row}");
    }
    // The longest valid scope name.
    let longest = "x".repeat(2_000);
    let last = app.database().count("audit_events");
    let response = app
        .get(&format!("/verify?scope={longest}"))
        .bearer(&token)
        .send();
    let header = response.header("www-authenticate").unwrap();
    assert!(header.contains(&longest) && header.len() < 2_500);
    assert!(rows_after(&app, last)[0].len() < 3_000);
}

fn requests_cannot_create_long_rows(backend: Backend) {
    let app = TestApp::start(backend);
    let admin = administrator(&app);
    let alice = app.register("alice");
    let token = alice.sign_in();
    let (long, wide) = ("x".repeat(15_000), "\u{1f980}".repeat(3_000));
    let names = (0..20).map(|number| format!("a{number:098}"));
    let names: Vec<String> = names.collect();
    for text in [&long, &wide] {
        let form = [("username", text.as_str()), ("password", text)];
        app.post("/token").form(&form).send();
        let form = [
            ("username", alice.email.as_str()),
            ("password", &alice.password),
            ("scope", text),
        ];
        app.post("/token").form(&form).send();
        let name = json!({"name": &text[..12_000], "scopes": "", "surname": text});
        app.post("/users/me/keys").bearer(&token).json(&name).send();
        app.request("PATCH", "/users/me")
            .bearer(&token)
            .json(&json!({"surname": &text[..12_000]}))
            .send();
        app.post("/register").json(&name).send();
        for path in ["/verify?scope=a", "/admin/users", "/admin/events?actor=x"] {
            let request = app.get(path).bearer(&token);
            let request = request.header("User-Agent", text);
            request.header("X-Request-Id", text).send();
        }
        app.get(&format!("/admin/events?action={}", &long[..10_000]))
            .bearer(&admin)
            .send();
    }
    for new in [&names[..19], &names[19..]] {
        let new = new.iter().map(String::as_str);
        let arguments: Vec<&str> = ["user", "grant", &alice.email]
            .into_iter()
            .chain(new)
            .collect();
        let output = super::program(&app, &arguments, "");
        assert!(output.status.success(), "{output:?}");
    }
    let rows = rows_after(&app, 0);
    assert!(rows.len() > 15, "{}", rows.len());
    let longest = rows.iter().map(String::len).max().unwrap();
    assert!((4_000..MAX_ROW_BYTES).contains(&longest), "{longest}");
    // Long values are stored in full.
    let (events, _) = page(&app, &admin, "/admin/events?action=user.scopes&limit=1");
    let detail = &events[0]["detail"];
    assert_eq!(detail["before"], names[..19].join(" "));
    assert_eq!(detail["after"], names.join(" "));
}

/// Inserts long audit rows of user 1.
fn insert_long_rows(app: &TestApp, backend: Backend, count: usize) {
    let long = match backend {
        Backend::Sqlite => format!("hex(zeroblob({}))", OLD_ROW_BYTES / 2),
        Backend::Postgres => format!("repeat('0', {OLD_ROW_BYTES})"),
    };
    app.database().execute(&format!(
        "INSERT INTO audit_events (id, at, actor, credential, level, action,
         target, result, ip, user_agent, request_id, detail, previous_digest, digest)
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
         SELECT 1000 + i, '2026-01-01 00:00:00', 'user:1', '', {long}, 'scope.refused', '',
         'refused', '', '', '', '', '', '' FROM n"
    ));
}

fn pages_are_limited_in_bytes(backend: Backend) {
    let app = TestApp::start(backend);
    let token = app.register_with("alice", "events:read").sign_in();
    for _ in 0..20 {
        app.get("/verify?scope=a").bearer(&token).send();
    }
    insert_long_rows(&app, backend, 10);
    for first in ["/users/me/events?limit=500", "/admin/events?limit=500"] {
        let (mut seen, mut pages) = (Vec::new(), 0);
        let mut next = Some(first.to_owned());
        while let Some(path) = next {
            let response = app.get(&path).bearer(&token).send();
            assert!(response.body.len() < 600_000, "{}", response.body.len());
            let body = response.json();
            let events = body["events"].as_array().unwrap();
            assert!(!events.is_empty());
            seen.extend(events.iter().map(|event| event["id"].as_i64().unwrap()));
            pages += 1;
            next = body["next"].as_str().map(str::to_owned);
        }
        assert!(seen.is_sorted_by(|one, two| one > two), "{seen:?}");
        let rows = app.database().count("audit_events");
        let missing = rows - seen.len() as i64;
        // The user's own page omits the row that created the user; each page adds an event.
        assert!((0..=pages + 1).contains(&missing), "{missing} in {pages}");
        assert!(pages >= 10, "{pages}");
    }
    // The command line exports all of it too, in small batches.
    let exported = super::program(&app, &["audit", "export"], "");
    let lines = String::from_utf8(exported.stdout).unwrap().lines().count();
    assert_eq!(lines as i64, app.database().count("audit_events"));
}

fn concurrent_pages_use_little_memory(backend: Backend) {
    let app = TestApp::start(backend);
    let token = app.register("alice").sign_in();
    insert_long_rows(&app, backend, 300);
    let (process, server) = app.spawn_server();
    let fetch_page = || {
        let response = server.get("/users/me/events?limit=500").bearer(&token);
        response.send().status
    };
    assert_eq!(fetch_page(), 200);
    let before = process.memory();
    let (is_done, peak) = (AtomicBool::new(false), AtomicU64::new(0));
    let statuses = thread::scope(|scope| {
        let _stop = StopOnDrop(&is_done);
        scope.spawn(|| {
            while !is_done.load(Ordering::Relaxed) {
                peak.fetch_max(process.memory(), Ordering::Relaxed);
                thread::sleep(std::time::Duration::from_millis(2));
            }
        });
        concurrently(32, 128, |_| fetch_page())
    });
    // A busy machine may reject some requests.
    assert!(statuses.iter().all(|status| [200, 503].contains(status)));
    assert!(statuses.iter().filter(|status| **status == 200).count() >= 32);
    let growth = peak.into_inner().saturating_sub(before);
    assert!(growth < 64 << 20, "{} MiB", growth >> 20);
}

const CLIENTS: usize = 4;
const REQUESTS_PER_CLIENT: usize = 2_000;

/// Rows that one process writes per minute at most: individual rows, and one summary.
const MAX_ROWS_PER_MINUTE: i64 = 20 + 1;

fn flood_of_refusals_is_counted(backend: Backend) {
    let app = TestApp::start(backend);
    app.register("alice");
    let (process, server) = app.spawn_server();
    let started = std::time::Instant::now();
    // For other responses it is unknown whether the refusal was counted.
    let (refused, unknown) = (AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut connection = server.connect().unwrap();
                let fields = [("username", "alice@example.com"), ("password", "wrong")];
                let request = server.post("/token").form(&fields);
                for _ in 0..REQUESTS_PER_CLIENT {
                    match connection.send(&request) {
                        Ok(response) if response.status == 401 => {
                            refused.fetch_add(1, Ordering::Relaxed);
                        }
                        // On a busy machine the database times out, or the service closes an idle
                        // connection.
                        Ok(response) => {
                            assert_eq!(response.status, 503);
                            unknown.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(_cut) => {
                            unknown.fetch_add(1, Ordering::Relaxed);
                            connection = server.connect().unwrap();
                        }
                    }
                }
            });
        }
    });
    let minutes = 1 + i64::try_from(started.elapsed().as_secs() / 60).unwrap();
    // The process writes the remaining counts on shutdown.
    process.signal("TERM");
    process.wait();
    let query =
        "SELECT detail AS text FROM audit_events WHERE action = 'login' AND result = 'refused'";
    let rows = app.database().texts(query);
    let counted: u64 = rows
        .iter()
        .map(|detail| {
            let detail: Value = serde_json::from_str(detail).unwrap();
            detail["count"].as_u64().unwrap_or(1)
        })
        .sum();
    let (refused, unknown) = (refused.into_inner(), unknown.into_inner());
    assert!(unknown < 100, "{unknown} requests were not refused");
    assert!(
        (refused..=refused + unknown).contains(&counted),
        "{counted} of {refused} and {unknown}"
    );
    let written = i64::try_from(rows.len()).unwrap();
    assert!(
        written <= (minutes + 1) * MAX_ROWS_PER_MINUTE,
        "{written} rows in {minutes} minutes"
    );
    assert_eq!(Auditor::new(&app, None).problems(), [""; 0]);
    println!(
        "{backend:?}: {counted} refusals in {written} rows, {:?}",
        started.elapsed()
    );
}

fn anonymous_refusals_do_not_hide_refusals_of_users(backend: Backend) {
    let app = TestApp::start(backend);
    let (alice, mallory) = (app.register("alice"), app.register("mallory"));
    let token = mallory.sign_in();
    let mut log = Log::new();
    let mut command = app.program(&["serve"]);
    let (process, server) = Running::serve(command.stderr(log.writer()));
    let guess = |from: [u8; 4], name: &str| {
        let form = [("username", name), ("password", "a wrong password")];
        let response = server.from(from).post("/token").form(&form).send();
        assert_eq!(response.status, 401);
    };
    for number in 0..1_000 {
        guess([127, 0, 0, 9], &format!("unknown{number}@example.com"));
    }
    let other = [127, 0, 0, 66];
    for _ in 0..5 {
        guess(other, &alice.email);
        let denied = server.from(other).get("/admin/users").bearer(&token);
        assert_eq!(denied.send().status, 403);
    }
    let count_from_other = |condition: &str| {
        let rows = format!("audit_events WHERE ip = '127.0.0.66' AND {condition}");
        app.database().count(&rows)
    };
    assert_eq!(
        count_from_other("action = 'login' AND target = 'user:1'"),
        5
    );
    assert_eq!(
        count_from_other("action = 'scope.refused' AND actor = 'user:2'"),
        5
    );
    let log_line = format!("refused sign-in from {}", "127.0.0.66");
    let written = String::from_utf8(log.bytes()).unwrap();
    assert_eq!(written.matches(&log_line).count(), 5);

    // Beyond the individual rows, refusals are summed up by actor and target.
    for _ in 0..60 {
        guess(other, &alice.email);
        let denied = server.from(other).get("/admin/users").bearer(&token);
        assert_eq!(denied.send().status, 403);
    }
    process.signal("TERM");
    process.wait();
    let counted = |condition: &str| -> u64 {
        let query = format!(
            "SELECT detail AS text FROM audit_events WHERE ip = '127.0.0.66' AND {condition}"
        );
        let details = app.database().texts(&query);
        let counts = details.iter().map(|detail| {
            let detail: Value = serde_json::from_str(detail).unwrap_or_default();
            detail["count"].as_u64().unwrap_or(1)
        });
        counts.sum()
    };
    assert_eq!(counted("action = 'login' AND target = 'user:1'"), 65);
    assert_eq!(counted("action = 'scope.refused' AND actor = 'user:2'"), 65);
    let (events, _) = super::page(&app, &alice.sign_in(), "/users/me/events");
    assert!(events.iter().any(|event| event["detail"]["count"].is_u64()));
    // The trail records that rows were suppressed.
    let suppressed = "audit_events WHERE action = 'audit.suppressed' AND actor = 'service'";
    assert!(app.database().count(suppressed) >= 1);
    assert_eq!(Auditor::new(&app, None).problems(), [""; 0]);
}
