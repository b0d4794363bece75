//! Users with hashes of other programs: they can sign in, their hashes are migrated, and refusals
//! take as long as with the most expensive stored hash.
//!
//! The timing test compares the fastest of a few samples with wide margins: `scripts/timing.py`
//! measures precisely.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::harness::{Backend, Client, Response, TestApp, on_both_databases, wait_until};

on_both_databases!(
    sign_in_migrates_foreign_hashes,
    password_longer_than_72_bytes_keeps_its_hash,
    refusals_are_identical_for_every_hash_format,
    refusals_take_as_long_as_the_most_expensive_stored_hash,
    hash_classes_are_found_by_an_index,
);

#[derive(Deserialize)]
struct Vector {
    maker: String,
    password_b64: String,
    hash: String,
    matches: bool,
}

impl Vector {
    fn password(&self) -> String {
        String::from_utf8(STANDARD.decode(&self.password_b64).unwrap()).unwrap()
    }
}

fn vectors() -> Vec<Vector> {
    serde_json::from_str(include_str!(
        "../../crates/passlib/tests/data/other_formats.json"
    ))
    .unwrap()
}

/// Inserts a user with this hash.
fn insert_user(app: &TestApp, name: &str, hash: &str) {
    app.database().execute(&format!(
        "INSERT INTO users (name, surname, email, email_key, website, hashed_password, created_at)
         VALUES ('{name}', '', '{name}@example.com', '{name}@example.com', '', '{hash}',
                 '2026-01-01 00:00:00')"
    ));
}

fn sign_in(app: &TestApp, name: &str, password: &str) -> Response {
    let name = format!("{name}@example.com");
    let fields = [("username", name.as_str()), ("password", password)];
    app.post("/token").form(&fields).send()
}

fn has_native_hash(app: &TestApp, name: &str) -> bool {
    let rows = format!("users WHERE name = '{name}' AND hashed_password LIKE '$2b$04$%'");
    app.database().count(&rows) == 1
}

fn sign_in_migrates_foreign_hashes(backend: Backend) {
    let app = TestApp::start(backend);
    let mut formats = Vec::new();
    for vector in vectors() {
        if formats.contains(&vector.maker) || vector.maker.ends_with("at full cost") {
            continue;
        }
        let (name, password) = (format!("user{}", formats.len()), vector.password());
        assert!(vector.matches, "the first vector of each format matches");
        insert_user(&app, &name, &vector.hash);
        assert_eq!(sign_in(&app, &name, "another").status, 401);
        assert!(!has_native_hash(&app, &name), "{}", vector.maker);
        assert_eq!(
            sign_in(&app, &name, &password).status,
            200,
            "{}",
            vector.maker
        );
        assert!(has_native_hash(&app, &name), "{}", vector.maker);
        assert_eq!(
            sign_in(&app, &name, &password).status,
            200,
            "{}",
            vector.maker
        );
        assert_eq!(sign_in(&app, &name, "another").status, 401);
        formats.push(vector.maker);
    }
    assert_eq!(formats.len(), 8);
}

fn password_longer_than_72_bytes_keeps_its_hash(backend: Backend) {
    let app = TestApp::start(backend);
    let is_long = |vector: &Vector| vector.maker == "django argon2" && vector.password().len() > 72;
    let vector = vectors()
        .into_iter()
        .find(|vector| is_long(vector) && vector.matches);
    let vector = vector.unwrap();
    insert_user(&app, "alice", &vector.hash);
    let password = vector.password();
    assert_eq!(sign_in(&app, "alice", &password).status, 200);
    assert!(!has_native_hash(&app, "alice"));
    let same_start = format!("{}?", &password[..72]);
    assert_eq!(sign_in(&app, "alice", &same_start).status, 401);
}

fn refusals_are_identical_for_every_hash_format(backend: Backend) {
    let app = TestApp::start(backend);
    let refusal = |name: &str| {
        let mut response = sign_in(&app, name, "wrong");
        let varying = ["date", "x-request-id"];
        response
            .headers
            .retain(|(header, _)| !varying.contains(&header.to_lowercase().as_str()));
        // Header order is not significant.
        response.headers.sort();
        (response.status, response.headers, response.body)
    };
    let unknown = refusal("nobody");
    assert_eq!(unknown.0, 401);
    let too_costly = "$argon2id$v=19$m=4194304,t=1,p=4$c29tZXNhbHQ$cmFuZG9tcmFuZG9t";
    let hashes = ["sha1$salt$digest", "bcrypt$broken", too_costly];
    let vectors = vectors().into_iter().map(|vector| vector.hash).step_by(18);
    let hashes = hashes.map(str::to_owned).into_iter().chain(vectors);
    for (number, hash) in hashes.enumerate() {
        let name = format!("user{number}");
        insert_user(&app, &name, &hash);
        assert_eq!(refusal(&name), unknown, "{hash}");
    }
}

const SAMPLES: usize = 7;

/// How long a sign-in with a wrong password takes for this name on an idle server.
fn refusal_time(client: &Client, name: &str) -> Duration {
    let email = format!("{name}@example.com");
    let fields = [("username", email.as_str()), ("password", "wrong")];
    let times = [(); SAMPLES].map(|()| {
        let started = Instant::now();
        assert_eq!(client.post("/token").form(&fields).send().status, 401);
        started.elapsed()
    });
    times.into_iter().min().unwrap()
}

fn refusals_take_as_long_as_the_most_expensive_stored_hash(backend: Backend) {
    let app = TestApp::start(backend);
    let second = app.sibling().start();
    app.register("alice");
    let cheap = refusal_time(&app, "nobody");
    let pbkdf2 = "pbkdf2_sha256$10000$salt$Eg+2z/z4syxD5yJSVsT4N6hlSMksz1w4VUxMGzwZr0M=";
    let bcrypt = tokenhouse::password::hash_password(b"pencil-case", 9.try_into().unwrap());
    let argon2id = "$argon2id$v=19$m=16384,t=2,p=4$c29tZXNhbHQ$\
                    aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g";
    for (kind, hash) in [
        ("bcrypt", bcrypt.unwrap().as_str()),
        ("pbkdf", pbkdf2),
        ("argon", argon2id),
    ] {
        insert_user(&app, kind, hash);
        for server in [&app, &second] {
            for name in ["nobody", "alice", kind] {
                // Measured again each time: other load disturbs any single measurement.
                wait_until("refusals take longer", || {
                    refusal_time(server, name) > refusal_time(server, kind) / 3
                });
            }
        }
        if kind == "bcrypt" {
            // A sign-in replaces it with a hash of this server's cost.
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
        for server in [&app, &second] {
            wait_until("refusals are fast again", || {
                refusal_time(server, "nobody") < cheap * 5
            });
        }
    }
}

fn hash_classes_are_found_by_an_index(backend: Backend) {
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
