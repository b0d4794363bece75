//! `doctor` finds what another hand has put among the tables.

use crate::harness::{Backend, TestApp, TestDatabase, on_both_databases};

on_both_databases!(tables_as_the_migrations_make_them_are_fine);

/// Statements, and what `doctor` has to name.
const ON_SQLITE: &[(&str, &str)] = &[
    (
        "CREATE TRIGGER gift AFTER INSERT ON users BEGIN \
         UPDATE users SET scopes = 'users:write' WHERE id = NEW.id; END",
        "trigger gift",
    ),
    (
        "DROP TRIGGER session_ends_with_its_token",
        "trigger session_ends_with_its_token",
    ),
    (
        "CREATE VIEW everybody AS SELECT * FROM users",
        "view everybody",
    ),
    ("DROP INDEX api_keys_user_id", "index api_keys_user_id"),
];

/// The same for Postgres.
const ON_POSTGRES: &[(&str, &str)] = &[
    (
        "CREATE FUNCTION gift() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         NEW.scopes := 'users:write'; RETURN NEW; END $$; \
         CREATE TRIGGER gift BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION gift()",
        "trigger users.gift",
    ),
    (
        "CREATE OR REPLACE FUNCTION tokenhouse_audit_refuses() RETURNS trigger \
         LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$",
        "function tokenhouse_audit_refuses()",
    ),
    (
        "CREATE RULE gift AS ON DELETE TO api_keys DO INSTEAD NOTHING",
        "rule api_keys.gift",
    ),
    (
        "CREATE VIEW everybody AS SELECT * FROM users",
        "view everybody",
    ),
    (
        "ALTER TABLE users ALTER COLUMN scopes SET DEFAULT 'users:write'",
        "column users.scopes",
    ),
    (
        "ALTER TABLE audit_events DISABLE TRIGGER audit_events_are_not_changed",
        "trigger audit_events.audit_events_are_not_changed",
    ),
    (
        "ALTER TABLE api_keys DISABLE TRIGGER ALL",
        "foreign keys of api_keys",
    ),
    ("ALTER TABLE users ENABLE ROW LEVEL SECURITY", "table users"),
    (
        "CREATE FUNCTION equal(VARCHAR, VARCHAR) RETURNS BOOLEAN LANGUAGE sql AS 'SELECT true'; \
         CREATE OPERATOR = (LEFTARG = VARCHAR, RIGHTARG = VARCHAR, FUNCTION = equal)",
        "operator =(character varying,character varying)",
    ),
];

/// What doctor says of the tables, and how it ends.
fn doctor(app: &TestApp, database: &TestDatabase) -> (String, Option<i32>) {
    let mut command = app.program(&["doctor"]);
    let output = command
        .env("DATABASE_URL", database.url())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let lines = said.lines().filter(|line| line.contains("\ttables\t"));
    (lines.collect::<Vec<_>>().join("\n"), output.status.code())
}

fn tables_as_the_migrations_make_them_are_fine(backend: Backend) {
    let app = TestApp::start(backend);
    app.register("alice").sign_in();
    let (said, status) = doctor(&app, app.database());
    assert_eq!(said, "ok\ttables\tas the migrations make them");
    assert_eq!(status, Some(0));
    // Also beside others that look at the same time, and it leaves nothing behind.
    assert_eq!(doctor(&app, app.database()).0, said);
    assert_eq!(app.get("/readyz").send().status, 200);
}

fn each_is_found(backend: Backend, all: &[(&str, &str)]) {
    let app = TestApp::start(backend);
    for (statements, named) in all {
        let database = TestDatabase::create(backend);
        database.execute(statements);
        let (said, status) = doctor(&app, &database);
        assert!(
            said.contains(&format!("problem\ttables\t{named}")),
            "{named}: {said}"
        );
        assert_eq!(status, Some(1), "{named}");
    }
}

#[test]
fn what_was_changed_on_sqlite_is_found() {
    each_is_found(Backend::Sqlite, ON_SQLITE);
}

#[test]
fn what_was_changed_on_postgres_is_found() {
    each_is_found(Backend::Postgres, ON_POSTGRES);
}

#[test]
fn a_database_with_a_trigger_of_others_is_not_taken_after_pg_restore() {
    let app = TestApp::start(Backend::Postgres);
    app.database().execute(ON_POSTGRES[0].0);
    let refused = app.program(&["after-restore"]).output().unwrap();
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("trigger users.gift"), "{said}");
}

/// Who may not make a schema cannot compare, and is told so.
#[test]
fn a_role_that_may_not_compare_the_tables_is_told_so() {
    let app = TestApp::start(Backend::Postgres);
    app.database().execute(
        "CREATE ROLE limited LOGIN; GRANT USAGE, CREATE ON SCHEMA public TO limited; \
         GRANT ALL ON ALL TABLES IN SCHEMA public TO limited",
    );
    let url = app.database().url().replace("tokenhouse@", "limited@");
    let run = |arguments: &[&str]| {
        let mut command = app.program(arguments);
        command.env("DATABASE_URL", &url).output().unwrap()
    };
    let said = String::from_utf8(run(&["doctor"]).stdout).unwrap();
    assert!(said.contains("warning\ttables\tnot compared"), "{said}");
    let refused = run(&["after-restore"]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    app.database()
        .execute("DROP OWNED BY limited; DROP ROLE limited");
}
