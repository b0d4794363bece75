//! A database that is missing, or that belongs to another program: each command refuses it with one
//! line, and changes nothing.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Output;

use diesel::connection::SimpleConnection;
use diesel::{Connection, SqliteConnection};

use crate::harness::{Backend, ScratchDir, TestApp, TestDatabase, run_with_input};

/// Commands that use the database, except those that may create it.
const COMMANDS: &[&[&str]] = &[
    &["migrate", "--status"],
    &["doctor"],
    &["user", "list"],
    &["user", "show", "ada@example.com"],
    &["user", "export", "ada@example.com"],
    &["user", "disable", "ada@example.com"],
    &["user", "delete", "ada@example.com"],
    &["user", "passwd", "ada@example.com"],
    &["token", "list"],
    &["session", "list", "ada@example.com"],
    &["session", "end", "ada@example.com", "--all"],
    &["token", "prune"],
    &["token", "issue", "ada@example.com"],
    &["key", "list", "ada@example.com"],
    &["audit", "tail"],
    &["audit", "verify"],
    &["audit", "export"],
    &["audit", "prune"],
    &["backup", "BACKUP"],
    &["after-restore"],
];

/// Commands that may create the database.
const CREATING: &[&[&str]] = &[
    &["serve"],
    &["migrate"],
    &[
        "user",
        "create",
        "ada@example.com",
        "--name",
        "Ada Lovelace",
    ],
    &["import", "USERS"],
    &["restore", "COPY", "--replace"],
];

/// The commands, in a folder of their own, next to the folder of the database.
struct Shell {
    app: TestApp,
    folder: ScratchDir,
}

impl Shell {
    fn new(backend: Backend) -> Self {
        let folder = ScratchDir::new("foreign");
        fs::write(folder.join("users.csv"), "email,hashed_password\n").unwrap();
        fs::create_dir(folder.join("database")).unwrap();
        let app = TestApp::start(backend);
        let shell = Self { app, folder };
        if backend == Backend::Sqlite {
            shell.app.database().copy(&shell.folder.join("copy.db"));
        }
        shell
    }

    fn run(&self, arguments: &[&str], url: &str) -> Output {
        let path = |name: &str| self.folder.join(name).display().to_string();
        let named = arguments.iter().map(|argument| match *argument {
            "BACKUP" => path("backup.db"),
            "USERS" => path("users.csv"),
            "COPY" => path("copy.db"),
            other => other.to_owned(),
        });
        let named: Vec<String> = named.collect();
        let named: Vec<&str> = named.iter().map(String::as_str).collect();
        let mut command = self.app.program(&named);
        command
            .env("DATABASE_URL", url)
            .env("TOKENHOUSE_BIND", "127.0.0.1:0")
            .current_dir(&self.folder);
        run_with_input(&mut command, "mulberry-Tram-71")
    }

    fn database(&self) -> std::path::PathBuf {
        self.folder.join("database").join("app.db")
    }

    /// Runs all commands, and checks that each fails with these texts and changes no file.
    fn assert_all_refuse(&self, commands: &[&[&str]], unstable: &str, texts: &[&str]) {
        let url = format!("sqlite://{}", self.database().display());
        for arguments in commands {
            let before = state(&self.folder.join("database"), unstable);
            let output = self.run(arguments, &url);
            let after = state(&self.folder.join("database"), unstable);
            assert_eq!(before, after, "{arguments:?}");
            assert_refused(arguments, &output, texts);
        }
    }
}

/// Every file of a folder: its bytes, mode, times, inode and owner; only the name of the `unstable` one.
fn state(folder: &Path, unstable: &str) -> BTreeMap<String, (Vec<u8>, [i64; 5])> {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    let entries = entries.map(|entry| {
        let name = entry.file_name().into_string().unwrap();
        if name == unstable {
            return (name, (Vec::new(), [0; 5]));
        }
        let metadata = fs::symlink_metadata(entry.path()).unwrap();
        let numbers = [
            i64::from(metadata.mode()),
            metadata.mtime(),
            metadata.mtime_nsec(),
            i64::try_from(metadata.ino()).unwrap(),
            i64::from(metadata.uid()),
        ];
        (name, (fs::read(entry.path()).unwrap_or_default(), numbers))
    });
    entries.collect()
}

fn assert_refused(arguments: &[&str], output: &Output, texts: &[&str]) {
    let [stdout, stderr] =
        [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(!output.status.success(), "{arguments:?}: {stdout}");
    for text in texts {
        assert!(
            stdout.contains(text) || stderr.contains(text),
            "{arguments:?}: no {text} in {stdout}{stderr}"
        );
    }
    if arguments != ["doctor"] {
        // The service has started its log before.
        let is_log = |line: &&str| line.starts_with('[');
        let lines: Vec<&str> = stderr.lines().filter(|line| !is_log(line)).collect();
        let is_one = lines.len() == 1 && lines[0].starts_with("tokenhouse: ");
        assert!(is_one, "{arguments:?}: {stderr}");
    }
}

fn all_commands() -> Vec<&'static [&'static str]> {
    [COMMANDS, CREATING].concat()
}

#[test]
fn tutorials_own_file_is_refused_and_stays_as_it_is() {
    let shell = Shell::new(Backend::Sqlite);
    let file = shell.database();
    let sql = include_str!("../data/import/tutorial/sqlite.sql");
    let mut conn = SqliteConnection::establish(file.to_str().unwrap()).unwrap();
    conn.batch_execute("PRAGMA foreign_keys = OFF").unwrap();
    conn.batch_execute(sql).unwrap();
    drop(conn);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let texts = [
        "this is the database of another program (it has a table users): give Tokenhouse its own \
         and run `tokenhouse import URL`",
        "app.db (DATABASE_URL, environment)",
    ];
    shell.assert_all_refuse(&all_commands(), "", &texts);
    // What the message recommends works.
    let own = format!("sqlite://{}", shell.folder.join("own.db").display());
    let source = format!("sqlite://{}", file.display());
    let imported = shell.run(&["import", &source], &own);
    assert!(imported.status.success(), "{imported:?}");
}

#[test]
fn file_of_another_program_is_refused_while_that_program_uses_it() {
    for (statements, named, unstable) in [
        ("CREATE TABLE orders (id INTEGER)", "a table orders", ""),
        ("CREATE VIEW today AS SELECT 1 AS day", "a view today", ""),
        (
            "CREATE TABLE __diesel_schema_migrations (version TEXT PRIMARY KEY, run_on TEXT); \
             INSERT INTO __diesel_schema_migrations VALUES ('20200101000000', ''); \
             CREATE TABLE posts (id INTEGER)",
            "a table posts",
            "",
        ),
        (
            "PRAGMA journal_mode = WAL; CREATE TABLE orders (id INTEGER); \
             PRAGMA wal_checkpoint(TRUNCATE); INSERT INTO orders VALUES (1)",
            "a table orders",
            "",
        ),
        // The table is in the log only, and a reader announces itself in the shared memory.
        (
            "PRAGMA journal_mode = WAL; CREATE TABLE orders (id INTEGER)",
            "a table orders",
            "app.db-shm",
        ),
    ] {
        let shell = Shell::new(Backend::Sqlite);
        let file = shell.database();
        let mut conn = SqliteConnection::establish(file.to_str().unwrap()).unwrap();
        conn.batch_execute(statements).unwrap();
        let texts = [named, "this is the database of another program"];
        shell.assert_all_refuse(&all_commands(), unstable, &texts);
        conn.batch_execute("CREATE TABLE more (id INTEGER)")
            .unwrap();
    }
}

#[test]
fn files_that_are_no_database_are_refused() {
    for bytes in [
        &b"users,passwords\n"[..],
        &[0xa5; 8192],
        b"SQLite format 3\0 but not really, as the rest of the page is missing",
    ] {
        let shell = Shell::new(Backend::Sqlite);
        fs::write(shell.database(), bytes).unwrap();
        let commands = all_commands();
        let commands: Vec<_> = commands.into_iter().filter(|c| c[0] != "restore").collect();
        shell.assert_all_refuse(&commands, "", &["is not an SQLite database", "app.db"]);
    }
    let shell = Shell::new(Backend::Sqlite);
    fs::create_dir(shell.database()).unwrap();
    shell.assert_all_refuse(COMMANDS, "", &["is a folder, not a file"]);
}

#[test]
fn missing_database_is_named_and_not_created() {
    let shell = Shell::new(Backend::Sqlite);
    let path = shell.database().display().to_string();
    let texts = [&*format!(
        "no database at {path} (DATABASE_URL, environment)"
    )];
    shell.assert_all_refuse(COMMANDS, "", &texts);
    // The default, in the working directory.
    let mut command = shell.app.program(&["user", "list"]);
    command
        .env_remove("DATABASE_URL")
        .current_dir(&shell.folder);
    let default = shell.folder.join("tokenhouse.db");
    let text = format!(
        "no database at {} (DATABASE_URL, default)",
        default.display()
    );
    assert_refused(&["user", "list"], &command.output().unwrap(), &[&text]);
    assert!(!default.exists());
    let line = format!("DATABASE_URL=sqlite://{path}\n");
    fs::write(shell.folder.join(".env"), line).unwrap();
    let text = format!("no database at {path} (DATABASE_URL, ");
    let texts = [&*text, ".env, line 1)"];
    assert_refused(&["user", "list"], &command.output().unwrap(), &texts);
    // An empty file has no tables, and gets none.
    fs::write(shell.database(), "").unwrap();
    let commands: Vec<_> = COMMANDS
        .iter()
        .copied()
        .filter(|command| !["doctor", "migrate"].contains(&command[0]))
        .collect();
    shell.assert_all_refuse(&commands, "", &["has no tables yet", "tokenhouse migrate"]);
    shell.assert_all_refuse(&[&["migrate", "--status"]], "", &["not up to date"]);
}

#[test]
fn folder_problems_are_explained() {
    let shell = Shell::new(Backend::Sqlite);
    let missing = shell.folder.join("nowhere").join("app.db");
    let output = shell.run(&["migrate"], &format!("sqlite://{}", missing.display()));
    let folder = shell.folder.join("nowhere").display().to_string();
    let text = format!("the folder {folder} does not exist");
    assert_refused(&["migrate"], &output, &[&text]);
}

#[test]
fn postgres_schema_of_another_program_is_refused_and_stays_as_it_is() {
    let shell = Shell::new(Backend::Postgres);
    let database = TestDatabase::empty(Backend::Postgres);
    let objects = "SELECT string_agg(c.oid::text || relname || coalesce(relacl::text, ''), ',' \
                   ORDER BY c.oid) AS text FROM pg_class AS c \
                   WHERE relnamespace NOT IN ('pg_catalog'::regnamespace, 'pg_toast'::regnamespace)";
    for (statements, named) in [
        ("CREATE TABLE users (id INT)", "a table users"),
        (
            "DROP TABLE users; CREATE TABLE orders (id INT)",
            "a table orders",
        ),
    ] {
        database.execute(statements);
        let before = database.texts(objects);
        for arguments in all_commands() {
            if ["backup", "restore"].contains(&arguments[0]) {
                continue;
            }
            let output = shell.run(arguments, &database.url());
            let texts = [named, "this is the database of another program"];
            assert_refused(arguments, &output, &texts);
            assert_eq!(database.texts(objects), before, "{arguments:?}");
        }
    }
    // A schema of its own is enough.
    database.execute("CREATE SCHEMA auth");
    let url = format!("{}?options=-csearch_path%3Dauth", database.url());
    let migrated = shell.run(&["migrate"], &url);
    assert!(migrated.status.success(), "{migrated:?}");
    let listed = shell.run(&["user", "list"], &url);
    assert!(listed.status.success(), "{listed:?}");
    // A role whose path begins elsewhere would get a second set of tables.
    database.execute("CREATE SCHEMA first");
    let url = format!("{}?options=-csearch_path%3Dfirst,auth", database.url());
    let output = shell.run(&["migrate"], &url);
    assert_refused(
        &["migrate"],
        &output,
        &["the tables are in the schema auth"],
    );
    let url = format!("{}?options=-csearch_path%3Dmissing", database.url());
    let output = shell.run(&["migrate"], &url);
    assert_refused(
        &["migrate"],
        &output,
        &["search_path names none that exists"],
    );
}

/// An upgrade of the program does not migrate the database of the running service.
#[test]
fn pending_migrations_are_reported_and_not_run() {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let shell = Shell::new(backend);
        shell.app.database().execute(
            "DELETE FROM __diesel_schema_migrations WHERE version = \
             (SELECT MAX(version) FROM __diesel_schema_migrations)",
        );
        let before = shell.app.database().count("__diesel_schema_migrations");
        let url = shell.app.database().url();
        for arguments in [
            &["user", "list"][..],
            &["audit", "tail"],
            &["token", "prune"],
        ] {
            let output = shell.run(arguments, &url);
            assert_refused(arguments, &output, &["1 pending: run `tokenhouse migrate`"]);
        }
        let after = shell.app.database().count("__diesel_schema_migrations");
        assert_eq!(before, after);
    }
}
