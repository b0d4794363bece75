//! A service that can be replaced by a new one on a copy of the seeded database.

use std::io;
use std::mem;
use std::net::TcpListener;
use std::sync::{Arc, PoisonError, RwLock};
use std::thread;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::web::ServiceConfig;
use chrono::{DateTime, Utc};
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

use super::Databases;
use crate::auth::Auth;
use crate::clock::Clock;
use crate::config::{Config, DatabaseConfig};
use crate::error::Error;
use crate::http::replaceable_server;
use crate::metrics::Metrics;
use crate::seed::SeedUser;
use crate::store::Store;
use crate::worker::Worker;

/// How often the end of a service checks whether its last request has ended.
const CLOSE_INTERVAL: Duration = Duration::from_millis(10);

/// How many times it checks.
const MAX_CLOSE_CHECKS: u32 = 500;

/// Where the clock is at the start and after a reset.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ClockStart {
    /// It stands at this time.
    At(DateTime<Utc>),
    /// It shows the time of the machine, and ticks.
    #[cfg(feature = "cli")]
    Now,
}

impl ClockStart {
    fn clock(self) -> Clock {
        match self {
            Self::At(time) => Clock::manual(time),
            #[cfg(feature = "cli")]
            Self::Now => {
                let now = Utc::now();
                let clock = Clock::manual(now);
                clock.set(now, true);
                clock
            }
        }
    }
}

/// A service on a database that is removed when the last clone is dropped. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Service(Arc<Inner>);

struct Inner {
    plan: Plan,
    current: RwLock<Generation>,
    /// The number of the current generation. Locked during a reset.
    resets: Mutex<u64>,
    // The last field: the generation releases its database first.
    databases: Databases,
}

/// How each generation starts.
struct Plan {
    config: Config,
    clock_start: ClockStart,
    seed: Vec<SeedUser>,
    metrics: Arc<Metrics>,
}

/// The service between two resets.
struct Generation {
    number: u64,
    auth: Auth,
    clock: Clock,
    worker: Worker,
    database: DatabaseConfig,
}

impl Service {
    /// Starts a service, and creates these users.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] when a user is refused; otherwise when the database cannot be
    /// created.
    pub(crate) async fn start(
        databases: Databases,
        config: Config,
        clock_start: ClockStart,
        seed: Vec<SeedUser>,
    ) -> io::Result<Self> {
        let plan = Plan {
            config,
            clock_start,
            seed,
            metrics: Arc::default(),
        };
        let start = move || {
            let first = Generation::start(&plan, &databases, 0)?;
            databases.keep_seed(&first.database)?;
            Ok(Self(Arc::new(Inner {
                plan,
                current: RwLock::new(first),
                resets: Mutex::new(0),
                databases,
            })))
        };
        spawn_blocking(start).await.map_err(io::Error::other)?
    }

    /// Serves on a listening socket, with the routes that `extend` adds. The server ignores signals.
    ///
    /// # Errors
    /// When the socket cannot be used.
    pub(crate) fn serve(
        &self,
        listener: TcpListener,
        extend: impl Fn(&mut ServiceConfig) + Clone + Send + 'static,
    ) -> io::Result<Server> {
        let service = self.clone();
        let current = move || service.auth();
        replaceable_server(current, &self.0.plan.config.server, listener, extend)
    }

    /// The users that exist from the start.
    #[cfg(feature = "cli")]
    pub(crate) fn seed(&self) -> &[SeedUser] {
        &self.0.plan.seed
    }

    /// The service until the next reset.
    pub(crate) fn auth(&self) -> Auth {
        self.read(|current| current.auth.clone())
    }

    /// The clock until the next reset.
    pub(crate) fn clock(&self) -> Clock {
        self.read(|current| current.clock.clone())
    }

    /// The database until the next reset, without secrets.
    #[cfg(feature = "cli")]
    pub(crate) fn database(&self) -> String {
        self.read(|current| current.database.url.to_string())
    }

    fn read<T>(&self, read: impl FnOnce(&Generation) -> T) -> T {
        read(
            &self
                .0
                .current
                .read()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }

    /// Replaces the service by a new one on a copy of the seeded database: users, credentials, limits
    /// and the clock are as at the start, and all later credentials are invalid. Requests in progress
    /// may fail.
    ///
    /// # Errors
    /// When the new service cannot start; then the current one stays.
    pub(crate) async fn reset(&self) -> io::Result<()> {
        let mut resets = self.0.resets.lock().await;
        *resets += 1;
        let (service, number) = (self.clone(), *resets);
        let replaced = spawn_blocking(move || service.replace(number));
        replaced.await.map_err(io::Error::other)?
    }

    /// Ends the service at the end of the process: removes the database, even if clones remain.
    #[cfg(feature = "cli")]
    pub(crate) fn end(&self) {
        self.0.databases.remove_all();
    }

    fn replace(&self, number: u64) -> io::Result<()> {
        let inner = &self.0;
        let next = Generation::start(&inner.plan, &inner.databases, number)?;
        let mut current = inner
            .current
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let old = mem::replace(&mut *current, next);
        drop(current);
        let service = self.clone();
        // The worker of the old service may be in the middle of a query.
        thread::Builder::new().spawn(move || old.end(&service.0.databases))?;
        Ok(())
    }
}

impl Generation {
    /// Starts a service on a new database with the users of the seed. Blocks, on a thread of a runtime
    /// that may block.
    fn start(plan: &Plan, databases: &Databases, number: u64) -> io::Result<Self> {
        let (url, is_seeded) = databases.prepare(number)?;
        let mut database = plan.config.database.clone();
        database.url = url;
        database.is_temporary = true;
        let clock = plan.clock_start.clock();
        let store = Store::open(&database).map_err(io::Error::other)?;
        let (store, config) = (store.allow_outages(), plan.config.auth.clone());
        let auth = Auth::with_metrics(store, config, clock.clone(), Arc::clone(&plan.metrics));
        let auth = auth.map_err(io::Error::other)?;
        if !is_seeded {
            Handle::current().block_on(seed(&auth, &plan.seed))?;
        }
        Ok(Self {
            number,
            worker: Worker::start(&auth)?,
            auth,
            clock,
            database,
        })
    }

    /// Ends the service and removes its database, unless a test keeps the service open.
    fn end(self, databases: &Databases) {
        let is_closed = self.auth.store().closing();
        drop(self.worker);
        drop(self.auth);
        let mut checks = (0..MAX_CLOSE_CHECKS).inspect(|_| thread::sleep(CLOSE_INTERVAL));
        if checks.any(|_| is_closed()) {
            databases.remove(self.number);
        }
    }
}

/// Creates the users, and begins the audit trail if there are none.
async fn seed(auth: &Auth, users: &[SeedUser]) -> io::Result<()> {
    auth.audit().begin().await.map_err(io::Error::other)?;
    for (index, user) in users.iter().enumerate() {
        let created = user.create(auth).await;
        created.map_err(|error| refused_user(index, user, &error))?;
    }
    Ok(())
}

fn refused_user(index: usize, user: &SeedUser, error: &Error) -> io::Error {
    let kind = match error {
        Error::InvalidInput(_) | Error::EmailTaken => io::ErrorKind::InvalidInput,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, format!("{}: {error}", user.place(index)))
}
