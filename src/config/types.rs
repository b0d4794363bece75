//! The typed settings.

use std::net::SocketAddr;
use std::time::Duration;

use secrecy::SecretString;

use super::ConfigError;
use super::factors::FactorConfig;
use super::flows::FlowConfig;
use super::mail::MailConfig;
use super::pages::PagesConfig;
use super::proxies::TrustedProxies;
use super::public_url::PublicUrl;
use super::secret::{DatabaseUrl, StaticKeys};
use super::settings::PREFIX;
use super::time_span::TimeUnit;
use super::values::Values;
use crate::password::{Cost, PasswordPolicy, Priority};
use crate::scope::ScopePatterns;

/// The settings of the HTTP server.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerConfig {
    /// `TOKENHOUSE_BIND`: the address to listen on.
    pub bind: SocketAddr,
    /// `TOKENHOUSE_METRICS_BIND`: the address of a separate listener for `/metrics` without a key.
    pub metrics_bind: Option<SocketAddr>,
    /// `TOKENHOUSE_WORKERS`: threads that handle requests.
    pub workers: usize,
    /// `TOKENHOUSE_DRAIN_MS`: how long the service keeps serving after SIGTERM while it reports that it
    /// is not ready.
    pub drain: Duration,
    /// `TOKENHOUSE_DOCS`: whether `/docs`, `/redoc` and `/openapi.json` exist.
    pub docs: bool,
    /// `TOKENHOUSE_ACCESS_LOG`: whether every request is logged.
    pub access_log: bool,
    /// `TOKENHOUSE_CORS_ORIGINS`: origins whose scripts may call the API, as browsers write them; none by
    /// default.
    pub cors_origins: Vec<String>,
    /// `TOKENHOUSE_PAGES` and the settings of the brand.
    pub pages: PagesConfig,
    /// `TOKENHOUSE_PUBLIC_URL`: the URL of the service for clients. Without it only direct clients on the
    /// same machine get the OAuth2 metadata.
    pub public_url: Option<PublicUrl>,
    /// `TOKENHOUSE_TRUSTED_PROXIES`: proxies whose header determines the address of a client.
    pub trusted_proxies: TrustedProxies,
}

/// The settings of the database.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DatabaseConfig {
    /// `DATABASE_URL`
    pub url: DatabaseUrl,
    /// Where the URL comes from, for messages: `DATABASE_URL, default`.
    pub url_source: String,
    /// `TOKENHOUSE_DATABASE_POOL_SIZE`: the maximum number of connections, and so of concurrent queries.
    pub pool_size: u32,
    /// `TOKENHOUSE_AUTO_MIGRATE`: whether the start runs pending migrations.
    pub auto_migrate: bool,
    /// `TOKENHOUSE_SESSION_CACHE_MB`, in bytes: the size of the cache of principals; 0 disables it.
    pub session_cache_bytes: u64,
    /// Whether the database is thrown away at the end, as in tests, so that nothing waits for the disk.
    /// Not a setting.
    pub is_temporary: bool,
}

/// The rules of authentication.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AuthConfig {
    /// `API_KEY_TOKEN` and, during a rotation, `API_KEY_TOKEN_PREVIOUS`.
    pub static_keys: StaticKeys,
    /// `TOKENHOUSE_REGISTRATION`: who may register.
    pub registration: Registration,
    /// `TOKENHOUSE_TOKEN_LIFETIME`: how long a login token lives.
    pub token_lifetime: Duration,
    /// The settings of sessions.
    pub sessions: SessionConfig,
    /// `TOKENHOUSE_BCRYPT_COST`: the cost of new hashes.
    pub cost: Cost,
    /// `TOKENHOUSE_BCRYPT_MAX_COST`: stored hashes of a higher cost are refused without hashing.
    pub max_cost: Cost,
    /// `TOKENHOUSE_HASH_THREADS`: the number of threads that hash passwords.
    pub hash_threads: usize,
    /// `TOKENHOUSE_HASH_LOW_PRIORITY`: their scheduling priority.
    pub hash_priority: Priority,
    /// `TOKENHOUSE_HASH_QUEUE_MS`: how long a password may wait for a hash thread.
    pub hash_queue: Duration,
    /// `TOKENHOUSE_NAME_MIN_LENGTH`, and what `TOKENHOUSE_PROFILE` requires.
    pub profile_rules: ProfileRules,
    /// `TOKENHOUSE_PASSWORD_MIN_LENGTH` and `TOKENHOUSE_PASSWORD_REFUSE_COMMON`.
    pub password_policy: PasswordPolicy,
    /// `TOKENHOUSE_OAUTH_STRICT_STATUS`: `/token` refuses with RFC 6749's 400 instead of FastAPI's 401
    /// and 422.
    pub oauth_strict_status: bool,
    /// `TOKENHOUSE_GRANTABLE_SCOPES`: scopes that administrators may grant without holding them.
    pub grantable_scopes: ScopePatterns,
    /// `TOKENHOUSE_LIMITS` and the individual limits.
    pub limits: Limits,
    /// `TOKENHOUSE_AUDIT_KEY`: the key that signs the audit trail; without it, a key in the database does.
    pub audit_key: Option<SecretString>,
    /// `TOKENHOUSE_AUDIT_RETENTION_DAYS`: how long events are kept; forever if `None`.
    pub audit_retention: Option<Duration>,
    /// `TOKENHOUSE_PUBLIC_URL`: what links begin with.
    pub public_url: Option<PublicUrl>,
    /// The settings of mails; `None` if the service sends none.
    pub mail: Option<MailConfig>,
    /// The settings of what is done by mail.
    pub flows: FlowConfig,
    /// The settings of second factors.
    pub factors: FactorConfig,
}

/// The settings of sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionConfig {
    /// `TOKENHOUSE_SESSIONS_PER_USER`: the number of sessions that a user may have.
    pub per_user: usize,
    /// `TOKENHOUSE_SESSION_IDLE`: the longest pause between two uses; any if `None`.
    pub idle: Option<Duration>,
    /// `TOKENHOUSE_BROWSER_LIFETIME`: how long a browser stays signed in.
    pub browser_lifetime: Duration,
    /// `TOKENHOUSE_SESSION_LIFETIME`: the lifetime of a session with a refresh token.
    pub lifetime: Duration,
    /// `TOKENHOUSE_REFRESH`: which sign-ins get a refresh token.
    pub refresh: RefreshMode,
    /// `TOKENHOUSE_REFRESH_ACCESS_LIFETIME`: how long a login token lives in such a session.
    pub refresh_access_lifetime: Duration,
    /// `TOKENHOUSE_REFRESH_GRACE`: how long a refresh is repeated in any case.
    pub refresh_grace: Duration,
}

/// Which sign-ins get a refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RefreshMode {
    /// Those with the scope `offline_access`.
    Asked,
    /// None.
    Off,
    /// All.
    Always,
}

/// The limits of password attempts and changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// `TOKENHOUSE_LIMITS`: whether the limits are enforced.
    pub on: bool,
    /// `TOKENHOUSE_LIMIT_ACCOUNT`: consecutive wrong passwords for an account before the first delay.
    pub account: u32,
    /// `TOKENHOUSE_LIMIT_ADDRESS`: wrong passwords per minute from an address.
    pub address: u32,
    /// `TOKENHOUSE_LIMIT_REGISTRATIONS`: registrations per hour from an address.
    pub registrations: u32,
    /// `TOKENHOUSE_LIMIT_SIGN_INS`: sign-ins per minute to an account; a burst may be a third larger.
    pub sign_ins: u32,
    /// `TOKENHOUSE_LIMIT_CHANGES`: changes per minute by a user; ten times that by an administrator for
    /// other accounts.
    pub changes: u32,
    /// `TOKENHOUSE_LIMIT_KEYS`: API keys that a user may create per day.
    pub keys: u32,
}

/// The defaults that apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Profile {
    /// The service answers as the tutorial does.
    Tutorial,
    /// The defaults for a new service.
    Standard,
}

/// The rules for the profiles of users: name, surname and website.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProfileRules {
    /// The minimum length of a name, in characters (code points).
    pub name_min_length: usize,
    /// Whether a new user must send all three fields; else a missing one is stored as an empty text.
    pub is_required: bool,
}

/// Who may register.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Registration {
    /// Every client.
    Open,
    /// No client; administrators and the operator create users.
    Closed,
    /// Clients with an e-mail address in one of these domains (lower case, in Unicode). It is verified if
    /// the service sends mail.
    Domains(Vec<String>),
}

/// The format of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogFormat {
    /// Text.
    Text,
    /// Newline-delimited JSON.
    Json,
}

impl AuthConfig {
    pub(super) fn from_values(values: &Values) -> Result<Self, ConfigError> {
        let registration = values.registration()?;
        let is_mail_on = values.text("TOKENHOUSE_MAIL") != "off";
        let config = Self {
            static_keys: values.static_keys()?,
            flows: FlowConfig::from_values(values, &registration, is_mail_on)?,
            registration,
            factors: FactorConfig::from_values(values)?,
            public_url: values.public_url()?,
            mail: None,
            token_lifetime: values.time(
                "TOKENHOUSE_TOKEN_LIFETIME",
                1..=366 * 86_400,
                TimeUnit::Second,
            )?,
            sessions: SessionConfig {
                per_user: values.number("TOKENHOUSE_SESSIONS_PER_USER", 1, 100)?,
                idle: values.optional_time(
                    "TOKENHOUSE_SESSION_IDLE",
                    300..=366 * 86_400,
                    TimeUnit::Second,
                )?,
                browser_lifetime: values.time(
                    "TOKENHOUSE_BROWSER_LIFETIME",
                    300..=366 * 86_400,
                    TimeUnit::Second,
                )?,
                lifetime: values.time(
                    "TOKENHOUSE_SESSION_LIFETIME",
                    1..=366 * 86_400,
                    TimeUnit::Second,
                )?,
                refresh: values.refresh_mode()?,
                refresh_access_lifetime: values.time(
                    "TOKENHOUSE_REFRESH_ACCESS_LIFETIME",
                    1..=366 * 86_400,
                    TimeUnit::Second,
                )?,
                refresh_grace: values.time(
                    "TOKENHOUSE_REFRESH_GRACE",
                    0..=3_600,
                    TimeUnit::Second,
                )?,
            },
            cost: values.cost("TOKENHOUSE_BCRYPT_COST")?,
            max_cost: values.cost("TOKENHOUSE_BCRYPT_MAX_COST")?,
            // One per core: they run at low priority.
            hash_threads: values.count_or_cores("TOKENHOUSE_HASH_THREADS")?,
            hash_priority: if values.flag("TOKENHOUSE_HASH_LOW_PRIORITY")? {
                Priority::Low
            } else {
                Priority::Normal
            },
            hash_queue: values.time(
                "TOKENHOUSE_HASH_QUEUE_MS",
                1..=600_000,
                TimeUnit::Millisecond,
            )?,
            profile_rules: ProfileRules {
                name_min_length: values.number("TOKENHOUSE_NAME_MIN_LENGTH", 0, 100)?,
                is_required: values.profile()? == Profile::Tutorial,
            },
            password_policy: PasswordPolicy {
                min_length: values.number("TOKENHOUSE_PASSWORD_MIN_LENGTH", 0, 72)?,
                refuse_common: values.flag("TOKENHOUSE_PASSWORD_REFUSE_COMMON")?,
            },
            oauth_strict_status: values.flag("TOKENHOUSE_OAUTH_STRICT_STATUS")?,
            grantable_scopes: values.grantable_scopes()?,
            limits: Limits {
                on: values.flag("TOKENHOUSE_LIMITS")?,
                account: values.number("TOKENHOUSE_LIMIT_ACCOUNT", 1, 100)?,
                address: values.number("TOKENHOUSE_LIMIT_ADDRESS", 1, 1_000_000)?,
                registrations: values.number("TOKENHOUSE_LIMIT_REGISTRATIONS", 1, 1_000_000)?,
                sign_ins: values.number("TOKENHOUSE_LIMIT_SIGN_INS", 1, 1_000_000)?,
                changes: values.number("TOKENHOUSE_LIMIT_CHANGES", 1, 1_000_000)?,
                keys: values.number("TOKENHOUSE_LIMIT_KEYS", 1, 1_000_000)?,
            },
            audit_key: values.audit_key()?,
            audit_retention: values.audit_retention()?,
        };
        if config.cost > config.max_cost {
            return Err(ConfigError::new(
                format!("{PREFIX}BCRYPT_COST"),
                format!("above {PREFIX}BCRYPT_MAX_COST, so no new hash would verify"),
            ));
        }
        Ok(config)
    }
}
