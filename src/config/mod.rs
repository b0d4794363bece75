//! Settings, from the environment and a `.env` file. [`SETTINGS`] lists all of them; [`ConfigErrors`]
//! lists the invalid ones.

mod address;
mod colour;
mod dotenv;
mod env_file;
mod factors;
mod flows;
mod log_filter;
mod mail;
mod names;
mod origins;
mod pages;
mod passkeys;
mod postgres_url;
mod proxies;
mod public_suffix;
mod public_url;
mod secret;
mod settings;
mod sign_in_cookie;
mod sign_in_hosts;
mod smtp;
mod source;
#[cfg(feature = "cli")]
mod template;
mod time_span;
mod types;
mod values;
mod warnings;

use std::fmt;

#[cfg(feature = "cli")]
pub(crate) use address::parse as parse_address;
pub use colour::Colour;
pub use env_file::{EnvFile, ReadFile};
pub use factors::{FactorConfig, MfaMode};
#[cfg(all(test, feature = "mail"))]
pub(crate) use flows::NOTICE_NAMES;
pub use flows::{FlowConfig, Notices, RegisterAnswer, Verification};
pub use mail::{MailAddress, MailConfig, MailTransport};
pub use pages::{Logo, PagesConfig, PagesMode};
pub use passkeys::PasskeyConfig;
pub(crate) use postgres_url::PostgresUrl;
pub use proxies::TrustedProxies;
pub use public_url::PublicUrl;
pub use secret::{DatabaseUrl, StaticKeys};
pub use settings::{SETTINGS, Setting};
pub use sign_in_cookie::{GuardedHosts, SignInCookie};
pub use sign_in_hosts::{GuardedUrl, SignInHosts};
pub use smtp::{SmtpServer, SmtpTls};
pub use source::{EffectiveSetting, Source};
#[cfg(feature = "cli")]
pub(crate) use template::template;
pub use time_span::{InvalidTimeSpan, TimeSpan, TimeUnit};
pub use types::{
    AuthConfig, DatabaseConfig, Limits, LogFormat, Profile, ProfileRules, RefreshMode,
    Registration, ServerConfig, SessionConfig,
};

use secrecy::ExposeSecret;

use names::is_ours;
use secret::is_quoted;
use source::Variables;
use values::Values;

/// All settings.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// `TOKENHOUSE_PROFILE`: the defaults.
    pub profile: Profile,
    /// The settings of the HTTP server.
    pub server: ServerConfig,
    /// The settings of the database.
    pub database: DatabaseConfig,
    /// The rules of authentication.
    pub auth: AuthConfig,
    /// The settings of mails; `None` if the service sends none.
    pub mail: Option<MailConfig>,
    /// `RUST_LOG`, a filter of `env_logger`.
    pub log_filter: String,
    /// `TOKENHOUSE_LOG_FORMAT`
    pub log_format: LogFormat,
    /// All settings, in the order of [`SETTINGS`].
    pub effective: Vec<EffectiveSetting>,
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
        let (mut vars, mut errors) = (Variables::new(), Vec::new());
        if let EnvFile::Read(file) = file {
            for (name, value, line) in file.settings() {
                let source = Source::EnvFile {
                    path: file.path().to_owned(),
                    line: *line,
                };
                vars.insert(name.clone(), (value.clone(), source));
            }
        }
        for (name, value) in std::env::vars_os() {
            // All settings have names in ASCII.
            let Ok(name) = name.into_string() else {
                continue;
            };
            match value.into_string() {
                Ok(value) => drop(vars.insert(name, (value.into(), Source::Environment))),
                Err(_value) if is_ours(&name) => {
                    vars.remove(&name);
                    errors.push(ConfigError::new(name, "is not UTF-8"));
                }
                Err(_value) => {}
            }
        }
        Self::build(&vars, errors)
    }

    /// Builds the settings from names and values, as in the environment.
    ///
    /// # Errors
    /// Every invalid setting, and every unknown one with our prefix.
    pub fn from_vars(
        vars: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigErrors> {
        let given = |(name, value): (String, String)| (name, (value.into(), Source::Environment));
        Self::build(&vars.into_iter().map(given).collect(), Vec::new())
    }

    /// Lets the links in mails lead to this URL, unless `TOKENHOUSE_PUBLIC_URL` is set: a server for tests
    /// knows its address when it listens.
    ///
    /// # Errors
    /// When it is no URL.
    #[cfg(all(feature = "mail", any(feature = "cli", feature = "testing")))]
    pub(crate) fn link_to(&mut self, url: &str) -> Result<(), ConfigError> {
        if self.server.public_url.is_none() {
            let url = mail::parse_public_url(url)?;
            self.auth.public_url = Some(url.clone());
            for config in [&mut self.mail, &mut self.auth.mail].into_iter().flatten() {
                config.public_url = url.clone();
            }
        }
        Ok(())
    }

    /// Finds all errors: replaces each invalid setting with its default and validates again, until
    /// the rest is valid.
    fn build(vars: &Variables, mut errors: Vec<ConfigError>) -> Result<Self, ConfigErrors> {
        let (mut values, invalid) = Values::new(vars);
        errors.extend(invalid);
        loop {
            match Self::from_values(&values) {
                Ok(config) if errors.is_empty() => return Ok(config),
                Ok(_) => break,
                Err(error) if values.reset(&error.name) => errors.push(error),
                // This setting contradicts another one, which already has its default.
                Err(error) => {
                    let is_known = errors.iter().any(|known| known.name == error.name);
                    errors.extend(Some(error).filter(|_| !is_known));
                    break;
                }
            }
        }
        for error in &mut errors {
            let Some((value, source)) = vars.get(&error.name) else {
                continue;
            };
            if is_quoted(value.expose_secret()) {
                // For example by docker run --env-file, which does not remove them.
                error.problem.push_str("; remove the quotes around it");
            }
            if matches!(source, Source::EnvFile { .. }) {
                error.problem.push_str(&format!(" ({source})"));
            }
        }
        Err(ConfigErrors(errors))
    }

    fn from_values(values: &Values) -> Result<Self, ConfigError> {
        let public_url = values.public_url()?;
        let pages = PagesConfig::from_values(values)?;
        let mut config = Self {
            profile: values.profile()?,
            mail: MailConfig::from_values(values, public_url.as_ref(), &pages)?,
            server: ServerConfig {
                bind: values.address("TOKENHOUSE_BIND")?,
                metrics_bind: values.metrics_address()?,
                workers: values.count_or_cores("TOKENHOUSE_WORKERS")?,
                drain: values.time("TOKENHOUSE_DRAIN_MS", 0..=5_000, TimeUnit::Millisecond)?,
                access_log: values.flag("TOKENHOUSE_ACCESS_LOG")?,
                docs: values.flag("TOKENHOUSE_DOCS")?,
                cors_origins: values.cors_origins()?,
                pages,
                public_url,
                trusted_proxies: values.trusted_proxies()?,
            },
            database: DatabaseConfig {
                url: values.database_url()?,
                url_source: values.source("DATABASE_URL"),
                pool_size: values.number("TOKENHOUSE_DATABASE_POOL_SIZE", 1, 1_000)?,
                auto_migrate: values.flag("TOKENHOUSE_AUTO_MIGRATE")?,
                session_cache_bytes: values.number::<u64>(
                    "TOKENHOUSE_SESSION_CACHE_MB",
                    0,
                    1_000_000,
                )? << 20,
                is_temporary: false,
            },
            log_filter: values.log_filter()?,
            log_format: values.log_format()?,
            digest: values.digest(),
            effective: values.effective(),
            // Last, because it compares settings with each other.
            auth: AuthConfig::from_values(values)?,
        };
        config.auth.mail.clone_from(&config.mail);
        config.server.pages.offers_factors = config.auth.factors.is_offered();
        config.server.pages.effective = config.effective.as_slice().into();
        config.server.pages.warnings = config.all_warnings().into();
        Ok(config)
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
