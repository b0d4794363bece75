//! Operations that the service may commit together: two clients register each address at the same
//! moment, at different processes, while others sign in. One registration of each address has to be
//! refused, and that must neither undo nor refuse anything else.

use std::path::Path;
use std::sync::Barrier;
use std::thread;

use clap::Args;
use test_support::{ScratchDir, Server, TestUser};

use crate::fixture::{ApiClient, Backend, Database, Service, program, register, start_server};
use crate::{Findings, Report};

/// The number of processes.
const PROCESSES: usize = 2;

/// The options of `groups`.
#[derive(Clone, Debug, Args)]
pub struct Groups {
    /// The database that the processes share
    #[arg(long, value_enum, default_value = "sqlite")]
    pub database: Backend,
    /// Number of moments at which all clients act
    #[arg(long, default_value_t = 200)]
    pub rounds: usize,
    /// Number of addresses of a round, and of clients that sign in
    #[arg(long, default_value_t = 12)]
    pub addresses: usize,
}

/// The clients of a round, by what they do.
struct Round<'a> {
    /// What is registered, by two clients each.
    new: &'a [TestUser],
    /// Who signs in.
    known: &'a [TestUser],
    servers: &'a [Server],
}

impl Groups {
    /// Runs the rounds, and verifies the audit trail at the end.
    ///
    /// # Errors
    /// One sentence, when a process does not start or does not respond.
    pub fn execute(&self, binary: &Path) -> Result<Report, String> {
        let database = Database::start(self.database)?;
        let scratch = ScratchDir::new("groups");
        let program = program(binary, &database.url(), &scratch, &[])?;
        let servers = (0..PROCESSES).map(|_| start_server(&program));
        let servers: Vec<Server> = servers.collect::<Result<_, _>>()?;
        let users = |round: &str| -> Vec<TestUser> {
            let name = |number| TestUser::new(&format!("user-{round}-{number}"));
            (0..self.addresses).map(name).collect()
        };
        let known = users("known");
        for user in &known {
            register(servers[0].address, user)?;
        }
        let mut report = Report::default();
        for number in 0..self.rounds {
            let round = Round {
                new: &users(&number.to_string()),
                known: &known,
                servers: &servers,
            };
            let mut found = Findings::default();
            report.acknowledged += round.run(&mut found)?;
            report.findings.add(found, &format!("round {number}"));
        }
        // Reads the tables through the service as well.
        Service::new(&program, servers[0].address)?;
        let output = program.run(&["audit", "verify"], "")?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            report.findings.add_wrong(format!("audit verify: {text}"));
        }
        let rounds = self.rounds;
        let summary = format!("{rounds} rounds with {} clients", 3 * self.addresses);
        report.summary.push(summary);
        Ok(report.judge())
    }
}

impl Round<'_> {
    /// Returns the number of acknowledged changes.
    fn run(&self, found: &mut Findings) -> Result<usize, String> {
        let registrations = self.new.iter().flat_map(|user| [(user, 0), (user, 1)]);
        let requests = registrations.map(|(user, process)| (user.register_request(), process));
        let sign_ins = self.known.iter().enumerate();
        let sign_ins = sign_ins.map(|(number, user)| (user.sign_in_request(), number % PROCESSES));
        let requests: Vec<_> = requests.chain(sign_ins).collect();
        let begin = Barrier::new(requests.len());
        let responses = thread::scope(|scope| {
            let clients: Vec<_> = requests
                .iter()
                .map(|(request, process)| {
                    let begin = &begin;
                    let mut api = ApiClient::new(self.servers);
                    scope.spawn(move || {
                        let connected = api.connect(*process).map(drop);
                        begin.wait();
                        connected.and_then(|()| api.send(*process, request))
                    })
                })
                .collect();
            let responses = clients.into_iter().map(|client| client.join());
            let responses = responses.map(|joined| joined.map_err(|_panic| "a client panicked"));
            responses.collect::<Result<Vec<_>, _>>()
        })?;
        let responses = responses.into_iter().collect::<Result<Vec<_>, _>>()?;
        let statuses: Vec<u16> = responses.iter().map(|response| response.status).collect();
        let (registered, signed_in) = statuses.split_at(2 * self.new.len());
        for (user, pair) in self.new.iter().zip(registered.chunks(2)) {
            if ![[201, 409], [409, 201]].iter().any(|good| good == pair) {
                found.add_wrong(format!("{} was registered with {pair:?}", user.email));
            }
        }
        for (user, response) in self.known.iter().zip(&responses[registered.len()..]) {
            let is_accepted = match response.access_token() {
                Some(token) => ApiClient::new(self.servers).count_accepting(&token)? == PROCESSES,
                None => false,
            };
            if !is_accepted {
                let status = response.status;
                found.add_wrong(format!("{} signed in with {status}, in vain", user.email));
            }
        }
        let is_made = |status: &&u16| [200, 201].contains(*status);
        Ok(registered.iter().chain(signed_in).filter(is_made).count())
    }
}
