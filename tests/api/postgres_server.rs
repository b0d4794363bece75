//! A Postgres server that restarts, closes connections, or has settings of its own.

use std::process::{Command, Output};
use std::thread;
use std::time::Duration;

use serde_json::json;
use test_support::PostgresServer;

use crate::harness::{self, Client, Running, concurrently};

/// Probes after each outage.
const PROBES: usize = 12;

fn program(url: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tokenhouse"));
    command
        .args(arguments)
        .env_clear()
        .envs(harness::settings())
        .env("TOKENHOUSE_BIND", "127.0.0.1:0")
        .env("TOKENHOUSE_DATABASE_POOL_SIZE", "8")
        .env("DATABASE_URL", url);
    command
}

fn failed_probes(client: &Client) -> usize {
    let statuses = (0..PROBES).map(|_| client.get("/readyz").send().status);
    statuses.filter(|status| *status != 200).count()
}

fn psql(server: &PostgresServer, statement: &str) {
    server.run("psql", &["--command", statement], "postgres", b"");
}

/// As many dead connections as the pool has are replaced by one probe.
#[test]
fn restart_of_postgres_costs_at_most_one_probe() {
    let mut postgres = PostgresServer::start().unwrap();
    let (_server, client) = Running::serve(&mut program(&postgres.url("postgres"), &["serve"]));
    let fill_pool = || {
        let statuses = concurrently(8, 80, |_| client.get("/readyz").send().status);
        assert!(statuses.iter().all(|status| *status == 200));
    };
    for _ in 0..2 {
        fill_pool();
        postgres.stop().unwrap();
        postgres.restart().unwrap();
        assert!(failed_probes(&client) <= 1);
        fill_pool();
        psql(
            &postgres,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE application_name = 'tokenhouse'",
        );
        assert_eq!(failed_probes(&client), 0);
    }
}

/// Whatever the database sets, Tokenhouse's sessions have their own settings.
#[test]
fn settings_of_the_database_do_not_apply_to_sessions() {
    let postgres = PostgresServer::start().unwrap();
    // In one session, because they apply to the next.
    let settings = [
        "idle_session_timeout = '1s'",
        "idle_in_transaction_session_timeout = '10ms'",
        "statement_timeout = '150ms'",
        "lock_timeout = '1ms'",
        "default_transaction_isolation = 'serializable'",
        "default_transaction_read_only = on",
        "timezone = 'America/Los_Angeles'",
        "datestyle = 'German'",
        "client_encoding = 'LATIN1'",
        "standard_conforming_strings = off",
        "bytea_output = 'escape'",
        "synchronous_commit = off",
    ];
    let alter = settings.map(|setting| format!("ALTER DATABASE postgres SET {setting}"));
    psql(&postgres, &alter.join("; "));
    let (_server, client) = Running::serve(&mut program(&postgres.url("postgres"), &["serve"]));
    let user = json!({
        "name": "\u{738b}\u{82b3} O'Neil \\",
        "surname": "",
        "email": "wang@example.com",
        "website": "",
        "password": "mulberry-Tram-71",
    });
    assert_eq!(client.post("/register").json(&user).send().status, 201);
    let form = [
        ("username", "wang@example.com"),
        ("password", "mulberry-Tram-71"),
    ];
    let token = client.post("/token").form(&form).send().json();
    let token = token["access_token"].as_str().unwrap();
    for _ in 0..3 {
        // Longer than an idle session would live.
        thread::sleep(Duration::from_millis(1_500));
        assert_eq!(client.get("/readyz").send().status, 200);
        let me = client.get("/users/me").bearer(token).send();
        assert_eq!((me.status, &me.json()["name"]), (200, &user["name"]));
        assert_eq!(
            client.get("/users/me/keys").bearer(token).send().status,
            200
        );
    }
}

#[test]
fn unusable_servers_are_named_without_secrets() {
    let postgres = PostgresServer::start().unwrap();
    let run = |url: &str| program(url, &["migrate"]).output().unwrap();
    psql(
        &postgres,
        "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'",
    );
    psql(&postgres, "CREATE DATABASE quiet");
    psql(
        &postgres,
        "ALTER DATABASE quiet SET session_replication_role = replica",
    );
    let port = postgres.port();
    for (url, text) in [
        (
            postgres.url("latin"),
            "is in LATIN1 and cannot store every name",
        ),
        (postgres.url("quiet"), "session_replication_role is replica"),
        (
            postgres.url("missing"),
            "database \"missing\" does not exist",
        ),
        (
            format!("postgres://hush:hush@127.0.0.1:{port}/postgres"),
            "role \"hush\" does not exist",
        ),
        (
            "postgres://u:secret@127.0.0.1:1/hush".to_owned(),
            "Connection refused",
        ),
        (
            "postgres://u:secret@no-such-host.invalid/hush?sslmode=disable".to_owned(),
            "the host in DATABASE_URL is not known",
        ),
        (
            format!("postgres://u:secret@127.0.0.1:{port}/postgres?pgbouncer=true"),
            "Postgres has no parameter pgbouncer",
        ),
    ] {
        let Output { status, stderr, .. } = run(&url);
        let line = String::from_utf8(stderr).unwrap();
        assert!(!status.success() && line.contains(text), "{url}: {line}");
        assert!(
            line.lines().count() == 1 && !line.contains("secret"),
            "{line}"
        );
    }
}
