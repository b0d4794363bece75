//! A Postgres role that may connect and has no rights. Whatever it sends, hears, replays and locks:
//! revoked credentials are rejected, changes succeed, and checks are answered.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::sql_types::Text;
use diesel::{Connection, PgConnection, RunQueryDsl};
use tokenhouse::credential::token::TokenDigest;

use crate::harness::{Backend, Client, StopOnDrop, TestApp};

const ROLE: &str = "intruder";

/// Maximum median duration of a check while the intruder uses the same processors.
const MEDIAN_LIMIT: Duration = Duration::from_millis(100);

const CHANNEL: &str = "tokenhouse_sessions";

/// Advisory locks of earlier versions, which any role may take.
const LOCKS: &str = "SELECT pg_advisory_lock(7161543302183), pg_advisory_lock(7161543302184)";

/// As many notifications as one statement sends in a second or two.
const FLOOD: &str = "SELECT pg_notify('tokenhouse_sessions', 'pause x ' || g) \
     FROM generate_series(1, 200000) AS g";

/// Every message that some version has sent to other processes, and some that none has.
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

/// Listens to the notifications between processes, replays them, and forges others.
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
            let is_forged = FORGED.contains(&notification.payload.as_str())
                || notification.payload.starts_with("pause x ");
            if !is_forged && !heard.contains(&notification.payload) {
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

#[test]
fn unprivileged_role_cannot_interfere() {
    let app = TestApp::start(Backend::Postgres);
    create_role(&app);
    let alice = app.register("alice");
    let (bystander, stop) = (app.register("bob").sign_in(), AtomicBool::new(false));
    let (heard, floods) = (Mutex::default(), AtomicUsize::new(0));
    let mut holder = connect(&app);
    holder.batch_execute(LOCKS).expect("any role may");

    // Starting a process must not wait for a lock that any role may take.
    let (_process, second) = app.spawn_server();
    let servers = [*app, second];
    let mut took = Vec::new();
    let mut check = |server: &Client, token: &str| {
        let started = Instant::now();
        let status = server.status("/users/me", token);
        took.push(started.elapsed());
        status
    };
    thread::scope(|scope| {
        let _stop = StopOnDrop(&stop);
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
    assert!(heard.is_empty(), "a notification has a payload: {heard:?}");
}

#[test]
fn notification_does_not_name_the_revoked_token() {
    let app = TestApp::start(Backend::Postgres);
    create_role(&app);
    let mut intruder = connect(&app);
    intruder
        .batch_execute(&format!("LISTEN {CHANNEL}"))
        .unwrap();
    let alice = app.register("alice");
    let token = alice.sign_in();
    let digest = TokenDigest::new(token.as_bytes()).to_hex();
    // A change rings only if another process has a lease.
    let second = app.sibling().start();
    let is_used = || second.get("/users/me").bearer(&token).send().status == 200;
    while app.database().count("session_leases") == 0 {
        assert!(is_used());
    }
    assert_eq!(app.post("/logout").bearer(&token).send().status, 204);
    let started = Instant::now();
    let mut output = Vec::new();
    while output.is_empty() && started.elapsed() < Duration::from_secs(5) {
        output.extend(intruder.notifications_iter().flatten());
    }
    assert!(!output.is_empty(), "a notification was sent");
    for notification in output {
        assert_eq!((notification.payload.as_str(), digest.len()), ("", 64));
    }
}

/// Neither with statements nor through the trigger functions, from its own table.
#[test]
fn unprivileged_role_cannot_access_any_table() {
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

/// A role that may change users triggers notifications without rights to the tables behind them,
/// and cannot substitute its own table.
#[test]
fn change_by_a_limited_role_takes_effect() {
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
    let started = Instant::now();
    while app.status("/users/me", &token) != 401 {
        assert!(
            started.elapsed() < Duration::from_secs(1),
            "it is still remembered"
        );
    }
}

#[test]
fn doctor_reports_rights_of_other_roles() {
    let app = TestApp::start(Backend::Postgres);
    create_role(&app);
    let doctor = || {
        let output = app.program(&["doctor"]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let [connect, temporary, others] = [
        "every role of the server may connect",
        "temporary tables",
        "other roles can read or change the tables",
    ];
    let output = doctor();
    assert!(
        output.contains(connect) && output.contains(temporary),
        "{output}"
    );
    assert!(output.contains("is a superuser"), "{output}");
    assert!(
        output.contains("as the migrations create them") && !output.contains(others),
        "{output}"
    );

    let url = app.database().url();
    let name = url.rsplit('/').next().unwrap();
    app.database().execute(&format!(
        "REVOKE CONNECT, TEMPORARY ON DATABASE {name} FROM PUBLIC; GRANT SELECT ON users TO {ROLE}; \
         ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'"
    ));
    let output = doctor();
    assert!(
        !output.contains(connect) && !output.contains(temporary),
        "{output}"
    );
    assert!(output.contains(others) && output.contains(ROLE), "{output}");
    assert!(output.contains("'serializable'"), "{output}");
}
