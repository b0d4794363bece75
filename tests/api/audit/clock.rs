//! A wrong clock deletes nothing and revives nothing.

use chrono::{TimeDelta, Utc};
use tokenhouse::auth::SignIn;
use tokenhouse::store::Store;
use tokenhouse::{Auth, Clock};

use super::{Auditor, run};
use crate::harness::{Backend, Log, Running, TestApp, on_both_databases, runtime};

on_both_databases!(
    clock_far_ahead_deletes_nothing,
    operator_must_confirm_a_clock_far_ahead,
    expired_credentials_stay_expired_when_the_clock_goes_back,
    mark_of_a_pruned_event_is_inconclusive,
    events_of_an_earlier_key_can_be_pruned,
);

const TABLES: [&str; 5] = [
    "audit_events",
    "access_tokens",
    "login_failures",
    "api_keys",
    "sessions",
];

/// A service on this database, with this clock.
fn service(app: &TestApp, clock: Clock) -> Auth {
    let config = app.config();
    let store = Store::open(&config.database).unwrap();
    Auth::new(store, config.auth, clock).unwrap()
}

fn counts(app: &TestApp) -> [i64; 5] {
    TABLES.map(|table| app.database().count(table))
}

fn clock_far_ahead_deletes_nothing(backend: Backend) {
    let app = TestApp::builder(backend)
        .setting("TOKENHOUSE_LIMITS", "on")
        .start();
    let alice = app.register("alice");
    let token = alice.sign_in();
    app.create_key(&token, "");
    let mark = run(&app, &["audit", "verify"]).1;
    let mark = mark.trim_end().rsplit_once(' ').unwrap().1;
    let before = counts(&app);
    assert!(before.iter().all(|count| *count > 0), "{before:?}");

    let ahead = Clock::manual(Utc::now() + TimeDelta::days(400));
    let service = service(&app, ahead.clone());
    let runtime = runtime();
    let prune = || {
        runtime.block_on(async {
            service.audit().begin().await.unwrap();
            let events = service.audit().prune().await.unwrap();
            let tokens = service.prune_tokens().await.unwrap();
            events + tokens + service.throttle().prune().await.unwrap()
        })
    };
    assert_eq!(prune(), 0);
    // Nor when an operation uses that clock and time goes on.
    assert!(
        runtime
            .block_on(service.check_token(token.as_bytes()))
            .is_err()
    );
    let request = SignIn::new(&alice.email, alice.password.clone().into());
    let origin = tokenhouse::AuditContext::operator();
    let issued = service.sign_in(&origin, request);
    runtime.block_on(issued).unwrap();
    ahead.advance(TimeDelta::days(1));
    assert_eq!(prune(), 0);
    assert_eq!(app.database().count("audit_events"), before[0] + 1);
    // The sign-in added a throttle counter.
    let after = counts(&app);
    assert_eq!([after[1], after[3]], [before[1], before[3]]);
    assert!(after[2] > before[2], "{after:?}");
    let (code, printed) = run(&app, &["audit", "verify", "--contains", mark]);
    assert_eq!(code, Some(0), "{printed}");
    // After the clock is corrected, the wrong time has no effect.
    assert_eq!(
        app.get("/users/me").bearer(&alice.sign_in()).send().status,
        200
    );
}

fn operator_must_confirm_a_clock_far_ahead(backend: Backend) {
    let app = TestApp::start(backend);
    app.register("alice").sign_in();
    app.database().execute(
        "UPDATE clock_mark SET at = '2025-01-01 00:00:00';
         UPDATE access_tokens SET expiration_date = '2025-06-01 00:00:00'",
    );
    let mut log = Log::new();
    let mut command = app.program(&["serve"]);
    let (process, _server) = Running::serve(command.stderr(log.writer()));
    for command in [["token", "prune"], ["audit", "prune"]] {
        let (code, printed) = run(&app, &command);
        assert_eq!(code, Some(1), "{printed}");
        assert!(printed.contains("--confirm"), "{printed}");
    }
    let (code, printed) = run(&app, &["doctor"]);
    assert_eq!(code, Some(1), "{printed}");
    assert!(
        printed.contains("ahead of the latest time seen"),
        "{printed}"
    );
    assert_eq!(app.database().count("access_tokens"), 1);

    let confirmed = run(&app, &["token", "prune", "--confirm"]);
    assert_eq!(
        confirmed,
        (Some(0), "deleted 1 expired login token\n".to_owned())
    );
    let confirmations = "audit_events WHERE action = 'clock.confirm' AND actor LIKE 'operator:%'";
    assert_eq!(app.database().count(confirmations), 1);
    assert_eq!(run(&app, &["audit", "prune"]).0, Some(0));
    let (_, printed) = run(&app, &["doctor"]);
    assert!(printed.contains("ok\tclock and database"), "{printed}");
    process.signal("TERM");
    process.wait();
    let log = String::from_utf8(log.bytes()).unwrap();
    assert_eq!(
        log.matches("ahead of the latest time seen").count(),
        1,
        "{log}"
    );

    // A mark ahead of the clock needs confirmation too.
    app.database()
        .execute("UPDATE clock_mark SET at = '2099-01-01 00:00:00'");
    let (code, printed) = run(&app, &["doctor"]);
    assert_eq!(code, Some(1), "{printed}");
    assert!(printed.contains("the clock is behind"), "{printed}");
    assert_eq!(run(&app, &["audit", "prune", "--confirm"]).0, Some(0));
    let ahead = "clock_mark WHERE at > '2098-01-01 00:00:00'";
    assert_eq!(app.database().count(ahead), 0);
}

fn expired_credentials_stay_expired_when_the_clock_goes_back(backend: Backend) {
    let start = Utc::now();
    let clock = Clock::manual(start);
    let app = TestApp::builder(backend).clock(clock.clone()).start();
    let alice = app.register("alice");
    let token = alice.sign_in();
    let key = app.create_key(&token, "").secret;
    let status = |app: &TestApp, token: &str| app.get("/users/me").bearer(token).send().status;
    assert_eq!(status(&app, &token), 200);
    clock.advance(TimeDelta::hours(25));
    assert_eq!(status(&app, &token), 401);
    clock.advance(TimeDelta::hours(-25));
    assert_eq!(status(&app, &token), 401);
    // The service keeps working, using the later time.
    assert_eq!(status(&app, &key), 200);
    assert_eq!(status(&app, &alice.sign_in()), 200);

    // Other processes use it too, including those that start later.
    let bob = app.register("bobby");
    let token = bob.sign_in();
    clock.advance(TimeDelta::hours(2 * 25));
    assert_eq!(status(&app, &token), 401);
    let service = service(&app, clock.clone());
    let runtime = runtime();
    assert!(runtime.block_on(service.check_clock()).unwrap());
    let later = app.sibling().clock(Clock::manual(start)).start();
    later.register("carol");
    assert_eq!(status(&later, &token), 401);
    let token = later.register("david").sign_in();
    assert_eq!(status(&later, &token), 200);
}

/// An app with activity from 400 days ago and from ten days ago.
fn old_app(backend: Backend) -> TestApp {
    let days_ago = |days| Clock::manual(Utc::now() - TimeDelta::days(days));
    let app = TestApp::builder(backend).clock(days_ago(400)).start();
    let alice = app.register("alice");
    (0..4).for_each(|_| drop(alice.sign_in()));
    let later = app.sibling().clock(days_ago(10)).start();
    let bob = later.register("bobby");
    (0..4).for_each(|_| drop(bob.sign_in()));
    app
}

fn mark_of_a_pruned_event_is_inconclusive(backend: Backend) {
    let app = old_app(backend);
    let digest = |id: i64| {
        let query = format!("SELECT digest AS text FROM audit_events WHERE id = {id}");
        app.database().texts(&query).remove(0)
    };
    let marks = [3, 5, 7].map(|id| format!("{id}:{}", digest(id)));
    let verify = |mark: &str| run(&app, &["audit", "verify", "--contains", mark]);
    for mark in &marks {
        assert_eq!(verify(mark).0, Some(0));
    }
    assert_eq!(run(&app, &["audit", "prune"]).0, Some(1));
    let (code, printed) = run(&app, &["audit", "prune", "--confirm"]);
    assert_eq!((code, printed.as_str()), (Some(0), "deleted 5 events\n"));
    let (code, printed) = verify(&marks[0]);
    assert_eq!(code, Some(3), "{printed}");
    assert!(printed.contains("cannot be told"), "{printed}");
    assert_eq!(verify(&marks[1]).0, Some(0));
    assert_eq!(verify(&marks[2]).0, Some(0));
    for other in ["5:x", "7:x", "99:x", "-1:x"] {
        let expected = if other.starts_with('-') { 3 } else { 1 };
        let contains = format!("--contains={other}");
        let (code, printed) = run(&app, &["audit", "verify", &contains]);
        assert_eq!(code, Some(expected), "{other}: {printed}");
    }
}

fn events_of_an_earlier_key_can_be_pruned(backend: Backend) {
    const KEY: &str = "an audit key of more than 32 characters";
    let app = old_app(backend);
    let keyed = app.sibling().setting("TOKENHOUSE_AUDIT_KEY", KEY).start();
    assert_eq!(run(&keyed, &["audit", "adopt-key"]).0, Some(0));
    let (code, printed) = run(&keyed, &["audit", "prune", "--confirm"]);
    assert_eq!((code, printed.as_str()), (Some(0), "deleted 5 events\n"));
    let auditor = Auditor::new(&app, Some(KEY));
    assert_eq!(auditor.problems(), [""; 0]);
    super::drop_triggers(&app);
    app.database()
        .execute("UPDATE audit_events SET ip = '-' WHERE id = 7");
    let expected = "events 6 to 10 are not as they were when the operator adopted the present key";
    assert_eq!(auditor.problems(), [expected]);
}
