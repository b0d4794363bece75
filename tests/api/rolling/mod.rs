//! Several processes over one Postgres behind nginx, restarted and killed one by one under load.

mod load;

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use load::Load;

use crate::harness::{
    Backend, Client, Person, Running, RunningProxy, TestDatabase, free_port, proxy, settings, size,
};

/// `TOKENHOUSE_TEST_ROLLING` is the number of restarts per process.
#[test]
fn rolling_restart_under_load_fails_no_request() {
    let cluster = Cluster::start();
    let rounds = size("TOKENHOUSE_TEST_ROLLING", 1);
    let tally = Load::new(cluster.nginx()).during(|| {
        for _ in 0..rounds {
            for member in cluster.members() {
                thread::sleep(Duration::from_millis(300));
                cluster.restart(member, "TERM");
            }
        }
    });
    let retriable = tally.retriable.load(Ordering::Relaxed);
    let final_requests = tally.not_retriable.load(Ordering::Relaxed);
    let revocations = tally.revocations.load(Ordering::Relaxed);
    let failures = tally.failures.into_inner().unwrap();
    let final_failures = tally.final_failures.into_inner().unwrap();
    println!(
        "{rounds} x 3 SIGTERMs: {retriable} retriable requests, {} failed; {final_requests} others, \
         {} failed; {revocations} sign-outs effective everywhere",
        failures.len(),
        final_failures.len(),
    );
    assert!(retriable > 300 && final_requests > 10 && revocations > 5);
    assert_eq!((failures, final_failures), (Vec::new(), Vec::new()));
    assert_trail_verifies(&cluster);
}

#[test]
fn killed_process_fails_only_its_requests_in_progress() {
    let cluster = Cluster::start();
    let tally = Load::new(cluster.nginx()).during(|| {
        for member in cluster.members() {
            // A writer waits up to a second for the lease of a killed process.
            thread::sleep(Duration::from_millis(1_200));
            cluster.restart(member, "KILL");
        }
    });
    let retriable = tally.retriable.load(Ordering::Relaxed);
    let final_requests = tally.not_retriable.load(Ordering::Relaxed);
    let failures = tally.failures.into_inner().unwrap();
    let final_failures = tally.final_failures.into_inner().unwrap();
    println!(
        "3 x SIGKILL: {retriable} retriable requests, {} failed; {final_requests} others, \
         {} failed",
        failures.len(),
        final_failures.len(),
    );
    assert_eq!(failures, Vec::<String>::new());
    assert!(retriable > 300 && final_requests > 3);
    // One client sends such requests, so each kill can hit one of them.
    assert!(final_failures.len() <= 3, "{final_failures:#?}");
    assert_trail_verifies(&cluster);
}

fn assert_trail_verifies(cluster: &Cluster) {
    let verified = cluster.program(&["audit", "verify"]).output().unwrap();
    assert!(verified.status.success(), "{verified:?}");
}

#[test]
fn revocation_on_one_process_takes_effect_on_all() {
    let cluster = Cluster::start();
    let clients = cluster.clients();
    let statuses = |token: &str| clients.map(|client| client.status("/users/me", token));
    for (number, client) in clients.iter().enumerate() {
        let person = client.register(&format!("person{number}"));
        for other in &clients {
            let token = person.sign_in();
            assert_eq!(statuses(&token), [200; 3]);
            let ended = other.post("/logout").bearer(&token).send();
            assert_eq!((ended.status, statuses(&token)), (204, [401; 3]));
        }
    }
}

#[test]
fn guesses_are_counted_across_processes() {
    let cluster = Cluster::start();
    let clients = cluster.clients();
    let alice = clients[0].register("alice");
    let on = |number: usize| Person {
        client: clients[number % 3],
        email: alice.email.clone(),
        password: alice.password.clone(),
    };
    // The limit of an account, spread over the processes.
    for number in 0..10 {
        assert_eq!(on(number).try_sign_in("a wrong guess", "").status, 401);
    }
    for number in 0..3 {
        let refused = on(number).try_sign_in(&alice.password, "");
        assert_eq!(refused.status, 401, "{number}");
    }
    let throttled = "audit_events WHERE detail LIKE '%throttled%'";
    assert_eq!(cluster.database().count(throttled), 3);
}

#[test]
fn concurrent_starts_migrate_once() {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        for _ in 0..3 {
            let database = TestDatabase::empty(backend);
            let migrate = || {
                let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tokenhouse"));
                command.arg("migrate").env_clear();
                command.env("DATABASE_URL", database.url());
                command.stdout(std::process::Stdio::piped());
                command.spawn().unwrap()
            };
            let running = [(); 4].map(|()| migrate());
            let outputs = running.map(|process| process.wait_with_output().unwrap());
            let succeeded = outputs.iter().all(|output| output.status.success());
            assert!(succeeded, "{backend:?}: {outputs:?}");
            let ran = outputs
                .iter()
                .filter(|output| output.stdout.starts_with(b"ran "));
            assert_eq!(ran.count(), 1, "{backend:?}: {outputs:?}");
            let applied = database.count("__diesel_schema_migrations");
            assert_eq!(applied, count_migrations(backend), "{backend:?}");
        }
    }
}

fn count_migrations(backend: Backend) -> i64 {
    let folder = match backend {
        Backend::Sqlite => "migrations/sqlite",
        Backend::Postgres => "migrations/postgres",
    };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    fs::read_dir(folder).unwrap().count().try_into().unwrap()
}

/// The cluster; stops when dropped.
pub struct Cluster {
    members: [Member; 3],
    nginx: RunningProxy,
    // The last field: the members release the database before it is dropped.
    database: TestDatabase,
}

/// One of the processes.
pub struct Member {
    address: SocketAddr,
    process: Mutex<Option<Running>>,
}

impl Cluster {
    /// Starts all three concurrently on an empty database.
    pub fn start() -> Self {
        let database = TestDatabase::empty(Backend::Postgres);
        let members = [(); 3].map(|()| Member {
            address: ([127, 0, 0, 1], free_port()).into(),
            process: Mutex::new(None),
        });
        let addresses = [0, 1, 2].map(|number: usize| members[number].address);
        let cluster = Self {
            nginx: proxy::start_before_cluster(addresses),
            members,
            database,
        };
        for member in &cluster.members {
            cluster.launch(member);
        }
        for member in &cluster.members {
            member.wait_until_ready();
        }
        cluster
    }

    /// A client of nginx.
    pub fn nginx(&self) -> Client {
        *self.nginx
    }

    pub fn members(&self) -> &[Member; 3] {
        &self.members
    }

    /// Clients of the processes, without nginx.
    pub fn clients(&self) -> [Client; 3] {
        [0, 1, 2].map(|number: usize| self.members[number].client())
    }

    pub fn database(&self) -> &TestDatabase {
        &self.database
    }

    /// The program on the database of the cluster.
    pub fn program(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tokenhouse"));
        command
            .args(arguments)
            .current_dir(std::env::temp_dir())
            .env_clear()
            .envs(settings())
            .env("DATABASE_URL", self.database.url())
            .env("TOKENHOUSE_LIMITS", "on")
            .env("TOKENHOUSE_LIMIT_ADDRESS", "100000")
            .env("TOKENHOUSE_LIMIT_SIGN_INS", "100000")
            .env("TOKENHOUSE_TRUSTED_PROXIES", "127.0.0.1")
            .env("TOKENHOUSE_DRAIN_MS", "300");
        command
    }

    /// Stops a process with a signal and starts it again. It is ready when this returns.
    pub fn restart(&self, member: &Member, signal: &str) {
        let running = member.process.lock().unwrap().take().unwrap();
        running.signal(signal);
        running.wait();
        self.launch(member);
        member.wait_until_ready();
    }

    fn launch(&self, member: &Member) {
        let mut command = self.program(&["serve"]);
        command.env("TOKENHOUSE_BIND", member.address.to_string());
        *member.process.lock().unwrap() = Some(Running::start(&mut command));
    }
}

impl Member {
    pub fn client(&self) -> Client {
        Client::new(self.address)
    }

    fn wait_until_ready(&self) {
        let launched = Instant::now();
        let get_readyz = || self.client().get("/readyz").try_send();
        while !get_readyz().is_ok_and(|response| response.status == 200) {
            assert!(launched.elapsed() < Duration::from_secs(10), "not ready");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
