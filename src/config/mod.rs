//! Settings, from the environment and a `.env` file. [`SETTINGS`] lists every one of them.

mod dotenv;
mod env_file;
mod error;
mod origins;
mod postgres_url;
mod proxies;
mod secret;
mod service_links;
mod settings;
mod values;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

pub use env_file::{EnvFile, ReadFile};
pub use error::{ConfigError, ConfigErrors};
pub(crate) use postgres_url::PostgresUrl;
pub use proxies::TrustedProxies;
pub use secret::{DatabaseUrl, StaticKeys};
pub use settings::{SETTINGS, Setting};

use secrecy::SecretString;

use crate::password::{Cost, PasswordPolicy, Priority};
use crate::scope::ScopePatterns;
use settings::PREFIX;
use values::{Values, concerns_us};

/// Everything that can be set.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// How the service is served over HTTP.
    pub server: ServerConfig,
    /// Where the users and tokens are kept.
    pub database: DatabaseConfig,
    /// The rules of the authentication itself.
    pub auth: AuthConfig,
    /// `RUST_LOG`, a filter as `env_logger` takes it.
    pub log_filter: String,
    /// `TOKENHOUSE_LOG_FORMAT`
    pub log_format: LogFormat,
    /// A digest of all settings without the values of secrets: equal when they are.
    pub digest: String,
}

/// How the service is served over HTTP.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerConfig {
    /// `TOKENHOUSE_BIND`: the address to listen on.
    pub bind: SocketAddr,
    /// `TOKENHOUSE_METRICS_BIND`: where `/metrics` is answered to everybody.
    pub metrics_bind: Option<SocketAddr>,
    /// `TOKENHOUSE_WORKERS`: threads that handle requests.
    pub workers: usize,
    /// `TOKENHOUSE_DRAIN_MS`: how long the service goes on, without being ready, after SIGTERM.
    pub drain: Duration,
    /// `TOKENHOUSE_DOCS`: whether `/docs`, `/redoc` and `/openapi.json` exist.
    pub docs: bool,
    /// `TOKENHOUSE_CORS_ORIGINS`: origins whose scripts may call us, as browsers write them; none by
    /// default.
    pub cors_origins: Vec<String>,
    /// `TOKENHOUSE_PUBLIC_URL`: where clients find the service, without a slash at the end. Without
    /// it the OAuth2 metadata are answered to direct clients on the same machine only.
    pub public_url: Option<String>,
    /// `TOKENHOUSE_TRUSTED_PROXIES`: whose word is taken for the address of a client.
    pub trusted_proxies: TrustedProxies,
}

/// Where the users and tokens are kept.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DatabaseConfig {
    /// `DATABASE_URL`
    pub url: DatabaseUrl,
    /// `TOKENHOUSE_DATABASE_POOL_SIZE`: connections held at most, so queries under way at most.
    pub pool_size: u32,
    /// `TOKENHOUSE_AUTO_MIGRATE`: whether the start brings the tables up to date.
    pub auto_migrate: bool,
    /// `TOKENHOUSE_SESSION_CACHE_MB`, in bytes: what the sessions in memory may take up; 0 for
    /// none in memory.
    pub session_cache_bytes: u64,
}

/// The rules of the authentication itself.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AuthConfig {
    /// `API_KEY_TOKEN` and, during a rotation, `API_KEY_TOKEN_PREVIOUS`.
    pub static_keys: StaticKeys,
    /// `TOKENHOUSE_REGISTRATION`: who may register.
    pub registration: Registration,
    /// `TOKENHOUSE_TOKEN_LIFETIME`: how long a login token lives.
    pub token_lifetime: Duration,
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
    /// `TOKENHOUSE_PASSWORD_MIN_LENGTH` and `TOKENHOUSE_PASSWORD_REFUSE_COMMON`.
    pub password_policy: PasswordPolicy,
    /// `TOKENHOUSE_OAUTH_STRICT_STATUS`: `/token` refuses with 400 as RFC 6749 has it, not with
    /// FastAPI's 401 and 422.
    pub oauth_strict_status: bool,
    /// `TOKENHOUSE_GRANTABLE_SCOPES`: scopes that administrators may grant without holding them.
    pub grantable_scopes: ScopePatterns,
    /// `TOKENHOUSE_LIMITS` and the single limits: how often passwords may be guessed at.
    pub limits: Limits,
    /// `TOKENHOUSE_AUDIT_KEY`: what the audit trail is chained with; a key in the database
    /// without one.
    pub audit_key: Option<SecretString>,
    /// `TOKENHOUSE_AUDIT_RETENTION_DAYS`: how long events are kept; for ever without it.
    pub audit_retention: Option<Duration>,
}

/// How often passwords may be guessed at, and how much users may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// `TOKENHOUSE_LIMITS`: whether anything is limited at all.
    pub on: bool,
    /// `TOKENHOUSE_LIMIT_ACCOUNT`: wrong passwords in a row for an account before the first wait.
    pub account: u32,
    /// `TOKENHOUSE_LIMIT_ADDRESS`: wrong passwords in a minute from an address.
    pub address: u32,
    /// `TOKENHOUSE_LIMIT_REGISTRATIONS`: registrations in an hour from an address.
    pub registrations: u32,
    /// `TOKENHOUSE_LIMIT_SIGN_INS`: sign-ins in a minute to an account; a third more at once.
    pub sign_ins: u32,
    /// `TOKENHOUSE_LIMIT_CHANGES`: changes in a minute by a user; an administrator has ten times as
    /// many for the accounts of others.
    pub changes: u32,
    /// `TOKENHOUSE_LIMIT_KEYS`: API keys that a user makes in a day.
    pub keys: u32,
}

/// Who may register.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Registration {
    /// Everybody.
    Open,
    /// Nobody; users are made in other ways.
    Closed,
    /// Those who give an e-mail address in one of these domains (lower case, in Unicode). Nothing
    /// shows that they receive its mail: an address is not verified.
    Domains(Vec<String>),
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Config {
    /// Reads the environment of the process and, for what is not set there, the file `.env` of the
    /// working directory, unless another user may have written that. Which file was read, or why
    /// not, goes to the log.
    ///
    /// # Errors
    /// Every setting that is unknown or bad, or every line of `.env` that cannot be read.
    pub fn from_env() -> Result<Self, ConfigErrors> {
        let file = EnvFile::of_working_directory()?;
        match &file {
            EnvFile::Absent => {}
            EnvFile::Read(file) => log::info!("settings: read {}", file.path().display()),
            EnvFile::NotRead(why) => log::warn!("{why}"),
        }
        Self::from_env_and(&file)
    }

    /// Reads the environment of the process and, for what is not set there, a file.
    ///
    /// # Errors
    /// Every setting that is unknown or bad; for those in the file, with its path and the line.
    pub fn from_env_and(file: &EnvFile) -> Result<Self, ConfigErrors> {
        let mut vars: BTreeMap<String, SecretString> = BTreeMap::new();
        let (mut places, mut errors) = (BTreeMap::new(), Vec::new());
        if let EnvFile::Read(file) = file {
            for (name, value, line) in file.settings() {
                vars.insert(name.clone(), value.clone());
                places.insert(
                    name.clone(),
                    format!("{}, line {line}", file.path().display()),
                );
            }
        }
        for (name, value) in std::env::vars_os() {
            // None of ours has such a name.
            let Ok(name) = name.into_string() else {
                continue;
            };
            places.remove(&name);
            match value.into_string() {
                Ok(value) => drop(vars.insert(name, value.into())),
                Err(_value) if concerns_us(&name) => {
                    errors.push(ConfigError::new(name, "is not UTF-8"));
                }
                Err(_value) => {}
            }
        }
        Self::build(vars, errors).map_err(|ConfigErrors(mut errors)| {
            for error in &mut errors {
                if let Some(place) = places.get(&error.name) {
                    error.problem.push_str(&format!(" ({place})"));
                }
            }
            ConfigErrors(errors)
        })
    }

    /// Builds the settings from names and values, as in the environment.
    ///
    /// # Errors
    /// Every setting that is unknown (of those with our prefix) or bad.
    pub fn from_vars(
        vars: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigErrors> {
        let vars = vars.into_iter();
        Self::build(vars.map(|(name, value)| (name, value.into())), Vec::new())
    }

    /// Finds all errors: what is wrong is looked at once more with its default in its place, until
    /// the rest is right.
    fn build(
        vars: impl IntoIterator<Item = (String, SecretString)>,
        mut errors: Vec<ConfigError>,
    ) -> Result<Self, ConfigErrors> {
        let (mut values, unusable) = Values::new(vars);
        errors.extend(unusable);
        loop {
            match Self::from_values(&values) {
                Ok(config) if errors.is_empty() => return Ok(config),
                Ok(_) => return Err(ConfigErrors(errors)),
                Err(error) if values.reset(&error.name) => errors.push(error),
                // Two settings that exclude each other, and one of them is the default already.
                Err(error) => {
                    let is_known = errors.iter().any(|known| known.name == error.name);
                    errors.extend(Some(error).filter(|_| !is_known));
                    return Err(ConfigErrors(errors));
                }
            }
        }
    }

    fn from_values(values: &Values) -> Result<Self, ConfigError> {
        Ok(Self {
            server: ServerConfig {
                bind: values.parse(
                    "TOKENHOUSE_BIND",
                    "an address and port such as 127.0.0.1:8000",
                )?,
                metrics_bind: values.optional_address("TOKENHOUSE_METRICS_BIND")?,
                workers: values.count_or_cores("TOKENHOUSE_WORKERS")?,
                drain: Duration::from_millis(values.number("TOKENHOUSE_DRAIN_MS", 0, 5_000)?),
                docs: values.flag("TOKENHOUSE_DOCS")?,
                cors_origins: values.cors_origins()?,
                public_url: values.public_url()?,
                trusted_proxies: values.trusted_proxies()?,
            },
            database: DatabaseConfig {
                url: values.database_url()?,
                pool_size: values.number("TOKENHOUSE_DATABASE_POOL_SIZE", 1, 1_000)?,
                auto_migrate: values.flag("TOKENHOUSE_AUTO_MIGRATE")?,
                session_cache_bytes: values.number::<u64>(
                    "TOKENHOUSE_SESSION_CACHE_MB",
                    0,
                    1_000_000,
                )? << 20,
            },
            log_filter: values.text("RUST_LOG"),
            log_format: values.log_format()?,
            digest: values.digest(),
            // The last: it compares settings with each other.
            auth: AuthConfig::from_values(values)?,
        })
    }

    /// What an operator should know though it stops nothing: one sentence each.
    pub fn warnings(&self) -> Vec<String> {
        let server = &self.server;
        let is_bare = !server.bind.ip().is_loopback() && server.trusted_proxies.is_empty();
        let possible = [
            (
                self.auth.static_keys.any_shorter_than(16),
                "API_KEY_TOKEN: shorter than 16 characters, so it can be guessed",
            ),
            (
                u32::from(self.auth.cost) < 10,
                "TOKENHOUSE_BCRYPT_COST: below 10, stolen hashes are cheap to crack",
            ),
            (
                is_bare,
                "TOKENHOUSE_BIND: other machines get there without TLS, and passwords can be read on \
                 the way; name the proxy that has the TLS in TOKENHOUSE_TRUSTED_PROXIES",
            ),
            (
                matches!(self.auth.registration, Registration::Domains(_)),
                "TOKENHOUSE_REGISTRATION: domains compares what is typed and verifies nothing, so \
                 anyone can register any address of these domains",
            ),
        ];
        let found = possible.into_iter().filter(|(is_so, _)| *is_so);
        found.map(|(_, warning)| warning.to_owned()).collect()
    }
}

impl AuthConfig {
    fn from_values(values: &Values) -> Result<Self, ConfigError> {
        let config = Self {
            static_keys: values.static_keys()?,
            registration: values.registration()?,
            token_lifetime: Duration::from_secs(values.number(
                "TOKENHOUSE_TOKEN_LIFETIME",
                1,
                366 * 86_400,
            )?),
            cost: values.cost("TOKENHOUSE_BCRYPT_COST")?,
            max_cost: values.cost("TOKENHOUSE_BCRYPT_MAX_COST")?,
            // On every core: they run when nobody else wants it.
            hash_threads: values.count_or_cores("TOKENHOUSE_HASH_THREADS")?,
            hash_priority: if values.flag("TOKENHOUSE_HASH_LOW_PRIORITY")? {
                Priority::Low
            } else {
                Priority::Normal
            },
            hash_queue: Duration::from_millis(values.number(
                "TOKENHOUSE_HASH_QUEUE_MS",
                1,
                600_000,
            )?),
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
            audit_retention: match values.number("TOKENHOUSE_AUDIT_RETENTION_DAYS", 0, 36_500)? {
                0 => None,
                days => Some(Duration::from_secs(days * 86_400)),
            },
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

#[cfg(test)]
mod tests;
