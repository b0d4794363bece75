//! A database for each test, copied from a template that is migrated once per process.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection, RunQueryDsl, SqliteConnection};
use test_support::{PostgresServer, ScratchDir};
use tokenhouse::Config;
use tokenhouse::store::Store;

use super::Backend;

/// The start of a query by a test, to tell it from those of the service.
pub const TEST_QUERY: &str = "SELECT /* of the tests */";

/// The migrated database from which the others are copied.
const TEMPLATE: &str = "template_of_tests";

/// An empty, migrated database, removed when dropped.
pub struct TestDatabase {
    backend: Backend,
    name: String,
    /// The URL of the database of another program, which is not removed.
    foreign_url: Option<String>,
}

impl TestDatabase {
    pub fn create(backend: Backend) -> Self {
        static CREATED: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", CREATED.fetch_add(1, Ordering::Relaxed));
        match backend {
            Backend::Sqlite => copy_sqlite_template(&name),
            Backend::Postgres => copy_postgres_template(&name),
        }
        Self::named(backend, name)
    }

    /// The SQLite database that another program has created, and removes.
    pub fn foreign(url: &str) -> Self {
        Self {
            backend: Backend::Sqlite,
            name: String::new(),
            foreign_url: Some(url.to_owned()),
        }
    }

    fn named(backend: Backend, name: String) -> Self {
        Self {
            backend,
            name,
            foreign_url: None,
        }
    }

    /// A database without tables.
    pub fn empty(backend: Backend) -> Self {
        let name = format!("empty_{:016x}", rand::random::<u64>());
        match backend {
            Backend::Sqlite => drop(new_sqlite_file(&name)),
            Backend::Postgres => run_on_postgres(&format!("CREATE DATABASE {name}")),
        }
        Self::named(backend, name)
    }

    /// The URL, as in the setting `DATABASE_URL`.
    pub fn url(&self) -> String {
        if let Some(url) = &self.foreign_url {
            return url.clone();
        }
        match self.backend {
            Backend::Sqlite => format!("sqlite://{}", sqlite_file(&self.name).display()),
            Backend::Postgres => postgres_server().url(&self.name),
        }
    }

    /// Runs statements on a separate connection, unknown to the servers.
    pub fn execute(&self, statements: &str) {
        match self.backend {
            Backend::Sqlite => {
                let mut conn = SqliteConnection::establish(&self.url()).expect("the file opens");
                conn.batch_execute("PRAGMA busy_timeout = 5000; PRAGMA foreign_keys = ON")
                    .expect("settings are taken");
                conn.batch_execute(statements).expect("a good statement");
            }
            Backend::Postgres => PgConnection::establish(&self.url())
                .expect("the server takes connections")
                .batch_execute(statements)
                .expect("a good statement"),
        }
    }

    /// Runs statements in a transaction that commits after `meanwhile`. Until then other connections
    /// do not see the changes, and conflicting writes wait.
    pub fn hold<T>(&self, statements: &str, meanwhile: impl FnOnce() -> T) -> T {
        match self.backend {
            Backend::Sqlite => {
                let mut conn = SqliteConnection::establish(&self.url()).expect("the file opens");
                let begin = format!("PRAGMA busy_timeout = 5000; BEGIN IMMEDIATE; {statements}");
                conn.batch_execute(&begin).expect("a good statement");
                let outcome = meanwhile();
                conn.batch_execute("COMMIT").expect("it commits");
                outcome
            }
            Backend::Postgres => {
                let mut conn = PgConnection::establish(&self.url()).expect("it takes connections");
                let begin = format!("BEGIN; {statements}");
                conn.batch_execute(&begin).expect("a good statement");
                let outcome = meanwhile();
                conn.batch_execute("COMMIT").expect("it commits");
                outcome
            }
        }
    }

    /// Counts rows; `of` is a table and a condition, as in `access_tokens WHERE user_id = 1`.
    pub fn count(&self, of: &str) -> i64 {
        let query = diesel::sql_query(format!("{TEST_QUERY} COUNT(*) AS count FROM {of}"));
        let counted: Counted = match self.backend {
            Backend::Sqlite => {
                let mut conn = SqliteConnection::establish(&self.url()).expect("the file opens");
                query.get_result(&mut conn)
            }
            Backend::Postgres => {
                let mut conn = PgConnection::establish(&self.url()).expect("it takes connections");
                query.get_result(&mut conn)
            }
        }
        .expect("a good query");
        counted.count
    }

    /// The values that a query selects `AS text`, in order.
    pub fn texts(&self, query: &str) -> Vec<String> {
        let query = diesel::sql_query(query);
        let rows: Vec<Text> = match self.backend {
            Backend::Sqlite => {
                let mut conn = SqliteConnection::establish(&self.url()).expect("the file opens");
                query.load(&mut conn)
            }
            Backend::Postgres => {
                let mut conn = PgConnection::establish(&self.url()).expect("it takes connections");
                query.load(&mut conn)
            }
        }
        .expect("a good query");
        rows.into_iter().map(|row| row.text).collect()
    }

    /// Whether the database accepts these statements.
    pub fn accepts(&self, statements: &str) -> bool {
        match self.backend {
            Backend::Sqlite => SqliteConnection::establish(&self.url())
                .expect("the file opens")
                .batch_execute(statements),
            Backend::Postgres => PgConnection::establish(&self.url())
                .expect("it takes connections")
                .batch_execute(statements),
        }
        .is_ok()
    }

    /// The lines of the query plan for unknown parameters. Postgres uses a sequential scan only when
    /// there is no alternative.
    pub fn plan(&self, query: &str) -> Vec<String> {
        match self.backend {
            Backend::Sqlite => {
                let mut conn = SqliteConnection::establish(&self.url()).expect("the file opens");
                let plan = diesel::sql_query(format!("EXPLAIN QUERY PLAN {query}"));
                let lines: Vec<SqlitePlanLine> = plan.load(&mut conn).expect(query);
                lines.into_iter().map(|line| line.detail).collect()
            }
            Backend::Postgres => {
                let mut conn = PgConnection::establish(&self.url()).expect("it takes connections");
                let prepare = format!(
                    "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; \
                     PREPARE planned AS {query}"
                );
                conn.batch_execute(&prepare).expect(query);
                let parameters = (1..20).filter(|n| query.contains(&format!("${n}"))).count();
                let execute = match vec!["NULL"; parameters].join(", ") {
                    none if none.is_empty() => "EXPLAIN EXECUTE planned".to_owned(),
                    some => format!("EXPLAIN EXECUTE planned({some})"),
                };
                let lines: Vec<PostgresPlanLine> =
                    diesel::sql_query(execute).load(&mut conn).expect(query);
                lines.into_iter().map(|line| line.plan).collect()
            }
        }
    }

    /// Makes the database unavailable to all clients. The Postgres server keeps running.
    pub fn make_unavailable(&self) {
        match self.backend {
            Backend::Sqlite => self.execute("ALTER TABLE access_tokens RENAME TO unavailable"),
            Backend::Postgres => {
                let name = &self.name;
                run_on_postgres(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false"));
                // After that has committed: until then, a client whose connection ends opens another one.
                run_on_postgres(&format!(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
                ));
            }
        }
    }

    /// Everything that the database stores: the files of SQLite and a backup by the program, or the
    /// output of `pg_dump`. The settings are those of its servers.
    pub fn files(&self, settings: &[(&str, &str)]) -> Vec<Vec<u8>> {
        if self.backend == Backend::Postgres {
            return vec![postgres_server().run("pg_dump", &[], &self.name, &[])];
        }
        let folder = sqlite_folder().join(&self.name);
        let backup = folder.join("backup");
        let made = Command::new(env!("CARGO_BIN_EXE_tokenhouse"))
            .arg("backup")
            .arg(&backup)
            .env("DATABASE_URL", self.url())
            .envs(settings.iter().copied())
            .output()
            .expect("the program starts");
        assert!(made.status.success(), "{made:?}");
        let entries = fs::read_dir(folder).expect("the folder is there");
        let files = entries.map(|entry| fs::read(entry.expect("an entry").path()));
        let files = files.collect::<Result<_, _>>().expect("files are readable");
        fs::remove_file(backup).expect("it is ours");
        files
    }

    /// Makes a backup as operators do: with the program on SQLite, with `pg_dump` on Postgres.
    pub fn copy(&self, file: &Path) {
        match self.backend {
            Backend::Sqlite => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_tokenhouse"));
                command
                    .arg("backup")
                    .arg(file)
                    .env("DATABASE_URL", self.url());
                let made = command.output().expect("the program starts");
                assert!(made.status.success(), "{made:?}");
            }
            Backend::Postgres => {
                let server = postgres_server();
                let archive = server.run("pg_dump", &["--format=custom"], &self.name, &[]);
                fs::write(file, archive).expect("the folder is there");
            }
        }
    }

    /// Restores an archive of `pg_dump`, without Tokenhouse.
    pub fn restore(&self, file: &Path) {
        let arguments = ["--clean", "--if-exists", "--single-transaction"];
        let archive = fs::read(file).expect("it was made");
        postgres_server().run("pg_restore", &arguments, &self.name, &archive);
    }

    /// Undoes [`Self::make_unavailable`].
    pub fn make_available(&self) {
        match self.backend {
            Backend::Sqlite => self.execute("ALTER TABLE unavailable RENAME TO access_tokens"),
            Backend::Postgres => run_on_postgres(&format!(
                "ALTER DATABASE {} ALLOW_CONNECTIONS true",
                self.name
            )),
        }
    }
}

#[derive(diesel::QueryableByName)]
struct Counted {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    count: i64,
}

#[derive(diesel::QueryableByName)]
struct Text {
    #[diesel(sql_type = diesel::sql_types::Text)]
    text: String,
}

#[derive(diesel::QueryableByName)]
struct SqlitePlanLine {
    #[diesel(sql_type = diesel::sql_types::Text)]
    detail: String,
}

#[derive(diesel::QueryableByName)]
struct PostgresPlanLine {
    #[diesel(sql_type = diesel::sql_types::Text, column_name = "QUERY PLAN")]
    plan: String,
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if self.foreign_url.is_some() {
            return;
        }
        match self.backend {
            Backend::Sqlite => {
                fs::remove_dir_all(sqlite_folder().join(&self.name)).expect("the folder is ours");
            }
            // With force: the pool may still have an open connection.
            Backend::Postgres => {
                run_on_postgres(&format!("DROP DATABASE {} WITH (FORCE)", self.name))
            }
        }
    }
}

fn copy_sqlite_template(name: &str) {
    static MIGRATED: OnceLock<PathBuf> = OnceLock::new();
    let template = MIGRATED.get_or_init(|| {
        let file = new_sqlite_file(TEMPLATE);
        migrate(&format!("sqlite://{}", file.display()));
        file
    });
    let mut template = SqliteConnection::establish(&template.to_string_lossy()).expect("a file");
    let copy = new_sqlite_file(name);
    // A copy of the file would miss what is only in the write-ahead log.
    template
        .batch_execute(&format!(
            "PRAGMA busy_timeout = 5000; VACUUM INTO '{}'",
            copy.display()
        ))
        .expect("the template is copied");
}

fn copy_postgres_template(name: &str) {
    static MIGRATED: OnceLock<()> = OnceLock::new();
    MIGRATED.get_or_init(|| {
        run_on_postgres(&format!("CREATE DATABASE {TEMPLATE}"));
        migrate(&postgres_server().url(TEMPLATE));
    });
    run_on_postgres(&format!("CREATE DATABASE {name} TEMPLATE {TEMPLATE}"));
}

fn run_on_postgres(statement: &str) {
    PgConnection::establish(&postgres_server().url("postgres"))
        .expect("the server takes connections")
        .batch_execute(statement)
        .expect("the role may create and drop databases");
}

fn migrate(url: &str) {
    let settings = [
        ("DATABASE_URL", url),
        ("TOKENHOUSE_DATABASE_POOL_SIZE", "1"),
    ];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let config = Config::from_vars(settings).expect("the settings are good");
    Store::open(&config.database).expect("the migrations run");
}

/// Makes the folder of an SQLite database, and returns the path of the database file.
fn new_sqlite_file(name: &str) -> PathBuf {
    fs::create_dir(sqlite_folder().join(name)).expect("the name is new");
    sqlite_file(name)
}

fn sqlite_file(name: &str) -> PathBuf {
    sqlite_folder().join(name).join("tokenhouse.db")
}

/// The folder of all SQLite databases of this process, removed when the process ends.
fn sqlite_folder() -> &'static Path {
    static FOLDER: OnceLock<ScratchDir> = OnceLock::new();
    FOLDER.get_or_init(|| ScratchDir::for_databases("sqlite"))
}

/// The Postgres server of this test process, started on first use. It ends with the process.
///
/// # Panics
/// When it cannot start: tests on Postgres then fail, they are never skipped.
fn postgres_server() -> &'static PostgresServer {
    static SERVER: OnceLock<Result<PostgresServer, String>> = OnceLock::new();
    match SERVER.get_or_init(PostgresServer::start) {
        Ok(server) => server,
        Err(problem) => panic!("no Postgres to test on: {problem}"),
    }
}
