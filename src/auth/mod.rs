//! The domain: operations on users and tokens, independent of the transport.
//!
//! Every operation has the same shape: read, then hash or decide without holding a connection,
//! then write in one transaction.

mod access_token;
mod account;
mod admin;
mod after_restore;
mod api_key;
mod caller;
mod device_name;
#[cfg(feature = "mail")]
mod email_change;
#[cfg(feature = "mail")]
mod email_verification;
mod factor_change;
mod factors;
mod introspect;
#[cfg(feature = "mail")]
mod invitations;
#[cfg(feature = "mail")]
mod mail;
#[cfg(feature = "mail")]
mod mail_tokens;
mod own_sessions;
mod owner;
mod paging;
mod passkeys;
#[cfg(feature = "mail")]
mod password_reset;
mod refresh;
mod register;
mod renewal;
mod revoked_credentials;
mod session;
mod session_uses;
mod sign_in;
#[cfg(feature = "pages")]
mod sign_in_code;
mod static_key;
#[cfg(feature = "pages")]
mod statistics;
mod step_up;
mod timekeeping;
mod trusted_devices;
mod user_patch;
mod validation;
#[cfg(not(feature = "mail"))]
mod without_mail;

use std::sync::Arc;
use std::time::Duration;

pub(crate) use access_token::require_user;
#[cfg(feature = "cli")]
pub(crate) use admin::AddressState;
#[cfg(feature = "mail")]
pub use admin::MailPage;
pub use admin::{Addresses, Administrator, MAX_SEARCH, UserPage};
pub use after_restore::{Restore, Restored};
pub use api_key::IssuedKey;
#[cfg(feature = "cli")]
pub(crate) use api_key::time_left;
#[cfg(feature = "mail")]
pub use email_change::EmailChange;
pub use factors::{ConfirmedFactor, Enroller, Factors, NewTotp};
#[cfg(feature = "mail")]
pub use invitations::{AcceptanceInput, InvitationInput, Invited};
#[cfg(feature = "mail")]
pub use mail::{PrintedLink, ProofInput};
pub use passkeys::{NewPasskey, PasskeyAnswer, PasskeyOptions};
#[cfg(feature = "mail")]
pub use password_reset::ResetInput;
pub use renewal::{Proof, RenewedSession};
pub use revoked_credentials::RevokedCredentials;
#[cfg(any(feature = "cli", feature = "pages", feature = "testing"))]
pub(crate) use session::BY_PASSWORD;
pub(crate) use session::MULTI_FACTOR;
#[cfg(feature = "server")]
pub(crate) use session::is_multi_factor;
pub use session::{Device, DeviceSecret, IssuedToken, Refreshable, SignInKind};
pub use sign_in::{
    FactorInput, PendingEnrolment, PendingSignIn, SecondStep, SessionRequest, SignIn, SignInStep,
    VerifiedAccount,
};
#[cfg(feature = "pages")]
pub(crate) use sign_in_code::{CodeRequest, Redeemed};
pub(crate) use step_up::StepUp;
pub use timekeeping::TimeSeen;
pub use user_patch::{Precondition, UserPatch, version};
pub use validation::{Field, KeptKeys, KeyInput, PasswordInput, ProfileInput, RegistrationInput};

use api_key::KeyUses;
use introspect::IntrospectionClients;
use session_uses::SessionUses;
use static_key::StaticKeyUses;
#[cfg(feature = "pages")]
use statistics::StoredCounts;
#[cfg(feature = "pages")]
pub(crate) use statistics::{HASH_WAITS, LIMITS, SESSIONS, Statistics, USERS};
#[cfg(not(feature = "mail"))]
use without_mail::mail_tokens;

pub use crate::audit::AuditContext;
#[cfg(feature = "pages")]
use crate::audit::{Action, Verification};
use crate::audit::{AuditTrail, Event, EventPage, Events};
use crate::clock::Clock;
use crate::config::{AuthConfig, Config};
use crate::credential::keyed_digest::DigestKey;
use crate::error::Error;
use crate::metrics::{Gauges, Metrics};
use crate::password::{HasherConfig, PasswordHasher};
use crate::store::{
    Claims, Ends, EventFilter, InstanceKey, Revoking, Shared, Store, StoreError, Writing,
};
pub use crate::store::{Credential, Principal};
use crate::throttle::Throttle;

/// How often [`Auth::files_replaced`] checks the files.
const FILE_CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// Why the service cannot start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The database cannot be opened, or is not in the right state.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The threads cannot be started.
    #[error("no threads: {0}")]
    Threads(#[from] std::io::Error),
    /// The templates of mails, or the certificates for the mail server, cannot be used.
    #[cfg(feature = "mail")]
    #[error("TOKENHOUSE_MAIL: {0}")]
    Mail(#[from] crate::mail::MailError),
}

/// A handle to everything that authenticates: the entry point for a program that uses this library.
///
/// Cheap to clone. Give one clone to each `App` with `.app_data(auth.clone())`: the guards in
/// [`crate::guards`] find it there.
#[derive(Clone)]
pub struct Auth(Arc<Inner>);

/// How long after a key or a user the same one again is taken for a form that was sent twice.
#[cfg(feature = "pages")]
const TWIN_INTERVAL: chrono::TimeDelta = chrono::TimeDelta::minutes(1);

struct Inner {
    config: AuthConfig,
    store: Store,
    hasher: PasswordHasher,
    clock: Clock,
    audit: AuditTrail,
    throttle: Throttle,
    metrics: Arc<Metrics>,
    deletion_key: InstanceKey,
    introspection_clients: IntrospectionClients,
    refresh_key: InstanceKey,
    key_uses: KeyUses,
    session_uses: SessionUses,
    static_key_uses: StaticKeyUses,
    #[cfg(feature = "passkeys")]
    relying_party: Option<passkeys::RelyingParty>,
    #[cfg(feature = "mail")]
    mail: mail::MailState,
    #[cfg(feature = "pages")]
    stored_counts: StoredCounts,
}

impl Auth {
    /// Opens the configured database, migrates it, and starts the hash threads. Blocks.
    ///
    /// # Errors
    /// When the database cannot be opened or the threads cannot be started.
    pub fn open(config: &Config) -> Result<Self, OpenError> {
        let store = Store::open(&config.database)?;
        Self::new(store, config.auth.clone(), Clock::system())
    }

    /// Like [`Self::open`], but neither creates nor migrates the database. Blocks.
    ///
    /// # Errors
    /// As for [`Self::open`], and when there is no database or migrations are pending.
    pub fn open_existing(config: &Config) -> Result<Self, OpenError> {
        let store = Store::open_existing(&config.database)?;
        Self::new(store, config.auth.clone(), Clock::system())
    }

    /// Creates a service on an open database, with the given settings and clock.
    ///
    /// # Errors
    /// [`OpenError::Threads`] when the threads cannot be started; [`OpenError::Mail`] when the settings of
    /// mails cannot be used.
    pub fn new(store: Store, config: AuthConfig, clock: Clock) -> Result<Self, OpenError> {
        Self::with_metrics(store, config, clock, Arc::default())
    }

    /// Like [`Self::new`], with the metrics of an earlier service that this one replaces in the same
    /// process.
    ///
    /// # Errors
    /// As for [`Self::new`].
    pub(crate) fn with_metrics(
        store: Store,
        config: AuthConfig,
        clock: Clock,
        metrics: Arc<Metrics>,
    ) -> Result<Self, OpenError> {
        let hasher = HasherConfig {
            threads: config.hash_threads,
            max_wait: config.hash_queue,
            cost: config.cost,
            max_cost: config.max_cost,
            priority: config.hash_priority,
        };
        let hasher = PasswordHasher::start(hasher, Arc::clone(&metrics))?;
        let chain_key = config.audit_key.clone().map(DigestKey::new);
        let audit = AuditTrail::new(
            store.clone(),
            clock.clone(),
            chain_key,
            config.audit_retention,
        );
        let throttle = Throttle::new(
            store.clone(),
            clock.clone(),
            &config,
            audit.clone(),
            Arc::clone(&metrics),
        );
        #[cfg(feature = "mail")]
        let mail = {
            let mailer = config.mail.as_ref().map(crate::mail::Mailer::start);
            mail::MailState::new(mailer.transpose()?)
        };
        #[cfg(feature = "passkeys")]
        let relying_party = config.factors.passkeys.as_ref();
        Ok(Self(Arc::new(Inner {
            #[cfg(feature = "passkeys")]
            relying_party: relying_party.map(passkeys::RelyingParty::new),
            config,
            store,
            hasher,
            clock,
            audit,
            throttle,
            metrics,
            deletion_key: InstanceKey::deletion(),
            introspection_clients: IntrospectionClients::default(),
            refresh_key: InstanceKey::new("refresh"),
            key_uses: KeyUses::default(),
            session_uses: SessionUses::default(),
            static_key_uses: StaticKeyUses::default(),
            #[cfg(feature = "mail")]
            mail,
            #[cfg(feature = "pages")]
            stored_counts: StoredCounts::default(),
        })))
    }

    /// The audit trail.
    pub fn audit(&self) -> &AuditTrail {
        &self.0.audit
    }

    /// The throttle.
    pub fn throttle(&self) -> &Throttle {
        &self.0.throttle
    }

    pub(crate) fn store(&self) -> &Store {
        &self.0.store
    }

    /// The key of the digests that identify deleted users.
    pub(crate) fn deletion_key(&self) -> &InstanceKey {
        &self.0.deletion_key
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// The settings in force.
    pub fn config(&self) -> &AuthConfig {
        &self.0.config
    }

    /// The metrics.
    pub fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// The metrics in Prometheus's text format.
    pub fn metrics_text(&self) -> String {
        let (connections_used, connections_max) = self.0.store.connections();
        self.0.metrics.encode(Gauges {
            hash_queue: self.0.hasher.queue_depth(),
            connections_used,
            connections_max,
        })
    }

    /// Checks that requests can be served: the database answers and is migrated.
    ///
    /// # Errors
    /// [`Error::Unavailable`] otherwise.
    pub async fn check_ready(&self) -> Result<(), Error> {
        Ok(self.0.store.check_ready().await?)
    }

    /// Waits until the files of the SQLite database are no longer those that were opened, and
    /// returns what happened to them. From then on, every operation fails with
    /// [`Error::Unavailable`], and the process must be restarted. Never returns on Postgres.
    pub async fn files_replaced(&self) -> String {
        loop {
            if let Some(problem) = self.0.store.files_problem() {
                return problem.to_owned();
            }
            tokio::time::sleep(FILE_CHECK_INTERVAL).await;
        }
    }

    /// See [`Store::release_files`].
    pub fn release_files(&self) {
        self.0.store.release_files();
    }

    /// Writes everything that is collected in memory, such as key uses and sums of denials. Call it
    /// before the process ends.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer; then the collected data is lost.
    pub async fn flush(&self) -> Result<(), Error> {
        self.flush_pending().await?;
        self.0.audit.flush_denials(true).await
    }

    /// Like [`Self::flush`], except for denials of the current minute.
    pub(crate) async fn flush_pending(&self) -> Result<(), Error> {
        self.0.audit.flush_start().await?;
        self.flush_key_uses().await?;
        self.flush_session_uses().await?;
        self.0.audit.flush_denials(false).await?;
        self.flush_static_key_uses().await?;
        self.0.audit.flush_unnamed_proxies().await
    }

    /// Makes a change that may end credentials, and records it: see [`AuditTrail::revoking`]. A change
    /// by a principal counts against the budget of its user.
    ///
    /// # Errors
    /// What `work` returns; [`Error::TooManyAttempts`] when the budget is used up;
    /// [`Error::Unavailable`].
    async fn change<T: Send + 'static>(
        &self,
        context: &AuditContext,
        ends: Ends,
        work: impl FnOnce(&mut Revoking<'_>, &mut Events) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.0.throttle.take_change(context)?;
        self.0.audit.revoking(context, ends, work).await
    }

    /// Like [`Self::change`], for a change that ends and alters no credential.
    async fn add<T: Send + 'static>(
        &self,
        context: &AuditContext,
        work: impl FnOnce(&mut Writing<'_>, &mut Events) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.0.throttle.take_change(context)?;
        self.0.audit.writing(context, work).await
    }

    /// Makes a change like those that many clients make at the same time: see
    /// [`AuditTrail::grouped`]. It counts against the same budget.
    ///
    /// # Errors
    /// The same as [`Self::change`].
    async fn change_in_group<T: Send + 'static>(
        &self,
        context: &AuditContext,
        claims: Claims,
        work: impl FnOnce(&mut Revoking<'_>, &mut Events) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.0.throttle.take_change(context)?;
        self.0.audit.grouped(context, claims, work).await
    }

    /// Like [`Self::change_in_group`], for a change that executes no statements of its own.
    ///
    /// # Errors
    /// The same.
    async fn change_in_memory<T: Send + 'static>(
        &self,
        context: &AuditContext,
        claims: Claims,
        work: impl FnOnce(&mut Shared, &mut Events) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.0.throttle.take_change(context)?;
        self.0.audit.grouped_in_memory(context, claims, work).await
    }

    /// Records an event without a change. It counts against the same budget.
    ///
    /// # Errors
    /// [`Error::TooManyAttempts`] when the budget is used up; [`Error::Unavailable`].
    async fn record(&self, context: &AuditContext, event: Event) -> Result<(), Error> {
        self.0.throttle.take_change(context)?;
        self.0.audit.record(context, event).await
    }

    /// Counts and reports a forwarded request from a peer that is not a trusted proxy. Never waits.
    pub fn record_unnamed_proxy(&self, peer: std::net::IpAddr) {
        self.0.metrics.untrusted_forwards.inc();
        self.0.audit.record_unnamed_proxy(peer);
    }

    /// Lists the events of all users, and records that they were read. The actor `operator` matches
    /// all operators.
    ///
    /// # Errors
    /// [`Error::TooManyAttempts`] when the caller has used up its budget; [`Error::Unavailable`].
    pub async fn list_events(
        &self,
        context: &AuditContext,
        filter: EventFilter,
        limit: i64,
    ) -> Result<EventPage, Error> {
        self.0.throttle.take_change(context)?;
        self.0.audit.list(context, filter, limit).await
    }

    /// Like [`Self::list_events`], for the events whose actor or target has this name: `user:12`.
    ///
    /// # Errors
    /// The same.
    #[cfg(feature = "pages")]
    pub(crate) async fn list_events_about(
        &self,
        context: &AuditContext,
        name: String,
        filter: EventFilter,
        limit: i64,
    ) -> Result<EventPage, Error> {
        self.0.throttle.take_change(context)?;
        self.0.audit.list_about(context, name, filter, limit).await
    }

    /// Verifies the whole trail, and records that it was read.
    ///
    /// # Errors
    /// The same as [`Self::list_events`].
    #[cfg(feature = "pages")]
    pub(crate) async fn verify_trail(&self, context: &AuditContext) -> Result<Verification, Error> {
        let event = Event::new(Action::EventRead).with("verify", true);
        self.record(context, event).await?;
        self.0.audit.verify().await
    }
}

impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Auth")
            .field("config", &self.0.config)
            .finish_non_exhaustive()
    }
}
