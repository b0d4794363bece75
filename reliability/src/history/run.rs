//! A run: processes, clients and faults for some time, and the history that results.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::thread::{self, ScopedJoinHandle};
use std::time::Duration;

use clap::Args;
use rand::SeedableRng;
use rand::rngs::StdRng;
use test_support::ScratchDir;

use super::context::{Cluster, RunContext};
use super::worker::{Worker, has_commands};
use super::{History, nemesis};
use crate::fixture::{Backend, Database, program};

/// The options of a run.
#[derive(Clone, Debug, Args)]
pub struct Run {
    /// The database that the processes share
    #[arg(long, value_enum, default_value = "sqlite")]
    pub database: Backend,
    /// Number of server processes
    #[arg(long, default_value_t = 3)]
    pub processes: usize,
    /// Duration in seconds
    #[arg(long, default_value_t = 60)]
    pub seconds: u64,
    /// End earlier after about this many operations
    #[arg(long, default_value_t = 1_000_000)]
    pub operations: usize,
    /// Number of clients, each with one operation at a time
    #[arg(long, default_value_t = 16)]
    pub clients: usize,
    /// Number of users
    #[arg(long, default_value_t = 8)]
    pub users: usize,
    /// Sessions that a user may have; beyond that, one ends at each sign-in
    #[arg(long, default_value_t = 3)]
    pub sessions: usize,
    /// Kill processes and commands (SIGKILL), and restart processes
    #[arg(long)]
    pub kills: bool,
    /// Pause processes for 0.2 to 3 s (SIGSTOP, SIGCONT)
    #[arg(long)]
    pub pauses: bool,
    /// Cut the connections to Postgres
    #[arg(long)]
    pub cuts: bool,
    /// Let a Postgres role without rights forge and flood the notifications of the processes, and hold
    /// the locks that it can take
    #[arg(long)]
    pub intruder: bool,
    /// Remove the users from the calls of changes, as in those of earlier versions: each change pauses
    /// the other processes altogether
    #[arg(long)]
    pub unnamed_calls: bool,
    /// Leave out the commands: disable, enable, revoke
    #[arg(long)]
    pub without_cli: bool,
    /// A setting of every process
    #[arg(long = "setting", value_name = "NAME=VALUE", value_parser = parse_setting)]
    pub settings: Vec<(String, String)>,
    /// Decides what each client does. When it does it depends on the machine, so a seed does not repeat
    /// a history
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

fn parse_setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("it has no =")?;
    Ok((name.to_owned(), value.to_owned()))
}

type Outcome = Result<(), String>;

/// A fault, with the URL of the database.
type Nemesis = fn(&RunContext, &str, StdRng) -> Outcome;

impl Run {
    /// Runs this program. Neither processes nor files are left afterwards.
    ///
    /// # Errors
    /// One sentence: a process does not start, the program lacks a command, or users cannot register.
    pub fn execute(&self, binary: &Path) -> Result<History, String> {
        if self.processes == 0 || self.users == 0 || self.clients == 0 {
            return Err("a run needs a process, a user and a client".to_owned());
        }
        if (self.cuts || self.intruder) && self.database == Backend::Sqlite {
            return Err("--cuts and --intruder need --database postgres".to_owned());
        }
        // Both are dropped after the processes, which use them.
        let database = Database::start(self.database)?;
        let scratch = ScratchDir::new("history");
        let sessions = self.sessions.to_string();
        let mut settings = vec![
            ("TOKENHOUSE_BCRYPT_COST", "4"),
            ("TOKENHOUSE_LIMITS", "off"),
            ("TOKENHOUSE_SESSIONS_PER_USER", &sessions),
            // Longer than any run: a refresh is repeated until another one follows.
            ("TOKENHOUSE_REFRESH_GRACE", "3600"),
        ];
        let further = self.settings.iter();
        settings.extend(further.map(|(name, value)| (name.as_str(), value.as_str())));
        let program = program(binary, &database.url(), &scratch, &settings)?;
        if !self.without_cli && !has_commands(&program) {
            let binary = binary.display();
            return Err(format!(
                "{binary} cannot disable, enable and revoke: try --without-cli"
            ));
        }
        let cluster = Cluster::start(program, self.processes)?;
        if self.unnamed_calls {
            database.forget_users_of_calls()?;
        }
        let context = RunContext::new(cluster, self.users);
        let mut worker = Worker::new(self, &context, 0, self.rng(0));
        let mut users = (0..).take(self.users);
        users.try_for_each(|user| worker.register(user))?;
        self.collect(&context, &database.url())
    }

    /// Starts clients and nemeses, and collects what they report.
    fn collect(&self, context: &RunContext, url: &str) -> Result<History, String> {
        let nemeses = [
            (self.kills, nemesis::kill as Nemesis),
            (self.pauses, nemesis::pause),
            (self.cuts, nemesis::cut),
            (self.intruder, nemesis::intrude),
        ];
        thread::scope(|scope| {
            let worker = |client| {
                let worker = Worker::new(self, context, client, self.rng(1 + u64::from(client)));
                scope.spawn(|| worker.work())
            };
            let clients: Vec<_> = (0..).take(self.clients).map(worker).collect();
            let numbered = (0..).zip(nemeses).filter(|(_, (is_wanted, _))| *is_wanted);
            let nemeses: Vec<_> = numbered
                .map(|(number, (_, nemesis))| {
                    let rng = self.rng(u64::MAX - number);
                    scope.spawn(move || nemesis(context, url, rng))
                })
                .collect();
            self.wait(context, &nemeses);
            context.stop();

            let mut history = History {
                sessions_per_user: self.sessions,
                ..History::default()
            };
            for nemesis in nemeses {
                join(nemesis)??;
            }
            for client in clients {
                let report = join(client)?;
                history.operations.extend(report.operations);
                history.unexpected.extend(report.unexpected);
            }
            Ok(history)
        })
    }

    /// Waits until the time is over or enough is done. A nemesis that has ended has failed.
    fn wait(&self, context: &RunContext, nemeses: &[ScopedJoinHandle<'_, Outcome>]) {
        let end = context.started.elapsed() + Duration::from_secs(self.seconds);
        while context.started.elapsed() < end
            && context.operations.load(Ordering::Relaxed) < self.operations
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

fn join<T>(thread: ScopedJoinHandle<'_, T>) -> Result<T, String> {
    let joined = thread.join();
    joined.map_err(|_panic| "a thread of the run panicked".to_owned())
}
