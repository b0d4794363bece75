//! Refusals take as long as those by the dearest hash that is stored, and no longer than that.
//!
//! The fastest of a few samples, with wide margins: `scripts/timing.py` measures it well.

use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{Backend, Client, TestApp, on_both_databases};

on_both_databases!(
    a_dear_hash_makes_all_refusals_as_dear_until_it_is_renewed,
    the_classes_of_hashes_are_found_by_an_index,
);

const SAMPLES: usize = 7;

/// A process looks for hashes every two seconds, and measures what it has found.
const KNOWN_WITHIN: Duration = Duration::from_secs(30);

fn insert(app: &TestApp, name: &str, hash: &str) {
    app.database().execute(&format!(
        "INSERT INTO users (name, surname, email, email_key, website, hashed_password, created_at)
         VALUES ('{name}', '', '{name}@example.com', '{name}@example.com', '', '{hash}',
                 '2026-01-01 00:00:00')"
    ));
}

/// What a refusal of this name takes when nothing else holds it up.
fn refusal(client: &Client, name: &str) -> Duration {
    let email = format!("{name}@example.com");
    let fields = [("username", email.as_str()), ("password", "wrong")];
    let times = [(); SAMPLES].map(|()| {
        let asked = Instant::now();
        assert_eq!(client.post("/token").form(&fields).send().status, 401);
        asked.elapsed()
    });
    times.into_iter().min().unwrap()
}

/// Waits until it is so. Measured anew each time: what else runs here disturbs any single measurement.
fn wait_until(is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < KNOWN_WITHIN, "refusals do not change");
        thread::sleep(Duration::from_millis(200));
    }
}

fn a_dear_hash_makes_all_refusals_as_dear_until_it_is_renewed(backend: Backend) {
    let app = TestApp::start(backend);
    let beside = app.sibling().start();
    app.register("alice");
    let cheap = refusal(&app, "nobody");
    let pbkdf2 = "pbkdf2_sha256$10000$salt$Eg+2z/z4syxD5yJSVsT4N6hlSMksz1w4VUxMGzwZr0M=";
    let bcrypt = tokenhouse::password::hash_password(b"pencil-case", 9.try_into().unwrap());
    let argon2id = "$argon2id$v=19$m=16384,t=2,p=4$c29tZXNhbHQ$\
                    aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g";
    for (kind, hash) in [
        ("bcrypt", bcrypt.unwrap().as_str()),
        ("pbkdf", pbkdf2),
        ("argon", argon2id),
    ] {
        insert(&app, kind, hash);
        for server in [&app, &beside] {
            for name in ["nobody", "alice", kind] {
                wait_until(|| refusal(server, name) > refusal(server, kind) / 3);
            }
        }
        if kind == "bcrypt" {
            // With the right password it becomes a hash of this server's own cost.
            let fields = [
                ("username", "bcrypt@example.com"),
                ("password", "pencil-case"),
            ];
            assert_eq!(app.post("/token").form(&fields).send().status, 200);
        } else {
            let email = format!("{kind}@example.com");
            app.database()
                .execute(&format!("DELETE FROM users WHERE email = '{email}'"));
        }
        for server in [&app, &beside] {
            wait_until(|| refusal(server, "nobody") < cheap * 5);
        }
    }
}

fn the_classes_of_hashes_are_found_by_an_index(backend: Backend) {
    let app = TestApp::start(backend);
    let collation = match backend {
        Backend::Sqlite => "",
        Backend::Postgres => r#" COLLATE "C""#,
    };
    let query = format!(
        "SELECT class FROM (SELECT (CASE substr(hashed_password, 1, 2) \
         WHEN '$2' THEN substr(hashed_password, 1, 7) \
         ELSE substr(hashed_password, 1, 44) END){collation} AS class FROM users) AS classes \
         WHERE class >= '$2' AND class < '$3' ORDER BY class LIMIT 1"
    );
    let plan = app.database().plan(&query).join("\n");
    assert!(plan.contains("users_hash_class"), "{plan}");
    assert!(!plan.contains("Sort") && !plan.contains("TEMP"), "{plan}");
}
