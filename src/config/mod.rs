//! Settings, from the environment and a `.env` file. [`SETTINGS`] lists all of them; [`ConfigErrors`]
//! lists the invalid ones.

mod dotenv;
mod env_file;
mod origins;
mod postgres_url;
mod proxies;
mod secret;
mod settings;
mod types;
mod values;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

pub use env_file::{EnvFile, ReadFile};
pub(crate) use postgres_url::PostgresUrl;
pub use proxies::TrustedProxies;
pub use secret::{DatabaseUrl, StaticKeys};
pub use settings::{SETTINGS, Setting};
pub use types::{AuthConfig, DatabaseConfig, Limits, LogFormat, Registration, ServerConfig};

use secrecy::SecretString;

use values::{Values, is_ours};

/// All settings.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The settings of the HTTP server.
    pub server: ServerConfig,
    /// The settings of the database.
    pub database: DatabaseConfig,
    /// The rules of authentication.
    pub auth: AuthConfig,
    /// `RUST_LOG`, a filter of `env_logger`.
    pub log_filter: String,
    /// `TOKENHOUSE_LOG_FORMAT`
    pub log_format: LogFormat,
    /// A digest of all settings without the values of secrets, for comparison.
    pub digest: String,
}

impl Config {
    /// Reads the environment of the process and, for settings that are missing there, the file `.env` in
    /// the working directory, unless another user can write to it. Logs which file was read, or why it
    /// was ignored.
    ///
    /// # Errors
    /// Every unknown or invalid setting, or every malformed line of `.env`.
    pub fn from_env() -> Result<Self, ConfigErrors> {
        let file = EnvFile::from_working_directory()?;
        match &file {
            EnvFile::Absent => {}
            EnvFile::Read(file) => log::info!("settings: read {}", file.path().display()),
            EnvFile::Ignored(why) => log::warn!("{why}"),
        }
        Self::from_env_and(&file)
    }

    /// Reads the environment of the process and, for settings that are missing there, a file.
    ///
    /// # Errors
    /// Every unknown or invalid setting; for those in the file, with its path and the line.
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
            // All settings have names in ASCII.
            let Ok(name) = name.into_string() else {
                continue;
            };
            places.remove(&name);
            match value.into_string() {
                Ok(value) => drop(vars.insert(name, value.into())),
                Err(_value) if is_ours(&name) => {
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
    /// Every invalid setting, and every unknown one with our prefix.
    pub fn from_vars(
        vars: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigErrors> {
        let vars = vars.into_iter();
        Self::build(vars.map(|(name, value)| (name, value.into())), Vec::new())
    }

    /// Finds all errors: replaces each invalid setting with its default and validates again, until
    /// the rest is valid.
    fn build(
        vars: impl IntoIterator<Item = (String, SecretString)>,
        mut errors: Vec<ConfigError>,
    ) -> Result<Self, ConfigErrors> {
        let (mut values, invalid) = Values::new(vars);
        errors.extend(invalid);
        loop {
            match Self::from_values(&values) {
                Ok(config) if errors.is_empty() => return Ok(config),
                Ok(_) => return Err(ConfigErrors(errors)),
                Err(error) if values.reset(&error.name) => errors.push(error),
                // This setting contradicts another one, which already has its default.
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
            // Last, because it compares settings with each other.
            auth: AuthConfig::from_values(values)?,
        })
    }

    /// Warnings for the operator about valid settings, one sentence each.
    pub fn warnings(&self) -> Vec<String> {
        let server = &self.server;
        let is_exposed = !server.bind.ip().is_loopback() && server.trusted_proxies.is_empty();
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
                is_exposed,
                "TOKENHOUSE_BIND: reachable from other machines without TLS, so passwords can be read in \
                 the network; list the proxy that terminates TLS in TOKENHOUSE_TRUSTED_PROXIES",
            ),
            (
                matches!(self.auth.registration, Registration::Domains(_)),
                "TOKENHOUSE_REGISTRATION: domains compares addresses but verifies nothing, so every \
                 client can register any address in these domains",
            ),
        ];
        let found = possible.into_iter().filter(|(applies, _)| *applies);
        found.map(|(_, warning)| warning.to_owned()).collect()
    }
}

/// An invalid setting. Contains its name and a description of valid values, never the value itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {problem}")]
pub struct ConfigError {
    /// The name in the environment, or the path of a file that cannot be read.
    pub name: String,
    /// The problem, or the expected value.
    pub problem: String,
}

impl ConfigError {
    fn new(name: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            problem: problem.into(),
        }
    }
}

/// All invalid settings. `Display` writes a line for each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(Vec<ConfigError>);

impl ConfigErrors {
    /// The errors, at least one.
    pub fn iter(&self) -> impl Iterator<Item = &ConfigError> {
        self.0.iter()
    }
}

impl From<ConfigError> for ConfigErrors {
    fn from(error: ConfigError) -> Self {
        Self(vec![error])
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.iter().map(ConfigError::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for ConfigErrors {}

#[cfg(test)]
mod tests;
