//! Three processes over one Postgres behind Debian's nginx, with the recipe of `deploy/`.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::harness::{
    Backend, Client, Running, RunningProxy, TestDatabase, free_port, proxy, settings,
};

/// The cluster; all of it ends when it is dropped.
pub struct Cluster {
    members: [Member; 3],
    nginx: RunningProxy,
    // The last field: the members let go of the database before it is dropped.
    database: TestDatabase,
}

/// One of the processes.
pub struct Member {
    address: SocketAddr,
    process: Mutex<Option<Running>>,
}

impl Cluster {
    /// Starts all three at once on a database without a table.
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

    /// The way in through nginx.
    pub fn nginx(&self) -> Client {
        *self.nginx
    }

    pub fn members(&self) -> &[Member; 3] {
        &self.members
    }

    /// The ways in, past nginx.
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

    /// Ends a process by a signal, and starts it again. It is ready when this returns.
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
        let ask = || self.client().get("/readyz").try_send();
        while !ask().is_ok_and(|answer| answer.status == 200) {
            assert!(launched.elapsed() < Duration::from_secs(10), "is not ready");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
