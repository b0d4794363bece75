//! Whatever a client sends, a row of the trail stays short, and so does a page of rows.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use serde_json::json;

use super::{administrator, page};
use crate::harness::{Backend, TestApp, concurrently, on_both_databases};

on_both_databases!(
    what_is_no_scope_is_repeated_nowhere,
    no_request_makes_a_long_row,
    pages_are_bounded_in_bytes,
    many_pages_at_once_take_little_memory,
);

/// The longest row, in bytes: two lists of scopes as long as they may be, and the rest.
const MAX_ROW: usize = 6_000;

/// The length of rows that versions before the bound have written.
const OLD_ROW: usize = 189_000;

const TEXTS: &str = "actor || credential || level || action || target || result || ip || \
     user_agent || request_id || detail || previous_digest || digest";

/// The rows after this event: all texts of each in one.
fn rows_after(app: &TestApp, id: i64) -> Vec<String> {
    let query = format!("SELECT {TEXTS} AS text FROM audit_events WHERE id > {id} ORDER BY id");
    app.database().texts(&query)
}

fn what_is_no_scope_is_repeated_nowhere(backend: Backend) {
    let app = TestApp::start(backend);
    let token = app.register("alice").sign_in();
    let challenge = r#"Bearer realm="tokenhouse", error="insufficient_scope""#;
    let many: Vec<String> = (0..10_000).map(|number| number.to_string()).collect();
    for wanted in [
        "%FF".repeat(20_000),
        "x".repeat(60_000),
        "x".repeat(2_001),
        many.join("+"),
        format!("a+{}", "b".repeat(2_000)),
        "a+%22b".to_owned(),
    ] {
        let last = app.database().count("audit_events");
        let answer = app
            .get(&format!("/verify?scope={wanted}"))
            .bearer(&token)
            .send();
        assert_eq!(answer.status, 403);
        let header = answer.header("www-authenticate");
        assert_eq!(header.as_deref(), Some(challenge));
        let [row] = &rows_after(&app, last)[..] else {
            panic!("one row for {} bytes", wanted.len());
        };
        assert!(row.len() < 500, "{row}");
        assert!(row.contains("(not a scope)"), "{row}");
    }
    // The longest name that there is.
    let longest = "x".repeat(2_000);
    let last = app.database().count("audit_events");
    let answer = app
        .get(&format!("/verify?scope={longest}"))
        .bearer(&token)
        .send();
    let header = answer.header("www-authenticate").unwrap();
    assert!(header.contains(&longest) && header.len() < 2_500);
    assert!(rows_after(&app, last)[0].len() < 3_000);
}

fn no_request_makes_a_long_row(backend: Backend) {
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
    assert!((4_000..MAX_ROW).contains(&longest), "{longest}");
    // And what is long is there whole.
    let (events, _) = page(&app, &admin, "/admin/events?action=user.scopes&limit=1");
    let detail = &events[0]["detail"];
    assert_eq!(detail["before"], names[..19].join(" "));
    assert_eq!(detail["after"], names.join(" "));
}

/// Puts long rows of this user into the trail.
fn insert_long_rows(app: &TestApp, backend: Backend, count: usize) {
    let long = match backend {
        Backend::Sqlite => format!("hex(zeroblob({}))", OLD_ROW / 2),
        Backend::Postgres => format!("repeat('0', {OLD_ROW})"),
    };
    app.database().execute(&format!(
        "INSERT INTO audit_events (id, at, actor, credential, level, action,
         target, result, ip, user_agent, request_id, detail, previous_digest, digest)
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
         SELECT 1000 + i, '2026-01-01 00:00:00', 'user:1', '', {long}, 'scope.refused', '',
         'refused', '', '', '', '', '', '' FROM n"
    ));
}

fn pages_are_bounded_in_bytes(backend: Backend) {
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
            let answer = app.get(&path).bearer(&token).send();
            assert!(answer.body.len() < 600_000, "{}", answer.body.len());
            let body = answer.json();
            let events = body["events"].as_array().unwrap();
            assert!(!events.is_empty());
            seen.extend(events.iter().map(|event| event["id"].as_i64().unwrap()));
            pages += 1;
            next = body["next"].as_str().map(str::to_owned);
        }
        assert!(seen.is_sorted_by(|one, two| one > two), "{seen:?}");
        let rows = app.database().count("audit_events");
        let missing = rows - seen.len() as i64;
        // By and on the user is all but what made the user; and each page is an event later.
        assert!((0..=pages + 1).contains(&missing), "{missing} in {pages}");
        assert!(pages >= 10, "{pages}");
    }
    // The command line reads all of it too, a little at a time.
    let exported = super::program(&app, &["audit", "export"], "");
    let lines = String::from_utf8(exported.stdout).unwrap().lines().count();
    assert_eq!(lines as i64, app.database().count("audit_events"));
}

fn many_pages_at_once_take_little_memory(backend: Backend) {
    let app = TestApp::start(backend);
    let token = app.register("alice").sign_in();
    insert_long_rows(&app, backend, 300);
    let (process, server) = app.spawn_server();
    let ask = || {
        let answer = server.get("/users/me/events?limit=500").bearer(&token);
        answer.send().status
    };
    assert_eq!(ask(), 200);
    let before = process.memory();
    let (is_over, most) = (AtomicBool::new(false), AtomicU64::new(0));
    let statuses = thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                most.fetch_max(process.memory(), Ordering::Relaxed);
                thread::sleep(std::time::Duration::from_millis(2));
            }
        });
        let statuses = concurrently(32, 128, |_| ask());
        is_over.store(true, Ordering::Relaxed);
        statuses
    });
    // A machine that is busy may be too slow for some.
    assert!(statuses.iter().all(|status| [200, 503].contains(status)));
    assert!(statuses.iter().filter(|status| **status == 200).count() >= 32);
    let more = most.into_inner().saturating_sub(before);
    assert!(more < 64 << 20, "{} MiB", more >> 20);
}
