//! Group commit: operations that share a transaction are refused, undone and answered each on its
//! own, or all together when the transaction fails.

use std::thread;
use std::time::{Duration, Instant};

use test_support::TestUser;

use crate::audit::Auditor;
use crate::harness::{Backend, Person, TestApp, concurrently, on_both_databases};

on_both_databases!(refusals_undo_only_their_own_operation);

/// Operations that wait at the same time.
const CLIENTS: usize = 48;

/// Makes every change wait: the head of the trail is locked last.
const LOCK_HEAD: &str = "UPDATE audit_head SET id = 1";

/// Until all clients wait. Shorter than Postgres waits for a lock.
const GATHER_TIME: Duration = Duration::from_millis(700);

/// Makes requests on a thread each while changes have to wait for this long. Returns their numbers and
/// statuses.
fn together(
    app: &TestApp,
    held: Duration,
    request: impl Fn(usize) -> u16 + Sync,
) -> Vec<(usize, u16)> {
    let request = &request;
    thread::scope(|scope| {
        let requests = app.database().hold(LOCK_HEAD, || {
            let requests = scope
                .spawn(move || concurrently(CLIENTS, CLIENTS, |number| (number, request(number))));
            thread::sleep(held);
            requests
        });
        requests.join().unwrap()
    })
}

fn count_of(statuses: &[(usize, u16)], status: u16) -> usize {
    statuses.iter().filter(|(_, one)| *one == status).count()
}

fn count_events(app: &TestApp, condition: &str) -> usize {
    let count = app
        .database()
        .count(&format!("audit_events WHERE {condition}"));
    usize::try_from(count).unwrap()
}

fn refusals_undo_only_their_own_operation(backend: Backend) {
    let app = TestApp::start(backend);
    let people: Vec<Person> = (0..CLIENTS / 4)
        .map(|number| app.register(&format!("user{number}")))
        .collect();
    let old: Vec<String> = people.iter().map(Person::sign_in).collect();
    let (registered, signed_in) = (
        count_events(&app, "action = 'register'"),
        count_events(&app, "action = 'login'"),
    );
    let statuses = together(&app, GATHER_TIME, |number| {
        let (kind, person) = (number % 4, &people[number / 4]);
        let request = match kind {
            // Two clients want the same address, and both find it free at first.
            0 | 1 => {
                let user = TestUser::new(&format!("fresh{}", number / 4));
                app.post("/register").json(&user.registration())
            }
            2 => return person.try_sign_in(&person.password, "").status,
            _ => return person.try_sign_in("wrong password", "").status,
        };
        request.send().status
    });
    for (number, status) in &statuses {
        let expected: &[u16] = match number % 4 {
            0 | 1 => &[201, 409],
            2 => &[200],
            _ => &[401],
        };
        assert!(expected.contains(status), "{number}: {statuses:?}");
    }
    let each = CLIENTS / 4;
    assert_eq!(count_of(&statuses, 201), each);
    for number in 0..each {
        let user = TestUser::new(&format!("fresh{number}"));
        let response = app.send(user.sign_in_request()).unwrap();
        assert_eq!(response.status, 200);
    }
    assert!(
        old.iter()
            .all(|token| app.status("/users/me", token) == 401)
    );
    let events =
        |action: &str| count_events(&app, &format!("action = '{action}' AND result = 'ok'"));
    assert_eq!(events("register"), registered + each);
    assert_eq!(events("login"), signed_in + 2 * each);
    assert_eq!(Auditor::new(&app, None).problems(), [""; 0]);
}

#[test]
fn operations_are_not_begun_after_the_timeout() {
    let app = TestApp::start(Backend::Sqlite);
    let alice = app.register("alice");
    // Longer than a client waits for the database.
    let held = Duration::from_millis(3_300);
    let statuses = together(&app, held, |_number| {
        alice.try_sign_in(&alice.password, "").status
    });
    assert_eq!(count_of(&statuses, 503), CLIENTS, "{statuses:?}");
    alice.sign_in();
    assert_eq!(count_events(&app, "action = 'login'"), 1);
}

/// Ends the connections that wait for a lock. Returns how many.
const END_WAITING: &str = "SELECT pg_terminate_backend(pid)::text AS text FROM pg_stat_activity \
     WHERE datname = current_database() AND wait_event_type = 'Lock'";

#[test]
fn lost_connection_undoes_the_whole_group() {
    let app = TestApp::start(Backend::Postgres);
    let people: Vec<Person> = (0..CLIENTS)
        .map(|number| app.register(&format!("user{number}")))
        .collect();
    let statuses = thread::scope(|scope| {
        let (app, people) = (&app, &people);
        let requests = app.database().hold(LOCK_HEAD, || {
            let requests = scope.spawn(move || {
                concurrently(CLIENTS, CLIENTS, |number| {
                    let person = &people[number];
                    (number, person.try_sign_in(&person.password, "").status)
                })
            });
            // The first transaction holds the operation that came first, the second one the others.
            let (started, mut ended) = (Instant::now(), 0);
            while ended < 2 {
                thread::sleep(Duration::from_millis(300));
                ended += app.database().texts(END_WAITING).len();
                assert!(
                    started.elapsed() < Duration::from_secs(10),
                    "{ended} waited"
                );
            }
            requests
        });
        requests.join().unwrap()
    });
    let refused = count_of(&statuses, 503);
    assert!(refused > 1, "{statuses:?}");
    let signed_in = count_of(&statuses, 200);
    assert_eq!(refused + signed_in, CLIENTS, "{statuses:?}");
    let login = "action = 'login' AND result = 'ok'";
    assert_eq!(count_events(&app, login), signed_in);
    let tokens = app.database().count("access_tokens");
    assert_eq!(usize::try_from(tokens).unwrap(), signed_in);
    people.iter().for_each(|person| drop(person.sign_in()));
    assert_eq!(Auditor::new(&app, None).problems(), [""; 0]);
}
