//! Copies made while clients write: each is the database as it was at one moment, and nothing that
//! was acknowledged before that moment is missing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use diesel::{Connection, QueryableByName, RunQueryDsl, SqliteConnection, sql_types::Text};

use crate::harness::{Backend, Client, Person, ScratchDir, TestApp};

const COPIES: usize = 4;
const CLIENTS: usize = 3;

/// What the clients have been told is done.
#[derive(Clone, Default)]
struct Acknowledged {
    users: BTreeSet<String>,
    keys: BTreeSet<i64>,
    /// Keys that have ended.
    revoked: BTreeSet<i64>,
}

#[test]
fn copies_made_under_load_are_consistent_and_miss_nothing() {
    let app = TestApp::start(Backend::Sqlite);
    let folder = ScratchDir::new("backup");
    let acknowledged = Mutex::new(Acknowledged::default());
    let ended = AtomicBool::new(false);
    let mut before_each = Vec::new();
    let begun = Instant::now();
    thread::scope(|scope| {
        for number in 0..CLIENTS {
            let (client, acknowledged, ended) = (*app, &acknowledged, &ended);
            scope.spawn(move || write_until(client, number, acknowledged, ended));
        }
        for copy in 0..COPIES {
            // Something new for each copy to hold.
            let enough = 3 * (copy + 1);
            while acknowledged.lock().unwrap().revoked.len() < enough {
                assert!(begun.elapsed() < Duration::from_secs(60), "too slow");
                thread::sleep(Duration::from_millis(10));
            }
            before_each.push(acknowledged.lock().unwrap().clone());
            let file = folder.join(format!("copy-{copy}"));
            let output = app.program(&["backup", file.to_str().unwrap()]).output();
            let output = output.unwrap();
            ended.fetch_or(!output.status.success(), Ordering::Relaxed);
            assert!(output.status.success(), "{output:?}");
        }
        ended.store(true, Ordering::Relaxed);
    });
    let original = events(app.database().url().trim_start_matches("sqlite://"));
    let mut compared = 0;
    for (copy, before) in before_each.iter().enumerate() {
        let restored = folder.join(format!("restored-{copy}.db"));
        let url = format!("sqlite://{}", restored.display());
        let from = folder.join(format!("copy-{copy}"));
        let from = from.to_str().unwrap();
        run(&app, &url, &["restore", "--keep-keys", from]);
        run(&app, &url, &["audit", "verify"]);
        compared += compare(&restored, before, &original);
    }
    println!("{COPIES} copies under load, {compared} rows compared");
    works_like_the_original(&app, &folder.join("restored-0.db"), &before_each[0]);
}

/// Registers people, who sign in, make two keys and end one.
fn write_until(
    client: Client,
    number: usize,
    acknowledged: &Mutex<Acknowledged>,
    ended: &AtomicBool,
) {
    for person in 0.. {
        let person = client.register(&format!("person-{number}-{person}"));
        let told = |tell: &dyn Fn(&mut Acknowledged)| tell(&mut acknowledged.lock().unwrap());
        told(&|all| _ = all.users.insert(person.email.clone()));
        let token = person.sign_in();
        let keys = [(); 2].map(|()| client.create_key(&token, "").id);
        told(&|all| all.keys.extend(keys));
        let path = format!("/users/me/keys/{}", keys[0]);
        let ended_key = client.request("DELETE", &path).bearer(&token).send();
        assert_eq!(ended_key.status, 204, "{ended_key:?}");
        told(&|all| _ = all.revoked.insert(keys[0]));
        if ended.load(Ordering::Relaxed) {
            return;
        }
    }
}

fn run(app: &TestApp, url: &str, arguments: &[&str]) {
    let output = app.program(arguments).env("DATABASE_URL", url).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
}

/// Compares a copy with what was acknowledged before it, and with the original, whose trail has
/// grown since. Returns how many rows that were.
fn compare(copy: &Path, before: &Acknowledged, original: &BTreeMap<String, String>) -> usize {
    let copy = copy.to_str().unwrap();
    let rows = |query: &str| -> BTreeSet<String> { texts(copy, query).into_iter().collect() };
    let users = rows("SELECT email AS text FROM users");
    assert!(before.users.is_subset(&users), "users are missing");
    let keys = rows("SELECT CAST(id AS TEXT) AS text FROM api_keys");
    assert!(before.keys.iter().all(|id| keys.contains(&id.to_string())));
    let revoked = "SELECT CAST(id AS TEXT) AS text FROM api_keys WHERE revoked_at IS NOT NULL";
    let revoked = rows(revoked);
    assert!(
        before
            .revoked
            .iter()
            .all(|id| revoked.contains(&id.to_string()))
    );
    assert!(rows("SELECT \"table\" AS text FROM pragma_foreign_key_check").is_empty());

    // The trail tells of exactly these users and keys, and is the beginning of what it has become.
    let told = |action: &str| {
        rows(&format!(
            "SELECT target AS text FROM audit_events WHERE action = '{action}' AND result = 'ok'"
        ))
    };
    let user_ids = rows("SELECT 'user:' || id AS text FROM users");
    assert_eq!(user_ids, told("register"));
    let key_ids = rows("SELECT 'key:' || id AS text FROM api_keys");
    assert_eq!(key_ids, told("key.create"));
    assert_eq!(revoked.len(), told("key.revoke").len());
    // Its last event tells of the restoration itself.
    let mut trail = events(copy);
    let (_, last) = trail.pop_last().unwrap();
    let by_operator = last.contains("|operator:") && last.contains("|shell|restore|");
    assert!(by_operator, "{last}");
    assert!(
        !trail.is_empty() && trail.len() <= original.len(),
        "{} of {}",
        trail.len(),
        original.len()
    );
    for (number, (id, event)) in trail.iter().enumerate() {
        assert_eq!(original.get(id), Some(event));
        assert_eq!(id, &format!("{:020}", number + 1), "an event is missing");
    }
    users.len() + keys.len() + trail.len()
}

/// The events by their ids, each as one text.
fn events(file: &str) -> BTreeMap<String, String> {
    let query = "SELECT printf('%020d', id) || '|' || at || '|' || actor || '|' || credential || \
                 '|' || action || '|' || target || '|' || result || '|' || detail || '|' || \
                 previous_digest || '|' || digest AS text FROM audit_events ORDER BY id";
    let lines = texts(file, query);
    lines
        .iter()
        .filter_map(|line| line.split_once('|'))
        .map(|(id, rest)| (id.to_owned(), rest.to_owned()))
        .collect()
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    text: String,
}

fn texts(file: &str, query: &str) -> Vec<String> {
    let mut conn = SqliteConnection::establish(file).unwrap();
    let lines: Vec<Line> = diesel::sql_query(query).load(&mut conn).unwrap();
    lines.into_iter().map(|line| line.text).collect()
}

/// Serves a restored copy, on which people sign in with their passwords.
fn works_like_the_original(app: &TestApp, restored: &Path, before: &Acknowledged) {
    let url = format!("sqlite://{}", restored.display());
    let (_process, client) = app.spawn_server_with(&[("DATABASE_URL", &url)]);
    for email in before.users.iter().take(3) {
        let name = email.trim_end_matches("@example.com");
        let person = Person {
            client,
            email: email.clone(),
            password: format!("the password of {name}"),
        };
        assert_eq!(client.status("/users/me", &person.sign_in()), 200);
    }
}
