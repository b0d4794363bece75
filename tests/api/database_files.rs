//! The files of an SQLite database: the service notices when they are replaced, and files written by
//! the program are readable only by their owner.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{Backend, Client, Person, Running, ScratchDir, TestApp};

/// How soon the service must notice.
const NOTICE_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a process may take to exit on a busy machine.
const EXIT_TIMEOUT: Duration = Duration::from_secs(2);

/// A database, a service process on it, and a backup from before Alice signed in.
struct Fixture {
    app: TestApp,
    folder: ScratchDir,
    database: PathBuf,
    copy: PathBuf,
    alice: Person,
    token: String,
    service: Running,
    client: Client,
}

impl Fixture {
    /// The service runs on its own file; `app` only provides the settings.
    fn new() -> Self {
        let app = TestApp::start(Backend::Sqlite);
        let folder = ScratchDir::new("files");
        let [database, copy] = ["t.db", "copy.db"].map(|name| folder.join(name));
        let (service, client) = serve(&app, &folder);
        let alice = client.register("alice");
        let mut fixture = Self {
            token: String::new(),
            app,
            folder,
            database,
            copy,
            alice,
            service,
            client,
        };
        let copied = fixture.run(&["backup", fixture.copy.to_str().unwrap()]);
        assert!(copied.status.success(), "{copied:?}");
        fixture.token = fixture.alice.sign_in();
        assert_eq!(fixture.status(), Some(200));
        fixture
    }

    fn sidecar(&self, suffix: &str) -> PathBuf {
        self.folder.join(format!("t.db{suffix}"))
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = self.app.program(arguments);
        command.env("DATABASE_URL", url(&self.database));
        command.output().unwrap()
    }

    /// The status for the token; `None` when no service answers.
    fn status(&self) -> Option<u16> {
        let request = self.client.get("/users/me").bearer(&self.token);
        request.try_send().ok().map(|response| response.status)
    }

    fn is_ready(&self) -> bool {
        let request = self.client.get("/readyz").try_send();
        request.is_ok_and(|response| response.status == 200)
    }
}

fn url(database: &Path) -> String {
    format!("sqlite://{}", database.display())
}

fn serve(app: &TestApp, folder: &Path) -> (Running, Client) {
    let mut command = app.program(&["serve"]);
    command.env("DATABASE_URL", url(&folder.join("t.db")));
    command.stderr(File::create(folder.join("stderr")).unwrap());
    Running::serve(&mut command)
}

fn remove(fixture: &Fixture, suffixes: &[&str]) {
    for suffix in suffixes {
        fs::remove_file(fixture.sidecar(suffix)).unwrap();
    }
}

/// Replaces a file with a copy of another, and keeps the original under another name.
fn replace(from: &Path, to: &Path) {
    let new = to.with_extension("new");
    fs::copy(from, &new).unwrap();
    fs::rename(to, to.with_extension("old")).unwrap();
    fs::rename(new, to).unwrap();
}

/// Changes the files and checks that the service exits with a message that names the file, and
/// rejects a token that the new file does not hold.
fn assert_noticed(named: &str, what: impl Fn(&Fixture)) -> Fixture {
    let mut fixture = Fixture::new();
    let started = Instant::now();
    what(&fixture);
    while fixture.is_ready() {
        assert!(started.elapsed() < NOTICE_TIMEOUT, "still ready");
        thread::sleep(Duration::from_millis(10));
    }
    assert_ne!(fixture.status(), Some(200));
    let status = loop {
        if let Some(status) = fixture.service.ended() {
            break status;
        }
        assert!(started.elapsed() < EXIT_TIMEOUT, "still running");
        thread::sleep(Duration::from_millis(10));
    };
    assert_eq!(status.code(), Some(1));
    let stderr = fs::read_to_string(fixture.folder.join("stderr")).unwrap();
    let named = format!("tokenhouse: {}", fixture.sidecar(named).display());
    assert!(stderr.contains(&named), "{stderr}");
    fixture
}

/// As a supervisor would.
fn restart(fixture: &mut Fixture) {
    (fixture.service, fixture.client) = serve(&fixture.app, &fixture.folder);
    fixture.alice.client = fixture.client;
}

/// Restarts the service, and checks that it serves the copy.
fn restart_on_copy(fixture: &mut Fixture) {
    restart(fixture);
    assert_eq!(
        fixture.status(),
        Some(401),
        "the copy does not hold the token"
    );
    fixture.alice.sign_in();
}

#[test]
fn replaced_database_and_wal_are_noticed() {
    let mut fixture = assert_noticed("", |fixture| {
        replace(&fixture.copy, &fixture.database);
        remove(fixture, &["-wal", "-shm"]);
    });
    restart_on_copy(&mut fixture);
}

#[test]
fn replaced_database_is_noticed_and_the_old_wal_is_not_applied() {
    let mut fixture = assert_noticed("", |fixture| replace(&fixture.copy, &fixture.database));
    restart_on_copy(&mut fixture);
    let verified = fixture.run(&["audit", "verify"]);
    assert!(verified.status.success(), "{verified:?}");
}

#[test]
fn removed_database_is_noticed_and_not_recreated() {
    let fixture = assert_noticed("", |fixture| remove(fixture, &[""]));
    assert!(!fixture.database.exists(), "the service recreated it");
}

#[test]
fn removed_wal_is_noticed_and_nothing_is_lost() {
    let mut fixture = assert_noticed("-wal", |fixture| remove(fixture, &["-wal"]));
    restart(&mut fixture);
    assert_eq!(fixture.status(), Some(200));
}

#[test]
fn replaced_wal_is_noticed() {
    assert_noticed("-wal", |fixture| {
        replace(&fixture.sidecar("-wal"), &fixture.sidecar("-wal"));
    });
}

#[test]
fn removed_shared_memory_is_noticed() {
    let mut fixture = assert_noticed("-shm", |fixture| remove(fixture, &["-shm"]));
    restart(&mut fixture);
    assert_eq!(fixture.status(), Some(200));
}

#[test]
fn overwritten_database_is_noticed_and_the_old_wal_is_not_applied() {
    let mut fixture = Fixture::new();
    fs::copy(&fixture.copy, &fixture.database).unwrap();
    let started = Instant::now();
    while fixture.service.ended().is_none() {
        assert!(started.elapsed() < EXIT_TIMEOUT, "still running");
        thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(fixture.status(), None);
    let stderr = fs::read_to_string(fixture.folder.join("stderr")).unwrap();
    assert!(
        stderr.contains("t.db was written to by another program"),
        "{stderr}"
    );
    restart_on_copy(&mut fixture);
}

#[test]
fn changed_mtime_is_noticed_and_nothing_is_lost() {
    let mut fixture = assert_noticed("", |fixture| {
        let mut touch = std::process::Command::new("touch");
        touch
            .arg("--reference")
            .args([&fixture.copy, &fixture.database]);
        assert!(touch.status().unwrap().success());
    });
    restart(&mut fixture);
    assert_eq!(fixture.status(), Some(200));
}

/// An embedding app has its own process to manage, so the library rejects all requests instead.
#[test]
fn embedding_app_rejects_everything_after_replacement() {
    let app = TestApp::start(Backend::Sqlite);
    let alice = app.register("alice");
    let token = alice.sign_in();
    assert_eq!(app.status("/users/me", &token), 200);
    let database = app.database().url().replace("sqlite://", "");
    let [now, aside] = ["", ".aside"].map(|suffix| PathBuf::from(format!("{database}{suffix}")));
    fs::rename(&now, &aside).unwrap();
    thread::sleep(NOTICE_TIMEOUT);
    for _ in 0..2 {
        assert_eq!(app.get("/readyz").send().status, 503);
        assert_eq!(app.status("/users/me", &token), 503);
        assert_eq!(alice.try_sign_in(&alice.password, "").status, 503);
        // Restoring the file does not help: changes may have been missed in between.
        if aside.exists() {
            fs::rename(&aside, &now).unwrap();
            thread::sleep(NOTICE_TIMEOUT / 2);
        }
    }
}

/// Commands next to the running service, and maintenance in an SQL shell.
#[test]
fn maintenance_in_place_is_not_reported() {
    let mut fixture = Fixture::new();
    let execute = |statements: &str| {
        use diesel::connection::SimpleConnection;
        use diesel::{Connection, SqliteConnection};
        let mut conn = SqliteConnection::establish(fixture.database.to_str().unwrap()).unwrap();
        let begin = conn.batch_execute("PRAGMA busy_timeout = 5000");
        begin.and_then(|()| conn.batch_execute(statements))
    };
    for round in 0..8 {
        fixture.alice.sign_in();
        let listed = fixture.run(&["user", "list"]);
        assert!(listed.status.success(), "{listed:?}");
        for statement in [
            "PRAGMA wal_checkpoint(PASSIVE)",
            "PRAGMA wal_checkpoint(TRUNCATE)",
            "VACUUM",
            "ANALYZE",
            "PRAGMA wal_checkpoint(RESTART)",
        ] {
            execute(statement).unwrap();
        }
        // The database is in use, so this fails.
        assert!(execute("PRAGMA journal_mode = DELETE").is_err());
        let copied = fixture.run(&[
            "backup",
            fixture.sidecar(&format!(".{round}")).to_str().unwrap(),
        ]);
        assert!(copied.status.success(), "{copied:?}");
    }
    thread::sleep(Duration::from_millis(300));
    assert!(fixture.service.ended().is_none());
    assert!(fixture.is_ready());
}

/// All modes that the file has while the process runs.
fn modes_while(file: &Path, mut running: std::process::Child) -> Vec<u32> {
    let mut modes = Vec::new();
    while running.try_wait().unwrap().is_none() {
        let metadata = fs::symlink_metadata(file);
        modes.extend(
            metadata
                .ok()
                .map(|metadata| metadata.permissions().mode() & 0o777),
        );
    }
    assert!(running.wait().unwrap().success());
    modes.dedup();
    modes
}

#[test]
fn backups_and_restored_files_are_private_at_all_times() {
    let mut fixture = Fixture::new();
    let large = "INSERT INTO instance_secrets (name, secret) \
                 VALUES ('ballast', hex(zeroblob(60000000)))";
    {
        use diesel::connection::SimpleConnection;
        use diesel::{Connection, SqliteConnection};
        let mut conn = SqliteConnection::establish(fixture.database.to_str().unwrap()).unwrap();
        conn.batch_execute(large).unwrap();
    }
    let start = |arguments: &[&str]| {
        let mut command = std::process::Command::new("sh");
        let program = fixture.app.program(arguments);
        // The most permissive umask.
        command.args(["-c", "umask 000; exec \"$@\"", "sh"]);
        command.arg(program.get_program()).args(program.get_args());
        command.envs(
            program
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
        command.env("DATABASE_URL", url(&fixture.database));
        command.spawn().unwrap()
    };
    let copy = fixture.folder.join("large.db");
    let modes = modes_while(&copy, start(&["backup", copy.to_str().unwrap()]));
    assert_eq!(modes, [0o600]);

    fixture.service.signal("TERM");
    while fixture.service.ended().is_none() {
        thread::sleep(Duration::from_millis(10));
    }
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o644)).unwrap();
    let staged = fixture.folder.join("t.db.restoring");
    let restore = ["restore", "--replace", copy.to_str().unwrap()];
    let modes = modes_while(&staged, start(&restore));
    assert_eq!(modes, [0o600]);
    let mode = fs::metadata(&fixture.database)
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(!staged.exists());
}

#[test]
fn symlinks_are_never_written_through() {
    let fixture = Fixture::new();
    let [link, target] = ["link", "target"].map(|name| fixture.folder.join(name));
    symlink(&target, &link).unwrap();
    let backup = fixture.run(&["backup", link.to_str().unwrap()]);
    assert!(!backup.status.success());
    let stderr = String::from_utf8(backup.stderr).unwrap();
    assert!(stderr.contains("already exists"), "{stderr}");
    assert!(!target.exists());

    // A database is not created through a dangling link either.
    let mut migrate = fixture.app.program(&["migrate"]);
    migrate.env("DATABASE_URL", url(&link));
    assert!(!migrate.output().unwrap().status.success());
    assert!(!target.exists());
}
