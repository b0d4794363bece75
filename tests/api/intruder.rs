//! On Postgres, a role that may connect to the database and has no rights in it. Whatever it sends,
//! hears, repeats and locks: what has ended is refused, changes go through, and checks are answered.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::sql_types::Text;
use diesel::{Connection, PgConnection, RunQueryDsl};
use tokenhouse::credential::token::TokenDigest;

use crate::harness::{Backend, Client, TestApp};

const ROLE: &str = "intruder";

/// What every other check takes at most, with the intruder's work on the same processors.
const MEDIAN_LIMIT: Duration = Duration::from_millis(100);

const CHANNEL: &str = "tokenhouse_sessions";

/// Advisory locks of earlier versions; any role may take them.
const LOCKS: &str = "SELECT pg_advisory_lock(7161543302183), pg_advisory_lock(7161543302184)";

/// So many at once as a single statement sends in a second or two.
const FLOOD: &str = "SELECT pg_notify('tokenhouse_sessions', 'pause x ' || g) \
     FROM generate_series(1, 200000) AS g";

/// Everything that some version has ever said to another process, and some that none has.
const FORGED: [&str; 8] = [
    "",
    "*",
    "resume",
    "resume 0123456789abcdef 0123456789abcdef",
    "pause 0123456789abcdef 0123456789abcdef",
    "0123456789abcdef -1",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "\u{1f980} of a newer version",
];

fn connect(app: &TestApp) -> PgConnection {
    let url = app.database().url();
    let (_, rest) = url.split_once('@').expect("a role");
    PgConnection::establish(&format!("postgres://{ROLE}@{rest}")).expect("PUBLIC may connect")
}

fn create_role(app: &TestApp) {
    app.database().execute(&format!(
        "DO $$ BEGIN CREATE ROLE {ROLE} LOGIN; EXCEPTION WHEN duplicate_object OR unique_violation \
         THEN NULL; END $$"
    ));
}

fn notify(conn: &mut PgConnection, payload: &str) {
    diesel::sql_query("SELECT pg_notify($1, $2)")
        .bind::<Text, _>(CHANNEL)
        .bind::<Text, _>(payload)
        .execute(conn)
        .expect("any role may");
}

/// Hears what the processes tell each other, repeats it, and forges what they might have told.
fn interfere(conn: &mut PgConnection, stop: &AtomicBool, heard: &Mutex<Vec<String>>) {
    conn.batch_execute(&format!("LISTEN {CHANNEL}"))
        .expect("any role may");
    while !stop.load(Ordering::Relaxed) {
        for payload in FORGED {
            notify(conn, payload);
        }
        let sent: Vec<_> = conn.notifications_iter().take(1_000).flatten().collect();
        for notification in sent {
            let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
            let is_ours = FORGED.contains(&notification.payload.as_str())
                || notification.payload.starts_with("pause x ");
            if !is_ours && !heard.contains(&notification.payload) {
                heard.push(notification.payload.clone());
            }
            drop(heard);
            notify(conn, &notification.payload);
        }
        thread::sleep(Duration::from_millis(1));
    }
}

fn flood(conn: &mut PgConnection, stop: &AtomicBool, floods: &AtomicUsize) {
    while !stop.load(Ordering::Relaxed) {
        conn.batch_execute(FLOOD).expect("any role may");
        floods.fetch_add(1, Ordering::Relaxed);
        thread::sleep(Duration::from_millis(300));
    }
}

/// Ends the intruder's threads, also when the test fails.
struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_role_without_rights_changes_nothing() {
    let app = TestApp::start(Backend::Postgres);
    create_role(&app);
    let alice = app.register("alice");
    let (bystander, stop) = (app.register("bob").sign_in(), AtomicBool::new(false));
    let (heard, floods) = (Mutex::default(), AtomicUsize::new(0));
    let mut holder = connect(&app);
    holder.batch_execute(LOCKS).expect("any role may");

    // Also a start: it does not wait for a lock that any role may take.
    let (_process, beside) = app.spawn_server();
    let servers = [*app, beside];
    let mut took = Vec::new();
    let mut check = |server: &Client, token: &str| {
        let asked = Instant::now();
        let status = server.status("/users/me", token);
        took.push(asked.elapsed());
        status
    };
    thread::scope(|scope| {
        let _stop = StopAtEnd(&stop);
        scope.spawn(|| interfere(&mut connect(&app), &stop, &heard));
        scope.spawn(|| flood(&mut connect(&app), &stop, &floods));
        let mut rounds = 0;
        while rounds < 5 || (floods.load(Ordering::Relaxed) < 2 && rounds < 100) {
            let token = alice.sign_in();
            for _ in 0..10 {
                for server in &servers {
                    assert_eq!(check(server, &token), 200);
                    assert_eq!(check(server, &bystander), 200);
                }
            }
            let server = &servers[rounds % 2];
            assert_eq!(server.post("/logout").bearer(&token).send().status, 204);
            assert_eq!(servers.map(|server| check(&server, &token)), [401, 401]);
            rounds += 1;
        }
    });
    took.sort_unstable();
    assert!(took[took.len() / 2] < MEDIAN_LIMIT, "{:?}", took.last());
    let heard = heard.into_inner().unwrap();
    assert!(heard.is_empty(), "a notification says something: {heard:?}");
}

#[test]
fn a_notification_of_an_ended_token_does_not_name_it() {
    let app = TestApp::start(Backend::Postgres);
    create_role(&app);
    let mut intruder = connect(&app);
    intruder
        .batch_execute(&format!("LISTEN {CHANNEL}"))
        .unwrap();
    let alice = app.register("alice");
    let token = alice.sign_in();
    let digest = TokenDigest::new(token.as_bytes()).to_hex();
    assert_eq!(app.post("/logout").bearer(&token).send().status, 204);
    let begun = Instant::now();
    let mut said = Vec::new();
    while said.is_empty() && begun.elapsed() < Duration::from_secs(5) {
        said.extend(intruder.notifications_iter().flatten());
    }
    assert!(!said.is_empty(), "there was something to be heard");
    for notification in said {
        assert_eq!((notification.payload.as_str(), digest.len()), ("", 64));
    }
}

/// Neither by statements nor through the functions of the triggers, from a table of its own.
#[test]
fn a_role_without_rights_reaches_none_of_the_tables() {
    let app = TestApp::start(Backend::Postgres);
    create_role(&app);
    for statement in [
        "SELECT * FROM session_calls",
        "SELECT * FROM session_changes",
        "INSERT INTO session_calls VALUES (1)",
        "INSERT INTO session_changes (credential) VALUES ('*')",
        "UPDATE session_leases SET fenced = true",
        "BEGIN; LOCK TABLE session_leases IN ACCESS SHARE MODE",
        "BEGIN; LOCK TABLE __diesel_schema_migrations IN ACCESS SHARE MODE",
        "CREATE TEMP TABLE own (access_token TEXT); \
         CREATE TRIGGER own AFTER DELETE ON own FOR EACH ROW \
         EXECUTE FUNCTION tokenhouse_token_changed()",
    ] {
        let refused = connect(&app).batch_execute(statement).unwrap_err();
        let refused = refused.to_string();
        assert!(
            refused.contains("permission denied"),
            "{statement}: {refused}"
        );
    }
}

/// Who may change users sees to it that processes learn of it, with no right to the tables for that,
/// and cannot put a table of its own in their place.
#[test]
fn a_change_by_a_role_with_few_rights_counts() {
    let app = TestApp::start(Backend::Postgres);
    create_role(&app);
    app.database()
        .execute(&format!("GRANT SELECT, DELETE ON access_tokens TO {ROLE}"));
    let token = app.register("alice").sign_in();
    for _ in 0..5 {
        assert_eq!(app.status("/users/me", &token), 200);
    }
    connect(&app)
        .batch_execute(
            "CREATE TEMP TABLE session_changes (txid BIGINT, credential TEXT); \
             DELETE FROM access_tokens",
        )
        .unwrap();
    let begun = Instant::now();
    while app.status("/users/me", &token) != 401 {
        assert!(
            begun.elapsed() < Duration::from_secs(1),
            "it is still remembered"
        );
    }
}

#[test]
fn doctor_tells_what_other_roles_can_do() {
    let app = TestApp::start(Backend::Postgres);
    create_role(&app);
    let says = || {
        let output = app.program(&["doctor"]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let [connect, temporary, others] = [
        "every role of the server may connect",
        "temporary tables",
        "other roles can read or change the tables",
    ];
    let said = says();
    assert!(said.contains(connect) && said.contains(temporary), "{said}");
    assert!(said.contains("is a superuser"), "{said}");
    assert!(
        said.contains("as the migrations make them") && !said.contains(others),
        "{said}"
    );

    let url = app.database().url();
    let name = url.rsplit('/').next().unwrap();
    app.database().execute(&format!(
        "REVOKE CONNECT, TEMPORARY ON DATABASE {name} FROM PUBLIC; GRANT SELECT ON users TO {ROLE}; \
         ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'"
    ));
    let said = says();
    assert!(
        !said.contains(connect) && !said.contains(temporary),
        "{said}"
    );
    assert!(said.contains(others) && said.contains(ROLE), "{said}");
    assert!(said.contains("'serializable'"), "{said}");
}
