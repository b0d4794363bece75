//! What an operator does to a database as a whole: backups, and programs of other versions.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread;
use std::time::Instant;

use diesel::prelude::*;
use diesel::sql_types::BigInt;

use crate::harness::{Backend, ScratchDir, TestApp, TestDatabase, on_both_databases, size};

on_both_databases!(
    a_database_of_a_newer_version_is_refused,
    migrations_are_made_whole_or_not_at_all,
);

#[derive(QueryableByName)]
struct Counted {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

fn count(file: &Path, of: &str) -> i64 {
    let mut conn = SqliteConnection::establish(file.to_str().unwrap()).unwrap();
    let query = diesel::sql_query(format!("SELECT COUNT(*) AS count FROM {of}"));
    query.get_result::<Counted>(&mut conn).unwrap().count
}

fn run(mut command: Command) -> Output {
    command.output().unwrap()
}

/// Registers users one after the other and counts those that were acknowledged.
fn register_some(app: &TestApp, of: usize, acknowledged: &AtomicI64) {
    for number in 0..size("TOKENHOUSE_TEST_COPIED_USERS", 40) {
        app.register(&format!("user{of}.{number}"));
        acknowledged.fetch_add(1, Ordering::SeqCst);
    }
}

/// Copies are made while users register. Each has to hold all who were acknowledged before it was
/// begun, and nobody without those before them. `TOKENHOUSE_TEST_COPIED_USERS` says how many users
/// each of three clients registers.
#[test]
fn a_backup_under_load_is_the_database_at_one_moment() {
    let app = TestApp::start(Backend::Sqlite);
    let folder = ScratchDir::new("backup");
    let acknowledged = AtomicI64::new(0);
    let copies = thread::scope(|scope| {
        let (app, acknowledged) = (&app, &acknowledged);
        let clients = [0, 1, 2].map(|of| scope.spawn(move || register_some(app, of, acknowledged)));
        let mut copies = 0;
        while !clients.iter().all(|client| client.is_finished()) {
            check_copy(app, &folder, copies, acknowledged);
            copies += 1;
        }
        copies
    });
    println!("{copies} copies, each the database at one moment");
    assert!(copies > 1, "only {copies} copies were made");

    let copy = folder.join("copy-0.db");
    let refused = run(app.program(&["restore", "--replace", copy.to_str().unwrap()]));
    let says = String::from_utf8(refused.stderr).unwrap();
    assert!(says.contains("a service is running"), "{says}");
    let (torn, new) = (folder.join("torn.db"), folder.join("new.db"));
    fs::write(&torn, &fs::read(&copy).unwrap()[..9_000]).unwrap();
    let mut restore = app.program(&["restore", torn.to_str().unwrap()]);
    restore.env("DATABASE_URL", format!("sqlite://{}", new.display()));
    assert!(!run(restore).status.success());
    assert!(!new.exists());
}

/// Makes a copy, puts it back as another database, and looks at that.
fn check_copy(app: &TestApp, folder: &Path, number: usize, acknowledged: &AtomicI64) {
    let copy = folder.join(format!("copy-{number}.db"));
    let before = acknowledged.load(Ordering::SeqCst);
    let output = run(app.program(&["backup", copy.to_str().unwrap()]));
    let after = acknowledged.load(Ordering::SeqCst);
    assert!(output.status.success(), "{output:?}");
    let mode = fs::metadata(&copy).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let restored = folder.join(format!("restored-{number}.db"));
    for arguments in [
        &["restore", copy.to_str().unwrap()][..],
        &["audit", "verify"],
    ] {
        let mut command = app.program(arguments);
        command.env("DATABASE_URL", format!("sqlite://{}", restored.display()));
        let output = run(command);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    }
    let users = count(&restored, "users");
    // Each client may have made one that was not acknowledged yet.
    assert!(
        (before..=after + 3).contains(&users),
        "{before} <= {users} <= {after} + 3"
    );
    let first = format!("users WHERE id <= {users}");
    assert_eq!(count(&restored, &first), users, "somebody is missing");
    let events = count(&restored, "audit_events WHERE action = 'register'");
    assert_eq!(events, users, "state and trail are of different moments");
}

fn a_database_of_a_newer_version_is_refused(backend: Backend) {
    let app = TestApp::start(backend);
    app.database().execute(
        "INSERT INTO __diesel_schema_migrations (version, run_on)
         VALUES ('29991231000000', CURRENT_TIMESTAMP)",
    );
    for arguments in [&["migrate"][..], &["serve"], &["user", "list"]] {
        let output = run(app.program(arguments));
        let says = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{arguments:?}");
        assert!(says.contains("a newer version"), "{arguments:?}: {says}");
    }
}

/// A program that is killed while it migrates has made all of it or nothing, and the next one makes
/// what is missing. `TOKENHOUSE_TEST_KILLED_MIGRATIONS` says how many are killed.
fn migrations_are_made_whole_or_not_at_all(backend: Backend) {
    let kills = size("TOKENHOUSE_TEST_KILLED_MIGRATIONS", 20);
    let migrate = |database: &TestDatabase| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tokenhouse"));
        command.arg("migrate");
        command.current_dir(std::env::temp_dir());
        command.env_clear().env("DATABASE_URL", database.url());
        command.stdout(Stdio::null());
        command
    };
    let tables = |database: &TestDatabase| match backend {
        Backend::Sqlite => database.count("sqlite_master WHERE type = 'table'"),
        Backend::Postgres => {
            database.count("information_schema.tables WHERE table_schema = 'public'")
        }
    };
    let whole = TestDatabase::empty(backend);
    let begun = Instant::now();
    assert!(run(migrate(&whole)).status.success());
    let (took, all) = (begun.elapsed(), tables(&whole));
    let mut made = 0;
    for number in 0..kills {
        let database = TestDatabase::empty(backend);
        let mut migrating = migrate(&database).spawn().unwrap();
        thread::sleep(took.mul_f64(number as f64 / kills as f64));
        migrating.kill().unwrap();
        migrating.wait().unwrap();
        match tables(&database) {
            0 => {}
            some => {
                assert_eq!(some, all, "after {number} of {kills} parts of the time");
                made += 1;
            }
        }
        assert!(run(migrate(&database)).status.success());
        assert_eq!(tables(&database), all);
    }
    println!("{kills} killed within {took:?}, {made} of them had made all");
}

/// Of SQLite before 3.51.3, two connections could damage the write-ahead log.
#[test]
fn the_sqlite_in_the_program_is_one_that_keeps_its_log_whole() {
    let app = TestApp::start(Backend::Sqlite);
    let version = app.database().texts("SELECT sqlite_version() AS text");
    let numbers: Vec<u32> = version[0].split('.').map(|n| n.parse().unwrap()).collect();
    assert!(numbers >= vec![3, 51, 3], "{version:?}");
}
