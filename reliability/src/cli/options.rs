//! How a run is to be: the options of every verb that makes a history.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use reliability::Scratch;
use reliability::checker::{Promise, Verdict, check};
use reliability::driver::{Mix, Run};
use reliability::history::{Action, History, Outcome};
use reliability::postgres::PostgresServer;

/// See the module.
#[derive(Clone, Debug, Args)]
pub(super) struct Options {
    /// What the processes share
    #[arg(long, value_enum, default_value = "sqlite")]
    database: Backend,
    /// Processes that serve
    #[arg(long, default_value_t = 3)]
    processes: usize,
    /// Seconds for which clients are at it
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// End earlier after about so many operations
    #[arg(long, default_value_t = 1_000_000)]
    operations: usize,
    /// Clients, each doing one operation at a time
    #[arg(long, default_value_t = 16)]
    clients: usize,
    /// Users
    #[arg(long, default_value_t = 8)]
    users: usize,
    /// Kill processes and commands (SIGKILL), and start processes again
    #[arg(long)]
    kills: bool,
    /// Pause processes for 0.2 to 3 s (SIGSTOP, SIGCONT)
    #[arg(long)]
    pauses: bool,
    /// Cut the connections to Postgres
    #[arg(long)]
    cuts: bool,
    /// Let a Postgres role without rights forge and flood what the processes hear, and hold the
    /// locks that it can take
    #[arg(long)]
    intruder: bool,
    /// Leave out what is done by commands: disable, enable, revoke
    #[arg(long)]
    without_cli: bool,
    /// What every process is started with, besides what a run sets itself
    #[arg(long = "setting", value_name = "NAME=VALUE", value_parser = setting)]
    settings: Vec<(String, String)>,
    /// Decides what each client does
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// What the answers are held to
    #[arg(long, value_enum, default_value = "linearizable")]
    promise: PromiseName,
    /// Seconds for which the history may be searched
    #[arg(long, default_value_t = 300)]
    check_seconds: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Backend {
    Sqlite,
    Postgres,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum PromiseName {
    /// Every operation happens at one moment, for all processes at once
    Linearizable,
    /// The same from each acknowledgement on; before it, processes may differ in what they refuse
    Acknowledged,
}

impl From<PromiseName> for Promise {
    fn from(name: PromiseName) -> Self {
        match name {
            PromiseName::Linearizable => Self::Linearizable,
            PromiseName::Acknowledged => Self::Acknowledged,
        }
    }
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("it has no =")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// A database for a run, gone with it.
pub(super) enum Database {
    Sqlite(Scratch),
    Postgres(PostgresServer),
}

impl Database {
    pub(super) fn start(backend: Backend) -> Result<Self, String> {
        match backend {
            Backend::Sqlite => Scratch::new("sqlite")
                .map(Self::Sqlite)
                .map_err(|error| error.to_string()),
            Backend::Postgres => PostgresServer::start().map(Self::Postgres),
        }
    }

    pub(super) fn url(&self) -> String {
        match self {
            Self::Sqlite(scratch) => {
                format!("sqlite://{}/tokenhouse.db", scratch.path().display())
            }
            Self::Postgres(server) => server.url(),
        }
    }

    fn psql(&self) -> Option<PathBuf> {
        match self {
            Self::Sqlite(_) => None,
            Self::Postgres(server) => Some(server.psql()),
        }
    }
}

impl Options {
    /// Runs the program, prints what was done, and judges it.
    ///
    /// # Errors
    /// When it does not run, or the history proves nothing.
    pub(super) fn run(&self, binary: &Path) -> Result<(History, Verdict), String> {
        if self.cuts && self.database == Backend::Sqlite {
            return Err("--cuts is for Postgres".to_owned());
        }
        if self.intruder && self.database == Backend::Sqlite {
            return Err("--intruder is for Postgres".to_owned());
        }
        let database = Database::start(self.database)?;
        let history = self.to_run(binary, &database).execute()?;
        print_counts(&history);
        if let Some(strange) = history.unexpected.first() {
            let count = history.unexpected.len();
            return Err(format!(
                "{count} or more answers are strange, such as: {strange}"
            ));
        }
        let limit = Duration::from_secs(self.check_seconds);
        let verdict = check(&history, self.promise.into(), limit);
        let is_idle = |outcome| history.count(Action::Use(0), outcome) == 0;
        if is_idle(Outcome::Ok) || is_idle(Outcome::Refused) {
            return Err("no use was accepted, or none refused: that proves nothing".to_owned());
        }
        Ok((history, verdict))
    }

    fn to_run(&self, binary: &Path, database: &Database) -> Run {
        let mix = Mix::default();
        let mut run = Run::new(binary.to_owned(), database.url());
        run.processes = self.processes;
        run.duration = Duration::from_secs(self.seconds);
        run.operations = self.operations;
        run.clients = self.clients;
        run.users = self.users;
        run.kills = self.kills;
        run.pauses = self.pauses;
        run.cut_connections_with = database.psql().filter(|_| self.cuts);
        run.intrude_with = database.psql().filter(|_| self.intruder);
        run.mix = if self.without_cli {
            mix.without_cli()
        } else {
            mix
        };
        run.settings.clone_from(&self.settings);
        run.seed = self.seed;
        run
    }
}

fn print_counts(history: &History) {
    let kinds = [
        ("login", Action::Login(None)),
        ("use", Action::Use(0)),
        ("logout", Action::Logout(0)),
        ("revoke", Action::Revoke),
        ("disable", Action::Disable),
        ("enable", Action::Enable),
    ];
    println!("{} operations", history.operations.len());
    println!("  {:<8} {:>9} {:>9} {:>9}", "", "ok", "refused", "unknown");
    for (name, kind) in kinds {
        let [ok, refused, unknown] = [Outcome::Ok, Outcome::Refused, Outcome::Unknown]
            .map(|outcome| history.count(kind, outcome));
        println!("  {name:<8} {ok:>9} {refused:>9} {unknown:>9}");
    }
}
