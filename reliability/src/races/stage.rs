//! Two processes on one database, an administrator, and connections to both.

use serde_json::Value;

use super::subject::Subject;
use crate::client::{Connection, Request};
use crate::desk::{Desk, create_administrator, json_request, open, sign_in};
use crate::server::{Program, Server};

/// How many processes there are.
pub(super) const PROCESSES: usize = 2;

/// The administrator.
const PASSWORD: &str = "mulberry-Tram-70";

/// See the module.
pub(super) struct Stage {
    pub(super) program: Program,
    servers: Vec<Server>,
    desk: Desk,
    admin: String,
    /// Connections of those who use credentials, kept from one round to the next.
    clients: Vec<Connection>,
    /// How many subjects there were.
    subjects: usize,
}

impl Stage {
    pub(super) fn start(program: Program) -> Result<Self, String> {
        let server = |number| Server::start(&program, &format!("process-{number}.log"));
        let servers: Vec<Server> = (0..PROCESSES).map(server).collect::<Result<_, _>>()?;
        let name = format!("admin-{}@example.com", std::process::id());
        create_administrator(&program, &name, PASSWORD)?;
        let mut desk = Self::desk_to(&servers);
        let admin = sign_in(&mut desk, 0, &name, PASSWORD)?.ok_or("the administrator is out")?;
        Ok(Self {
            program,
            servers,
            desk,
            admin,
            clients: Vec::new(),
            subjects: 0,
        })
    }

    /// More connections.
    pub(super) fn desk(&self) -> Desk {
        Self::desk_to(&self.servers)
    }

    fn desk_to(servers: &[Server]) -> Desk {
        Desk::to(servers.iter().map(|server| server.address))
    }

    /// Connections of so many who use credentials, to the processes in turns.
    pub(super) fn clients(&mut self, count: usize) -> Result<Vec<Connection>, String> {
        let mut clients = std::mem::take(&mut self.clients);
        if !clients.iter().all(Connection::is_open) {
            clients.clear();
        }
        for number in clients.len()..count {
            clients.push(open(self.servers[number / 2 % PROCESSES].address)?);
        }
        Ok(clients)
    }

    /// Takes them back for the next round.
    pub(super) fn keep(&mut self, clients: Vec<Connection>) {
        self.clients = clients;
    }

    /// Somebody new, with a login token and a key.
    pub(super) fn subject(&mut self) -> Result<Subject, String> {
        self.subjects += 1;
        let email = format!(
            "subject-{}-{}@example.com",
            std::process::id(),
            self.subjects
        );
        Subject::new(self, email)
    }

    /// The connections of the stage itself.
    pub(super) fn own_desk(&mut self) -> &mut Desk {
        &mut self.desk
    }

    /// As the administrator.
    pub(super) fn administer(
        &mut self,
        method: &str,
        path: &str,
        body: Option<&Value>,
        statuses: &[u16],
    ) -> Result<Value, String> {
        let request = self.as_admin(method, path, body);
        let answer = self.desk.insist(0, &request, statuses)?;
        Ok(serde_json::from_slice(&answer.body).unwrap_or_default())
    }

    /// A request of the administrator.
    pub(super) fn as_admin(&self, method: &str, path: &str, body: Option<&Value>) -> Request {
        json_request(method, path, &self.admin, body)
    }
}
