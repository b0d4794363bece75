//! The files of an SQLite database: a service notices that they are not the ones any more that it
//! has opened, and nobody but their owner may read what the program writes.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{Backend, Client, Person, Running, ScratchDir, TestApp};

/// How soon a service has to notice.
const NOTICE_TIMEOUT: Duration = Duration::from_secs(1);

/// What this machine may take to end a process beside other tests.
const EXIT_TIMEOUT: Duration = Duration::from_secs(2);

/// A database, a service on it in a process of its own, and a copy from before Alice signed in.
struct Scene {
    app: TestApp,
    folder: ScratchDir,
    database: PathBuf,
    copy: PathBuf,
    alice: Person,
    token: String,
    service: Running,
    client: Client,
}

impl Scene {
    /// The service runs on a file of its own; `app` only lends its settings.
    fn new() -> Self {
        let app = TestApp::start(Backend::Sqlite);
        let folder = ScratchDir::new("files");
        let [database, copy] = ["t.db", "copy.db"].map(|name| folder.join(name));
        let (service, client) = serve(&app, &folder);
        let alice = client.register("alice");
        let mut scene = Self {
            token: String::new(),
            app,
            folder,
            database,
            copy,
            alice,
            service,
            client,
        };
        let copied = scene.run(&["backup", scene.copy.to_str().unwrap()]);
        assert!(copied.status.success(), "{copied:?}");
        scene.token = scene.alice.sign_in();
        assert_eq!(scene.status(), Some(200));
        scene
    }

    fn sidecar(&self, suffix: &str) -> PathBuf {
        self.folder.join(format!("t.db{suffix}"))
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = self.app.program(arguments);
        command.env("DATABASE_URL", url(&self.database));
        command.output().unwrap()
    }

    /// What the token opens; `None` when no service answers.
    fn status(&self) -> Option<u16> {
        let asked = self.client.get("/users/me").bearer(&self.token);
        asked.try_send().ok().map(|answer| answer.status)
    }

    fn is_ready(&self) -> bool {
        let asked = self.client.get("/readyz").try_send();
        asked.is_ok_and(|answer| answer.status == 200)
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

fn remove(scene: &Scene, suffixes: &[&str]) {
    for suffix in suffixes {
        fs::remove_file(scene.sidecar(suffix)).unwrap();
    }
}

/// Puts a copy of a file in the place of another, which stays whole under another name.
fn replace(from: &Path, to: &Path) {
    let new = to.with_extension("new");
    fs::copy(from, &new).unwrap();
    fs::rename(to, to.with_extension("old")).unwrap();
    fs::rename(new, to).unwrap();
}

/// Does something to the files and sees to it that the service ends, with a message that names
/// the file, and that nothing more is answered for a token that the file does not hold.
fn is_noticed(named: &str, what: impl Fn(&Scene)) -> Scene {
    let mut scene = Scene::new();
    let begun = Instant::now();
    what(&scene);
    while scene.is_ready() {
        assert!(begun.elapsed() < NOTICE_TIMEOUT, "still ready");
        thread::sleep(Duration::from_millis(10));
    }
    assert_ne!(scene.status(), Some(200));
    let status = loop {
        if let Some(status) = scene.service.ended() {
            break status;
        }
        assert!(begun.elapsed() < EXIT_TIMEOUT, "it still runs");
        thread::sleep(Duration::from_millis(10));
    };
    assert_eq!(status.code(), Some(1));
    let said = fs::read_to_string(scene.folder.join("stderr")).unwrap();
    let named = format!("tokenhouse: {}", scene.sidecar(named).display());
    assert!(said.contains(&named), "{said}");
    scene
}

/// As a supervisor would.
fn restart(scene: &mut Scene) {
    (scene.service, scene.client) = serve(&scene.app, &scene.folder);
    scene.alice.client = scene.client;
}

#[test]
fn a_file_and_its_log_that_are_replaced_are_noticed() {
    let mut scene = is_noticed("", |scene| {
        replace(&scene.copy, &scene.database);
        remove(scene, &["-wal", "-shm"]);
    });
    restart(&mut scene);
    assert_eq!(scene.status(), Some(401), "the copy does not hold it");
    scene.alice.sign_in();
}

#[test]
fn a_file_that_is_replaced_beside_its_log_is_noticed_and_the_log_is_not_read_into_it() {
    let mut scene = is_noticed("", |scene| replace(&scene.copy, &scene.database));
    restart(&mut scene);
    assert_eq!(scene.status(), Some(401), "the copy does not hold it");
    scene.alice.sign_in();
    let verified = scene.run(&["audit", "verify"]);
    assert!(verified.status.success(), "{verified:?}");
}

#[test]
fn a_file_that_is_removed_is_noticed_and_not_made_again() {
    let scene = is_noticed("", |scene| remove(scene, &[""]));
    assert!(!scene.database.exists(), "the service has made a new one");
}

#[test]
fn a_log_that_is_removed_is_noticed_and_nothing_in_it_is_lost() {
    let mut scene = is_noticed("-wal", |scene| remove(scene, &["-wal"]));
    restart(&mut scene);
    assert_eq!(scene.status(), Some(200));
}

#[test]
fn a_log_that_is_replaced_is_noticed() {
    is_noticed("-wal", |scene| {
        replace(&scene.sidecar("-wal"), &scene.sidecar("-wal"));
    });
}

#[test]
fn shared_memory_that_is_removed_is_noticed() {
    let mut scene = is_noticed("-shm", |scene| remove(scene, &["-shm"]));
    restart(&mut scene);
    assert_eq!(scene.status(), Some(200));
}

#[test]
fn a_file_that_is_written_over_is_noticed_and_the_log_is_not_read_into_it() {
    let mut scene = Scene::new();
    fs::copy(&scene.copy, &scene.database).unwrap();
    let begun = Instant::now();
    while scene.service.ended().is_none() {
        assert!(begun.elapsed() < EXIT_TIMEOUT, "it still runs");
        thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(scene.status(), None);
    let said = fs::read_to_string(scene.folder.join("stderr")).unwrap();
    assert!(
        said.contains("t.db was written to by another program"),
        "{said}"
    );
    restart(&mut scene);
    assert_eq!(scene.status(), Some(401), "the copy does not hold it");
    scene.alice.sign_in();
}

#[test]
fn a_file_whose_time_is_set_is_noticed_and_nothing_is_lost() {
    let mut scene = is_noticed("", |scene| {
        let mut touch = std::process::Command::new("touch");
        touch
            .arg("--reference")
            .args([&scene.copy, &scene.database]);
        assert!(touch.status().unwrap().success());
    });
    restart(&mut scene);
    assert_eq!(scene.status(), Some(200));
}

/// An app with the library has a process of its own to see to: everything is refused in it.
#[test]
fn an_app_with_the_library_refuses_everything() {
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
        // It is too late for that: what was missed meanwhile is not known.
        if aside.exists() {
            fs::rename(&aside, &now).unwrap();
            thread::sleep(NOTICE_TIMEOUT / 2);
        }
    }
}

/// What the program itself does beside the service, and what an operator may do in a shell.
#[test]
fn what_leaves_the_files_in_place_is_no_alarm() {
    let mut scene = Scene::new();
    let execute = |statements: &str| {
        use diesel::connection::SimpleConnection;
        use diesel::{Connection, SqliteConnection};
        let mut conn = SqliteConnection::establish(scene.database.to_str().unwrap()).unwrap();
        let begin = conn.batch_execute("PRAGMA busy_timeout = 5000");
        begin.and_then(|()| conn.batch_execute(statements))
    };
    for round in 0..8 {
        scene.alice.sign_in();
        let listed = scene.run(&["user", "list"]);
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
        // It is in use, so this is refused.
        assert!(execute("PRAGMA journal_mode = DELETE").is_err());
        let copied = scene.run(&[
            "backup",
            scene.sidecar(&format!(".{round}")).to_str().unwrap(),
        ]);
        assert!(copied.status.success(), "{copied:?}");
    }
    thread::sleep(Duration::from_millis(300));
    assert!(scene.service.ended().is_none());
    assert!(scene.is_ready());
}

/// The mode that a file has at every moment while it is there.
fn modes_while(file: &Path, mut running: std::process::Child) -> Vec<u32> {
    let mut modes = Vec::new();
    while running.try_wait().unwrap().is_none() {
        let about = fs::symlink_metadata(file);
        modes.extend(about.ok().map(|about| about.permissions().mode() & 0o777));
    }
    assert!(running.wait().unwrap().success());
    modes.dedup();
    modes
}

#[test]
fn nobody_else_may_read_a_copy_or_a_restored_file_at_any_moment() {
    let mut scene = Scene::new();
    let large = "INSERT INTO instance_secrets (name, secret) \
                 VALUES ('ballast', hex(zeroblob(60000000)))";
    {
        use diesel::connection::SimpleConnection;
        use diesel::{Connection, SqliteConnection};
        let mut conn = SqliteConnection::establish(scene.database.to_str().unwrap()).unwrap();
        conn.batch_execute(large).unwrap();
    }
    let start = |arguments: &[&str]| {
        let mut command = std::process::Command::new("sh");
        let program = scene.app.program(arguments);
        // The most open mask there is.
        command.args(["-c", "umask 000; exec \"$@\"", "sh"]);
        command.arg(program.get_program()).args(program.get_args());
        command.envs(
            program
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
        command.env("DATABASE_URL", url(&scene.database));
        command.spawn().unwrap()
    };
    let copy = scene.folder.join("large.db");
    let modes = modes_while(&copy, start(&["backup", copy.to_str().unwrap()]));
    assert_eq!(modes, [0o600]);

    scene.service.signal("TERM");
    while scene.service.ended().is_none() {
        thread::sleep(Duration::from_millis(10));
    }
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o644)).unwrap();
    let staged = scene.folder.join("t.db.restoring");
    let restore = ["restore", "--replace", copy.to_str().unwrap()];
    let modes = modes_while(&staged, start(&restore));
    assert_eq!(modes, [0o600]);
    let mode = fs::metadata(&scene.database).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(!staged.exists());
}

#[test]
fn a_link_is_never_written_through() {
    let scene = Scene::new();
    let [link, target] = ["link", "target"].map(|name| scene.folder.join(name));
    symlink(&target, &link).unwrap();
    let backup = scene.run(&["backup", link.to_str().unwrap()]);
    assert!(!backup.status.success());
    let said = String::from_utf8(backup.stderr).unwrap();
    assert!(said.contains("there already"), "{said}");
    assert!(!target.exists());

    // The database too is made only where its name leads.
    let mut migrate = scene.app.program(&["migrate"]);
    migrate.env("DATABASE_URL", url(&link));
    assert!(!migrate.output().unwrap().status.success());
    assert!(!target.exists());
}
