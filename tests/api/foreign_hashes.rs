//! Users whose hashes other programs have made: they sign in, and have a hash of ours afterwards.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::harness::{Backend, Response, TestApp, on_both_databases};

on_both_databases!(
    a_hash_of_any_maker_becomes_one_of_ours_at_the_sign_in,
    a_password_that_bcrypt_would_cut_off_keeps_its_hash,
    refusals_look_alike_whatever_the_hash,
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

/// Makes a user with this hash.
fn insert(app: &TestApp, name: &str, hash: &str) {
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

fn has_hash_of_ours(app: &TestApp, name: &str) -> bool {
    let rows = format!("users WHERE name = '{name}' AND hashed_password LIKE '$2b$04$%'");
    app.database().count(&rows) == 1
}

fn a_hash_of_any_maker_becomes_one_of_ours_at_the_sign_in(backend: Backend) {
    let app = TestApp::start(backend);
    let mut makers = Vec::new();
    for vector in vectors() {
        if makers.contains(&vector.maker) || vector.maker.ends_with("at full cost") {
            continue;
        }
        let (name, password) = (format!("user{}", makers.len()), vector.password());
        assert!(vector.matches, "the first vector of each maker matches");
        insert(&app, &name, &vector.hash);
        assert_eq!(sign_in(&app, &name, "another").status, 401);
        assert!(!has_hash_of_ours(&app, &name), "{}", vector.maker);
        assert_eq!(
            sign_in(&app, &name, &password).status,
            200,
            "{}",
            vector.maker
        );
        assert!(has_hash_of_ours(&app, &name), "{}", vector.maker);
        assert_eq!(
            sign_in(&app, &name, &password).status,
            200,
            "{}",
            vector.maker
        );
        assert_eq!(sign_in(&app, &name, "another").status, 401);
        makers.push(vector.maker);
    }
    assert_eq!(makers.len(), 8);
}

fn a_password_that_bcrypt_would_cut_off_keeps_its_hash(backend: Backend) {
    let app = TestApp::start(backend);
    let is_long = |vector: &Vector| vector.maker == "django argon2" && vector.password().len() > 72;
    let vector = vectors()
        .into_iter()
        .find(|vector| is_long(vector) && vector.matches);
    let vector = vector.unwrap();
    insert(&app, "alice", &vector.hash);
    let password = vector.password();
    assert_eq!(sign_in(&app, "alice", &password).status, 200);
    assert!(!has_hash_of_ours(&app, "alice"));
    let same_start = format!("{}?", &password[..72]);
    assert_eq!(sign_in(&app, "alice", &same_start).status, 401);
}

fn refusals_look_alike_whatever_the_hash(backend: Backend) {
    let app = TestApp::start(backend);
    let told = |name: &str| {
        let mut answer = sign_in(&app, name, "wrong");
        let own = ["date", "x-request-id"];
        answer
            .headers
            .retain(|(header, _)| !own.contains(&header.to_lowercase().as_str()));
        // The order of headers is as it comes.
        answer.headers.sort();
        (answer.status, answer.headers, answer.body)
    };
    let unknown = told("nobody");
    assert_eq!(unknown.0, 401);
    let too_costly = "$argon2id$v=19$m=4194304,t=1,p=4$c29tZXNhbHQ$cmFuZG9tcmFuZG9t";
    let hashes = ["sha1$salt$digest", "bcrypt$broken", too_costly];
    let of_makers = vectors().into_iter().map(|vector| vector.hash).step_by(18);
    let hashes = hashes.map(str::to_owned).into_iter().chain(of_makers);
    for (number, hash) in hashes.enumerate() {
        let name = format!("user{number}");
        insert(&app, &name, &hash);
        assert_eq!(told(&name), unknown, "{hash}");
    }
}
