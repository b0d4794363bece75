//! A run: processes, clients and faults, for a while; and the history that comes of it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::board::Board;
use crate::cluster::Cluster;
use crate::guardian::Scratch;
use crate::history::{History, Stopwatch};
use crate::server::Program;
use crate::worker::Worker;
use crate::{nemesis, operator};

/// How often each operation is done, relative to the others. Every other client does uses only, and
/// those between them all else twice as often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mix {
    /// Uses of the current token, and of tokens that have ended.
    pub uses: u32,
    /// Sign-ins.
    pub logins: u32,
    /// Sign-outs.
    pub logouts: u32,
    /// `tokenhouse token revoke`
    pub revokes: u32,
    /// `tokenhouse user disable`, most of them with an `enable` soon after.
    pub disables: u32,
    /// `tokenhouse user enable`, for those that are still disabled.
    pub enables: u32,
}

impl Default for Mix {
    fn default() -> Self {
        Self {
            uses: 860,
            logins: 70,
            logouts: 40,
            revokes: 10,
            disables: 10,
            enables: 10,
        }
    }
}

impl Mix {
    /// The same without the operations that are commands.
    #[must_use]
    pub fn without_cli(self) -> Self {
        Self {
            revokes: 0,
            disables: 0,
            enables: 0,
            ..self
        }
    }

    fn needs_cli(self) -> bool {
        self.revokes + self.disables + self.enables > 0
    }
}

/// What is to be done. [`Run::new`] has the defaults.
#[derive(Clone, Debug)]
pub struct Run {
    /// The program `tokenhouse`.
    pub binary: PathBuf,
    /// `DATABASE_URL` of all processes. The users of the run are added to what is there.
    pub database_url: String,
    /// Further settings, or other values for those that a run sets itself.
    pub settings: Vec<(String, String)>,
    /// How many processes serve.
    pub processes: usize,
    /// How many users there are.
    pub users: usize,
    /// How many clients there are, each a thread that does one operation at a time.
    pub clients: usize,
    /// What the clients do.
    pub mix: Mix,
    /// How long the clients are at it.
    pub duration: Duration,
    /// They end earlier after about so many operations.
    pub operations: usize,
    /// Whether processes and commands are killed (`SIGKILL`).
    pub kills: bool,
    /// Whether processes are paused for 0.2 to 3 s (`SIGSTOP`, `SIGCONT`).
    pub pauses: bool,
    /// The program `psql`, if connections to Postgres are to be cut.
    pub cut_connections_with: Option<PathBuf>,
    /// The program `psql`, if a role without rights is to interfere on Postgres.
    pub intrude_with: Option<PathBuf>,
    /// Decides what each client does. When it does it is up to the machine, so a seed does not
    /// repeat a history.
    pub seed: u64,
}

impl Run {
    /// Ten seconds with three processes, eight users and sixteen clients, and without faults.
    pub fn new(binary: PathBuf, database_url: String) -> Self {
        Self {
            binary,
            database_url,
            settings: Vec::new(),
            processes: 3,
            users: 8,
            clients: 16,
            mix: Mix::default(),
            duration: Duration::from_secs(10),
            operations: 1_000_000,
            kills: false,
            pauses: false,
            cut_connections_with: None,
            intrude_with: None,
            seed: 0,
        }
    }

    /// Does it. Nothing is left of the processes afterwards; the users stay in the database.
    ///
    /// # Errors
    /// One sentence: a process does not start, the program lacks a command, or users cannot be
    /// registered.
    pub fn execute(&self) -> Result<History, String> {
        if self.processes == 0 || self.users == 0 || self.clients == 0 || self.mix == NOTHING {
            return Err("a run needs a process, a user, a client and something to do".to_owned());
        }
        // Dropped after the processes, which write into it.
        let scratch = Scratch::new("reliability").map_err(|error| error.to_string())?;
        let program = Program::new(
            &self.binary,
            &self.database_url,
            scratch.path(),
            &self.settings,
        )?;
        if self.mix.needs_cli() && !operator::is_there(&program) {
            let binary = self.binary.display();
            return Err(format!(
                "{binary} cannot disable, enable and revoke: try without"
            ));
        }
        let field = Field {
            cluster: Cluster::start(program, self.processes)?,
            board: Board::new(self.users),
            stopwatch: Stopwatch::start(),
            stop: Stop::default(),
            done: AtomicUsize::new(0),
        };
        self.register_users(&field)?;
        self.play(&field)
    }

    fn register_users(&self, field: &Field) -> Result<(), String> {
        let mut worker = Worker::new(self, field, 0, self.rng(0));
        (0..)
            .take(self.users)
            .try_for_each(|user| worker.register(user))
    }

    /// Lets clients and nemeses loose, and collects what they saw.
    fn play(&self, field: &Field) -> Result<History, String> {
        thread::scope(|scope| {
            let clients: Vec<_> = (0..)
                .take(self.clients)
                .map(|client| {
                    let worker = Worker::new(self, field, client, self.rng(1 + u64::from(client)));
                    scope.spawn(|| worker.work())
                })
                .collect();
            let mut nemeses: Vec<ScopedJoinHandle<'_, Result<(), String>>> = Vec::new();
            let rng = |number: u64| self.rng(u64::MAX - number);
            if self.kills {
                nemeses
                    .push(scope.spawn(move || nemesis::kill(&field.cluster, &field.stop, rng(0))));
            }
            if self.pauses {
                nemeses
                    .push(scope.spawn(move || nemesis::pause(&field.cluster, &field.stop, rng(1))));
            }
            if let Some(psql) = &self.cut_connections_with {
                let url = &self.database_url;
                nemeses.push(scope.spawn(move || nemesis::cut(psql, url, &field.stop, rng(2))));
            }
            if let Some(psql) = &self.intrude_with {
                let url = &self.database_url;
                nemeses.push(scope.spawn(move || nemesis::intrude(psql, url, &field.stop, rng(3))));
            }
            self.wait(field, &nemeses);
            field.stop.set();

            let mut history = History::default();
            for nemesis in nemeses {
                join(nemesis)??;
            }
            for client in clients {
                let seen = join(client)?;
                history.operations.extend(seen.operations);
                history.unexpected.extend(seen.unexpected);
            }
            Ok(history)
        })
    }

    /// Until the time is over or enough is done. A nemesis that ends by itself has failed.
    fn wait(&self, field: &Field, nemeses: &[ScopedJoinHandle<'_, Result<(), String>>]) {
        let start = Instant::now();
        while start.elapsed() < self.duration
            && field.done.load(Ordering::Relaxed) < self.operations
            && !nemeses.iter().any(ScopedJoinHandle::is_finished)
        {
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn rng(&self, stream: u64) -> StdRng {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&self.seed.to_le_bytes());
        seed[8..16].copy_from_slice(&stream.to_le_bytes());
        StdRng::from_seed(seed)
    }
}

const NOTHING: Mix = Mix {
    uses: 0,
    logins: 0,
    logouts: 0,
    revokes: 0,
    disables: 0,
    enables: 0,
};

fn join<T>(thread: ScopedJoinHandle<'_, T>) -> Result<T, String> {
    thread
        .join()
        .map_err(|_panic| "a thread of the run panicked".to_owned())
}

/// What all threads of a run share.
pub(crate) struct Field {
    pub(crate) cluster: Cluster,
    pub(crate) board: Board,
    pub(crate) stopwatch: Stopwatch,
    pub(crate) stop: Stop,
    /// How many operations there were.
    pub(crate) done: AtomicUsize,
}

/// Set at the end of a run.
#[derive(Default)]
pub(crate) struct Stop(AtomicBool);

impl Stop {
    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
