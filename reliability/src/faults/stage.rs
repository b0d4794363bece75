//! A Tokenhouse in front of a Postgres that can be made to fail.

use std::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::probe::{Probe, STATIC_KEY};
use super::proxy::Proxy;
use super::{FaultRow, GOOD_WITHIN};
use crate::durability::client::Service;
use crate::durability::compare::Findings;
use crate::durability::field::{administrator, start};
use crate::durability::snapshot::Location;
use crate::guardian::Scratch;
use crate::postgres::PostgresServer;
use crate::server::{Program, Server};

/// How long Postgres is frozen or unreachable: longer than anybody waits for it.
const AWAY: Duration = Duration::from_secs(5);

/// Between two faults.
const QUIET: Duration = Duration::from_millis(500);

/// When it is given up to wait for a good answer.
const RECOVER_WITHIN: Duration = Duration::from_secs(20);

/// A way in which Postgres fails.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    Restart,
    Stop,
    Freeze,
    BlackHole,
}

impl Fault {
    pub(super) const ALL: [Self; 4] = [Self::Restart, Self::Stop, Self::Freeze, Self::BlackHole];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Restart => "restart at once",
            Self::Stop => "immediate stop, away for 5 s",
            Self::Freeze => "SIGSTOP for 5 s",
            Self::BlackHole => "network held back for 5 s",
        }
    }
}

/// See the module.
pub(super) struct Stage {
    pub(super) proxy: Proxy,
    pub(super) service: Service,
    pub(super) location: Location,
    pub(super) program: Program,
    pub(super) server: Server,
    postgres: PostgresServer,
    _scratch: Scratch,
}

impl Stage {
    pub(super) fn new(binary: &Path) -> Result<Self, String> {
        let scratch = Scratch::new("faults").map_err(|error| error.to_string())?;
        let postgres = PostgresServer::start()?;
        let proxy = Proxy::start(SocketAddr::from(([127, 0, 0, 1], postgres.port())))
            .map_err(|error| error.to_string())?;
        let behind = Location::Postgres(postgres.url_at(proxy.address.port()));
        let key = ("API_KEY_TOKEN".to_owned(), STATIC_KEY.to_owned());
        let program = Program::new(binary, &behind.url(), scratch.path(), &[key])?;
        let server = start(&program)?;
        let service = administrator(&program, &server)?;
        Ok(Self {
            proxy,
            service,
            location: Location::Postgres(postgres.url()),
            program,
            server,
            postgres,
            _scratch: scratch,
        })
    }

    /// Lets Postgres fail once, and waits until reads and writes are answered again.
    pub(super) fn once(
        &mut self,
        fault: Fault,
        probes: &[Probe],
        row: &mut FaultRow,
        findings: &mut Findings,
    ) -> Result<(), String> {
        thread::sleep(QUIET);
        self.fail(fault)?;
        let [read, write] = ["a live token", "a write"].map(|name| named(probes, name));
        probes.iter().for_each(Probe::forget_good);
        let back = Instant::now();
        row.rounds += 1;
        for (probe, times) in [(read, &mut row.reads_back), (write, &mut row.writes_back)] {
            let took = probe.map_or(RECOVER_WITHIN, |probe| wait_for_good(probe, back));
            if took > GOOD_WITHIN {
                let took = took.as_millis();
                findings.add_wrong(format!("{}: back after {took} ms only", fault.name()));
            }
            times.push(took);
        }
        Ok(())
    }

    fn fail(&mut self, fault: Fault) -> Result<(), String> {
        match fault {
            Fault::Restart => {
                self.postgres.stop()?;
                self.postgres.start_again()
            }
            Fault::Stop => {
                self.postgres.stop()?;
                thread::sleep(AWAY);
                self.postgres.start_again()
            }
            Fault::Freeze => {
                self.postgres.pause()?;
                thread::sleep(AWAY);
                self.postgres.resume()
            }
            Fault::BlackHole => {
                self.proxy.hold(true);
                thread::sleep(AWAY);
                self.proxy.hold(false);
                Ok(())
            }
        }
    }
}

fn wait_for_good(probe: &Probe, back: Instant) -> Duration {
    while back.elapsed() < RECOVER_WITHIN {
        if let Some(at) = probe.first_good() {
            return at.duration_since(back);
        }
        thread::sleep(Duration::from_millis(2));
    }
    RECOVER_WITHIN
}

fn named<'a>(probes: &'a [Probe], name: &str) -> Option<&'a Probe> {
    probes.iter().find(|probe| probe.name == name)
}
