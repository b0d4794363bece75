//! The domain: what can be done with users and tokens, over whatever transport.
//!
//! Every operation has the same shape: read, then hash or decide without holding a connection,
//! then write in one transaction.

mod access_token;
mod account;
mod admin;
mod after_restore;
mod api_key;
mod audit;
mod caller;
mod chores;
mod deletion;
mod ended;
mod import;
mod instance_key;
mod introspect;
mod precondition;
mod records;
mod register;
mod sign_in;
mod static_key;
mod throttle;
mod timekeeping;
mod unnamed_proxy;
mod user_patch;
mod validation;

use std::sync::Arc;
use std::time::Duration;

pub use access_token::IssuedToken;
pub use admin::{Administrator, UserPage};
pub use after_restore::{Restore, Restored};
pub use api_key::IssuedKey;
pub use audit::{Action, Adoption, EventPage, MarkState, Origin, PageTurn, Problem, Verification};
pub use import::{
    BatchOutcome, ImportMode, ImportedToken, ImportedUser, Importer, Outcome, TokenOutcome,
};
pub use precondition::{Precondition, version};
pub use sign_in::VerifiedAccount;
pub use timekeeping::TimeSeen;
#[cfg(feature = "cli")]
pub(crate) use unnamed_proxy::is_near;
pub use user_patch::UserPatch;
pub use validation::{Field, KeptKeys, KeyInput, PasswordInput, ProfileInput, RegistrationInput};

use api_key::KeyUses;
use audit::{PageTurns, Refusals, Trail};
use chores::Chores;
use instance_key::InstanceKey;
use records::{IntrospectionClients, Start};
use static_key::StaticKeyUses;
use throttle::{Changes, Lines, TurnedAway};
use timekeeping::Warned;
use unnamed_proxy::UnnamedProxies;

use crate::clock::Clock;
use crate::config::{AuthConfig, Config};
use crate::credential::keyed_digest::DigestKey;
use crate::error::Error;
use crate::metrics::{Gauges, Metrics};
use crate::password::{HasherConfig, PasswordHasher};
pub use crate::store::{Credential, Principal};
use crate::store::{Store, StoreError};

/// How often [`Auth::files_replaced`] looks whether they are.
const FILES_INTERVAL: Duration = Duration::from_millis(100);

/// Why the service cannot start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The database is not to be had, or not in the right state.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The system gives no threads.
    #[error("no threads: {0}")]
    Threads(#[from] std::io::Error),
}

/// A handle to everything that authenticates: the way in for a program that uses this library.
///
/// Cheap to clone. Give one clone to each `App` with `.app_data(auth.clone())`, and the extractors
/// of [`crate::guards`] find it there.
#[derive(Clone)]
pub struct Auth(Arc<Inner>);

struct Inner {
    config: AuthConfig,
    store: Store,
    hasher: PasswordHasher,
    clock: Clock,
    clock_warned: Warned,
    trail: Trail,
    refusals: Refusals,
    start: Start,
    introspection_clients: IntrospectionClients,
    page_turns: PageTurns,
    key_uses: KeyUses,
    metrics: Metrics,
    throttle_key: InstanceKey,
    deletion_key: InstanceKey,
    turned_away: TurnedAway,
    lines: Lines,
    static_key_uses: StaticKeyUses,
    changes: Changes,
    unnamed_proxies: UnnamedProxies,
    /// The chores end when this is dropped.
    _chores: Chores,
}

impl Auth {
    /// Opens the database of the settings, brings it up to date, and starts the threads.
    /// Blocks while it does.
    ///
    /// # Errors
    /// When the database or the threads are not to be had.
    pub fn open(config: &Config) -> Result<Self, OpenError> {
        let store = Store::open(&config.database)?;
        Self::new(store, config.auth.clone(), Clock::system())
    }

    /// Puts the parts together: an open database, the rules, and the clock to go by.
    ///
    /// # Errors
    /// [`OpenError::Threads`] when the threads cannot be started.
    pub fn new(store: Store, config: AuthConfig, clock: Clock) -> Result<Self, OpenError> {
        let hasher = PasswordHasher::start(HasherConfig {
            threads: config.hash_threads,
            max_wait: config.hash_queue,
            cost: config.cost,
            max_cost: config.max_cost,
            priority: config.hash_priority,
        })?;
        let chain_key = config.audit_key.clone().map(DigestKey::new);
        let (chores, chores_thread) = Chores::new();
        let auth = Self(Arc::new(Inner {
            hasher,
            trail: Trail::new(clock.clone(), chain_key),
            refusals: Refusals::default(),
            start: Start::default(),
            introspection_clients: IntrospectionClients::default(),
            page_turns: PageTurns::default(),
            key_uses: KeyUses::default(),
            metrics: Metrics::default(),
            throttle_key: InstanceKey::new("throttle"),
            deletion_key: InstanceKey::new("deletion"),
            turned_away: TurnedAway::default(),
            lines: Lines::default(),
            static_key_uses: StaticKeyUses::default(),
            changes: Changes::default(),
            unnamed_proxies: UnnamedProxies::default(),
            config,
            store,
            clock,
            clock_warned: Warned::default(),
            _chores: chores,
        }));
        chores_thread.start(Arc::downgrade(&auth.0))?;
        Ok(auth)
    }

    /// The rules in force.
    pub fn config(&self) -> &AuthConfig {
        &self.0.config
    }

    /// What is counted.
    pub fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// What was counted, as Prometheus reads it.
    pub fn metrics_text(&self) -> String {
        let (connections_used, connections_max) = self.0.store.connections();
        self.0.metrics.encode(Gauges {
            hash_queue: self.0.hasher.queue_depth(),
            connections_used,
            connections_max,
        })
    }

    /// Whether requests can be answered: the database answers, and has the tables we need.
    ///
    /// # Errors
    /// [`Error::Unavailable`] otherwise.
    pub async fn check_ready(&self) -> Result<(), Error> {
        Ok(self.0.store.check_ready().await?)
    }

    /// Waits until the files of the SQLite database are no longer those that were opened, and says
    /// what has happened to them. From that moment on nothing is answered but
    /// [`Error::Unavailable`]; the process has to end and start again. Never returns on Postgres.
    pub async fn files_replaced(&self) -> String {
        loop {
            if let Some(problem) = self.0.store.files_problem() {
                return problem.to_owned();
            }
            tokio::time::sleep(FILES_INTERVAL).await;
        }
    }

    /// See [`Store::release_files`].
    pub fn release_files(&self) {
        self.0.store.release_files();
    }
}

impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Auth")
            .field("config", &self.0.config)
            .finish_non_exhaustive()
    }
}
