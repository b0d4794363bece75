//! Several processes over one Postgres behind nginx, restarted and killed one by one under a mixed load.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::{
    Backend, Client, Person, Request, Running, RunningProxy, STATIC_KEY, StopOnDrop, TestDatabase,
    free_port, proxy, settings, size, text,
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

/// The requests that were sent, and their failures.
#[derive(Default)]
pub struct Tally {
    /// Requests that nginx may retry.
    pub retriable: AtomicUsize,
    /// Requests that nginx may not retry.
    pub not_retriable: AtomicUsize,
    /// Logouts after which the token was rejected everywhere.
    pub revocations: AtomicUsize,
    /// Failures of retriable requests.
    pub failures: Mutex<Vec<String>>,
    /// Failures of the other requests.
    pub final_failures: Mutex<Vec<String>>,
}

/// The clients of the load.
pub struct Load {
    client: Client,
    tally: Tally,
    stopped: AtomicBool,
}

impl Load {
    pub fn new(client: Client) -> Self {
        Self {
            client,
            tally: Tally::default(),
            stopped: AtomicBool::new(false),
        }
    }

    /// Runs six clients during `act`, and returns the results.
    pub fn during(self, act: impl FnOnce()) -> Tally {
        thread::scope(|scope| {
            let clients: [fn(&Self, &Person); 6] = [
                Self::use_token,
                Self::use_token,
                Self::use_key,
                Self::introspect,
                Self::sign_in,
                Self::sign_out,
            ];
            for (number, work) in clients.into_iter().enumerate() {
                let person = self.client.register(&format!("person{number}"));
                let load = &self;
                scope.spawn(move || work(load, &person));
            }
            let _stop = StopOnDrop(&self.stopped);
            act();
        });
        self.tally
    }

    fn is_running(&self) -> bool {
        !self.stopped.load(Ordering::Relaxed)
    }

    /// Sends a retriable request; returns the body of a response with the expected status.
    fn expect(&self, status: u16, request: Request) -> Option<String> {
        self.tally.retriable.fetch_add(1, Ordering::Relaxed);
        let what = request.target();
        match request.try_send() {
            Ok(response) if response.status == status => Some(response.text().to_owned()),
            other => {
                let failure = format!("{what}: {status} was expected: {other:?}");
                self.tally.failures.lock().unwrap().push(failure);
                None
            }
        }
    }

    fn use_token(&self, person: &Person) {
        let token = person.sign_in();
        while self.is_running() {
            self.expect(200, self.client.get("/users/me").bearer(&token));
        }
    }

    fn use_key(&self, person: &Person) {
        let key = self.client.create_key(&person.sign_in(), "").secret;
        while self.is_running() {
            self.expect(200, self.client.get("/verify").bearer(&key));
        }
    }

    fn introspect(&self, person: &Person) {
        let token = person.sign_in();
        while self.is_running() {
            let request = self.client.post("/introspect").bearer(STATIC_KEY);
            let response = self.expect(200, request.form(&[("token", &token)]));
            let is_active = response.is_none_or(|response| response.contains("\"active\":true"));
            assert!(is_active, "a valid token is reported as inactive");
        }
    }

    fn sign_in_for_token(&self, person: &Person) -> Option<String> {
        let fields = [
            ("username", person.email.as_str()),
            ("password", &person.password),
        ];
        let response = self.expect(200, self.client.post("/token").form(&fields))?;
        let response: serde_json::Value = serde_json::from_str(&response).unwrap();
        Some(text(&response["access_token"]))
    }

    fn sign_in(&self, person: &Person) {
        while self.is_running() {
            if let Some(token) = self.sign_in_for_token(person) {
                self.expect(200, self.client.get("/users/me").bearer(&token));
            }
        }
    }

    /// Signs in and out, and uses the token on all processes afterwards. Also updates the profile.
    fn sign_out(&self, person: &Person) {
        while self.is_running() {
            let Some(token) = self.sign_in_for_token(person) else {
                continue;
            };
            let name = json!({ "surname": "Another" });
            let change = self.client.request("PATCH", "/users/me").json(&name);
            self.send_once(200, change.bearer(&token));
            if !self.send_once(204, self.client.post("/logout").bearer(&token)) {
                continue;
            }
            // nginx distributes them over the servers.
            for _ in 0..4 {
                self.expect(401, self.client.get("/users/me").bearer(&token));
            }
            self.tally.revocations.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Sends a request that nginx may not retry.
    fn send_once(&self, status: u16, request: Request) -> bool {
        self.tally.not_retriable.fetch_add(1, Ordering::Relaxed);
        let what = request.target();
        match request.try_send() {
            Ok(response) if response.status == status => true,
            other => {
                let failure = format!("{what}: {status} was expected: {other:?}");
                self.tally.final_failures.lock().unwrap().push(failure);
                false
            }
        }
    }
}
