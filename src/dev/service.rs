//! A service that can be replaced by a new one on a copy of the seeded database.

use std::fs::{self, File};
use std::io;
use std::mem;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::thread;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::web::ServiceConfig;
use chrono::{DateTime, Utc};
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

use super::{Folder, SeedUser};
use crate::auth::Auth;
use crate::clock::Clock;
use crate::config::{Config, DatabaseConfig, DatabaseUrl};
use crate::error::Error;
use crate::http::replaceable_server;
use crate::metrics::Metrics;
use crate::private_file;
use crate::store::{self, Store};
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
    config: Config,
    clock_start: ClockStart,
    #[cfg(feature = "cli")]
    seed: Vec<SeedUser>,
    metrics: Arc<Metrics>,
    current: RwLock<Generation>,
    /// The number of the current generation. Locked during a reset.
    resets: Mutex<u64>,
    // The last field: the generation releases its files first.
    folder: Folder,
}

/// The service between two resets.
struct Generation {
    auth: Auth,
    clock: Clock,
    worker: Worker,
    database: DatabaseConfig,
}

impl Service {
    /// Starts a service, and creates these users. Blocks for some milliseconds.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] when a user is refused; otherwise when the temporary folder cannot
    /// be written.
    pub(crate) async fn start(
        config: Config,
        clock_start: ClockStart,
        seed: Vec<SeedUser>,
    ) -> io::Result<Self> {
        let folder = Folder::create()?;
        let metrics = Arc::default();
        let first = database_file(&folder, 0);
        let current = Generation::open(&config, &metrics, clock_start, first)?;
        for user in &seed {
            let created = user.create(&current.auth).await;
            created.map_err(|error| refused_user(&user.email, &error))?;
        }
        current
            .auth
            .audit()
            .begin()
            .await
            .map_err(io::Error::other)?;
        store::backup(&current.database, &seed_file(&folder)).map_err(io::Error::other)?;
        Ok(Self(Arc::new(Inner {
            config,
            clock_start,
            #[cfg(feature = "cli")]
            seed,
            metrics,
            current: RwLock::new(current),
            resets: Mutex::new(0),
            folder,
        })))
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
        replaceable_server(current, &self.0.config.server, listener, extend)
    }

    /// The users that exist from the start.
    #[cfg(feature = "cli")]
    pub(crate) fn seed(&self) -> &[SeedUser] {
        &self.0.seed
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
        self.0.folder.remove();
    }

    fn replace(&self, number: u64) -> io::Result<()> {
        let inner = &self.0;
        let file = database_file(&inner.folder, number);
        io::copy(
            &mut File::open(seed_file(&inner.folder))?,
            &mut private_file::create(&file)?,
        )?;
        let next = Generation::open(&inner.config, &inner.metrics, inner.clock_start, file)?;
        let mut current = inner
            .current
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let old = mem::replace(&mut *current, next);
        drop(current);
        // The worker of the old service may be in the middle of a query.
        thread::Builder::new().spawn(move || old.end())?;
        Ok(())
    }
}

impl Generation {
    fn open(
        config: &Config,
        metrics: &Arc<Metrics>,
        clock_start: ClockStart,
        file: PathBuf,
    ) -> io::Result<Self> {
        let mut database = config.database.clone();
        database.url = DatabaseUrl::Sqlite(file);
        database.is_temporary = true;
        let clock = clock_start.clock();
        let store = Store::open(&database).map_err(io::Error::other)?;
        let store = store.allow_outages();
        let metrics = Arc::clone(metrics);
        let auth = Auth::with_metrics(store, config.auth.clone(), clock.clone(), metrics);
        let auth = auth.map_err(io::Error::other)?;
        Ok(Self {
            worker: Worker::start(&auth)?,
            auth,
            clock,
            database,
        })
    }

    /// Ends the service and removes its database, unless a test keeps the service open.
    fn end(self) {
        let is_closed = self.auth.store().closing();
        drop(self.worker);
        drop(self.auth);
        let Some(file) = self.database.url.sqlite_path() else {
            return;
        };
        let mut checks = (0..MAX_CLOSE_CHECKS).inspect(|_| thread::sleep(CLOSE_INTERVAL));
        if !checks.any(|_| is_closed()) {
            return;
        }
        for suffix in ["", "-wal", "-shm"] {
            let mut name = file.as_os_str().to_owned();
            name.push(suffix);
            // SQLite has removed some of them, and the folder is removed at the end.
            let _ = fs::remove_file(name);
        }
    }
}

fn refused_user(email: &str, error: &Error) -> io::Error {
    let kind = match error {
        Error::InvalidInput(_) | Error::EmailTaken => io::ErrorKind::InvalidInput,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, format!("user {email}: {error}"))
}

fn database_file(folder: &Folder, number: u64) -> PathBuf {
    folder.path().join(format!("{number}.db"))
}

/// A copy of the database from right after the start.
fn seed_file(folder: &Folder) -> PathBuf {
    folder.path().join("seed.db")
}
