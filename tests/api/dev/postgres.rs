//! `tokenhouse dev` on Postgres: schemas of its own, which it removes.

use serde_json::json;

use super::{Dev, refused, seed_file};
use crate::harness::{Backend, ScratchDir, TestDatabase, wait_until};

const SCHEMAS: &str = "SELECT nspname::text AS text FROM pg_namespace \
     WHERE nspname LIKE 'tokenhouse\\_test\\_%' ORDER BY nspname";

#[test]
fn postgres_database_gets_a_schema_that_is_removed_at_the_end() {
    let database = TestDatabase::create(Backend::Postgres);
    let users = "SELECT email AS text FROM public.users";
    let before = database.texts(users);
    let folder = ScratchDir::new("dev");
    let seed = json!({ "users": [{ "email": "ada@example.com", "scopes": "orders:read" }] });
    let file = seed_file(&folder, &seed);
    let arguments = [
        "--database",
        &database.url(),
        "--seed",
        &file.to_string_lossy(),
    ];
    let dev = Dev::start(&arguments);
    let other = Dev::start(&arguments);
    assert_eq!(database.texts(SCHEMAS).len(), 2);
    assert!(dev.text("database").starts_with("postgres://"));

    let token = dev.sign_in("ada@example.com");
    assert_eq!((dev.status(&token), other.status(&token)), (200, 401));
    dev.create("bob@example.com");
    dev.command("/_dev/clock", &json!({ "advance": 60 }));
    dev.command("/_dev/reset", &json!({}));
    assert_eq!(dev.status(&token), 401);
    let gone = dev.control("/_dev/sign-in", &json!({ "email": "bob@example.com" }));
    assert_eq!(gone.status, 404);
    assert_eq!(dev.status(&dev.sign_in("ada@example.com")), 200);
    wait_until("the old schema is removed", || {
        database.texts(SCHEMAS).len() == 2
    });
    assert_eq!(database.texts(users), before, "other schemas are unchanged");

    dev.end();
    assert_eq!(database.texts(SCHEMAS).len(), 1);
    assert_eq!(other.status(&other.sign_in("ada@example.com")), 200);
}

#[test]
fn schemas_of_a_killed_server_are_removed_by_the_next_one() {
    let database = TestDatabase::create(Backend::Postgres);
    let mut killed = Dev::start(&["--database", &database.url()]);
    let left = database.texts(SCHEMAS);
    killed.process.kill().unwrap();
    killed.process.wait().unwrap();
    assert_eq!(database.texts(SCHEMAS), left);
    // Postgres notices a moment later that the connection with the lock is gone.
    wait_until("the schema is removed", || {
        let next = Dev::start(&["--database", &database.url()]);
        next.end();
        database.texts(SCHEMAS).is_empty()
    });
}

#[test]
fn wrong_databases_are_refused_without_secrets() {
    let (code, error) = refused(&["--database", "postgres://ada:secret@127.0.0.1:1/none"]);
    assert_eq!(code, Some(1), "{error}");
    assert!(!error.contains("secret"), "{error}");
    let (code, error) = refused(&["--database", "sqlite://users.db"]);
    assert_eq!(code, Some(2), "{error}");
}
