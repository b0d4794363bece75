//! Kills the process in the middle of changes, again and again, and looks each time whether the
//! state is what the audit trail tells: no change without its event, no event without its change.

mod client;
mod trail;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rand::RngExt;

use crate::desk::{Desk, create_administrator, sign_in};
use crate::guardian::Scratch;
use crate::server::{Program, Server};

use client::{Client, Done};
use trail::Trail;

/// Clients that make changes at the same time.
const CLIENTS: usize = 3;

/// Milliseconds from the first change to the next kill.
const LIVES: std::ops::Range<u64> = 0..100;

/// The longest wait for the first change: on Postgres it waits for the process that was killed.
const FIRST_WITHIN: Duration = Duration::from_secs(10);

const PASSWORD: &str = "mulberry-Tram-70";

/// What is to be done, on a database that nothing has happened in yet.
#[derive(Clone, Debug)]
pub struct Crashes {
    /// The program `tokenhouse`.
    pub binary: PathBuf,
    /// `DATABASE_URL`.
    pub database_url: String,
    /// How often the process is killed.
    pub kills: usize,
}

/// What was seen.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// How often it was killed.
    pub kills: usize,
    /// Changes that were acknowledged.
    pub acknowledged: usize,
    /// Changes that were asked for and had no answer when the process was killed.
    pub interrupted: usize,
    /// How many of those were made.
    pub made: usize,
    /// Events that tell of changes.
    pub events: usize,
    /// Where state and trail do not agree.
    pub differences: Vec<String>,
}

impl Crashes {
    /// Does it.
    ///
    /// # Errors
    /// One sentence: the program does not start, or gives an answer that it must not give.
    pub fn execute(&self) -> Result<Tally, String> {
        let scratch = Scratch::new("crashes").map_err(|error| error.to_string())?;
        let grantable = ("TOKENHOUSE_GRANTABLE_SCOPES", "turn:*");
        let settings = [(grantable.0.to_owned(), grantable.1.to_owned())];
        let program = Program::new(&self.binary, &self.database_url, scratch.path(), &settings)?;
        let name = format!("admin-{}@example.com", std::process::id());
        create_administrator(&program, &name, PASSWORD)?;
        let mut server = Server::start(&program, "log")?;
        let mut desk = Desk::to([server.address].into_iter());
        let admin = sign_in(&mut desk, 0, &name, PASSWORD)?.ok_or("the administrator is out")?;
        let client = |number| Client::new(&mut desk, &admin, number);
        let mut clients: Vec<Client> = (0..CLIENTS).map(client).collect::<Result<_, _>>()?;
        let mut trail = Trail::new(&admin);
        trail.read_on(&mut desk)?;
        let mut tally = Tally::default();
        for _ in 0..self.kills {
            let done = change_until_killed(server, &mut clients)?;
            server = Server::start(&program, "log")?;
            desk = Desk::to([server.address].into_iter());
            let events = trail.read_on(&mut desk)?;
            tally.add(done, events);
            trail.compare_users(&mut desk)?;
            for client in &mut clients {
                client.compare(&mut desk, &mut trail)?;
            }
            tally.differences.append(&mut trail.differences);
        }
        Ok(tally)
    }
}

/// Lets the clients make changes until the process has been killed.
fn change_until_killed(server: Server, clients: &mut [Client]) -> Result<Done, String> {
    let address = server.address;
    let begun = &AtomicBool::new(false);
    let outcomes = thread::scope(|scope| {
        let work = |client| scope.spawn(move || Client::change(client, address, begun));
        let threads: Vec<_> = clients.iter_mut().map(work).collect();
        let start = Instant::now();
        while !begun.load(Ordering::Relaxed) && start.elapsed() < FIRST_WITHIN {
            thread::sleep(Duration::from_millis(1));
        }
        thread::sleep(Duration::from_millis(rand::rng().random_range(LIVES)));
        drop(server);
        let join = |thread: thread::ScopedJoinHandle<'_, Result<Done, String>>| {
            thread.join().unwrap_or_else(|_| Err("a panic".to_owned()))
        };
        threads.into_iter().map(join).collect::<Vec<_>>()
    });
    outcomes.into_iter().try_fold(Done::default(), |sum, done| {
        let done = done?;
        Ok(Done {
            acknowledged: sum.acknowledged + done.acknowledged,
            interrupted: sum.interrupted + done.interrupted,
        })
    })
}

impl Tally {
    fn add(&mut self, done: Done, events: usize) {
        self.kills += 1;
        self.acknowledged += done.acknowledged;
        self.interrupted += done.interrupted;
        self.events += events;
        // Each change that was acknowledged has one event, and of the others each has one or none.
        match events.checked_sub(done.acknowledged) {
            Some(made) if made <= done.interrupted => self.made += made,
            _ => self.differences.push(format!(
                "{events} events of {} acknowledged and {} interrupted changes",
                done.acknowledged, done.interrupted
            )),
        }
    }
}
