//! From names and texts to typed values, with errors that name the setting and hide the value.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::str::FromStr;

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use super::proxies::TrustedProxies;
use super::secret::{DatabaseUrl, StaticKeys};
use super::settings::{self, PREFIX};
use super::{ConfigError, LogFormat, Registration};
use crate::hex;
use crate::password::Cost;
use crate::scope::ScopePatterns;

/// The settings that were given, by name. Values may be secrets, so there is no `Debug`.
pub(super) struct Values(HashMap<String, SecretString>);

impl Values {
    /// Keeps what concerns us. A misspelt `TOKENHOUSE_…` would silently leave a default in force,
    /// so an unknown one is an error.
    pub(super) fn new(
        vars: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut values = HashMap::new();
        for (name, value) in vars {
            if is_known(&name) {
                values.insert(name, value.into());
            } else if name.starts_with(PREFIX) {
                return Err(ConfigError {
                    name,
                    problem: "no setting has this name; .env.example lists them all".to_owned(),
                });
            }
        }
        Ok(Self(values))
    }

    /// The value given, or the default. Empty counts as not given, as in a `.env` of blanks.
    fn secret(&self, name: &'static str) -> Result<SecretString, ConfigError> {
        let given = |name: &str| {
            self.0
                .get(name)
                .filter(|value| !value.expose_secret().is_empty())
        };
        let file_name = format!("{name}_FILE");
        match (given(name), given(&file_name)) {
            (Some(_), Some(_)) => Err(error(
                name,
                format!("{file_name} is set too; set one of them"),
            )),
            (Some(value), None) => Ok(value.clone()),
            (None, Some(path)) => match std::fs::read_to_string(path.expose_secret()) {
                // Editors and `echo` end a file with a newline that is no part of the secret.
                Ok(text) => Ok(text.trim_end_matches(['\r', '\n']).into()),
                Err(_error) => Err(error(&file_name, "the file it names cannot be read")),
            },
            (None, None) => Ok(settings::find(name)
                .map_or("", |setting| setting.default)
                .into()),
        }
    }

    /// SHA-256 over the names and values of all settings, defaults included, as hexadecimal digits: it
    /// changes when a setting does. Of a secret only whether it is set goes in, because a short one
    /// could be found by its digest.
    pub(super) fn digest(&self) -> Result<String, ConfigError> {
        let mut hasher = Sha256::new();
        for setting in settings::SETTINGS {
            let value = self.secret(setting.name)?;
            let value = match (setting.secret, value.expose_secret()) {
                (true, "") => "unset",
                (true, _) => "set",
                (false, value) => value.trim(),
            };
            hasher.update(format!("{}={value}\0", setting.name));
        }
        let mut digest = [0; 64];
        hex::write(&hasher.finalize(), &mut digest);
        Ok(String::from_utf8_lossy(&digest).into_owned())
    }

    /// A setting as text; empty when there is none.
    pub(super) fn text(&self, name: &'static str) -> Result<String, ConfigError> {
        Ok(self.secret(name)?.expose_secret().trim().to_owned())
    }

    /// A setting of any type that can be read from text.
    pub(super) fn parse<T: FromStr>(
        &self,
        name: &'static str,
        expected: &str,
    ) -> Result<T, ConfigError> {
        self.text(name)?
            .parse()
            .map_err(|_error| error(name, format!("expected {expected}")))
    }

    /// An address and port, or none.
    pub(super) fn optional_address(
        &self,
        name: &'static str,
    ) -> Result<Option<SocketAddr>, ConfigError> {
        if self.text(name)?.is_empty() {
            return Ok(None);
        }
        self.parse(name, "an address and port such as 127.0.0.1:9100")
            .map(Some)
    }

    /// A whole number within bounds.
    pub(super) fn number<T>(&self, name: &'static str, min: T, max: T) -> Result<T, ConfigError>
    where
        T: Copy + FromStr + PartialOrd + std::fmt::Display,
    {
        let expected = format!("a whole number from {min} to {max}");
        let number: T = self.parse(name, &expected)?;
        if number < min || number > max {
            return Err(error(name, format!("expected {expected}")));
        }
        Ok(number)
    }

    /// A number of threads; by default one per core.
    pub(super) fn count_or_cores(&self, name: &'static str) -> Result<usize, ConfigError> {
        if self.text(name)?.is_empty() {
            return Ok(std::thread::available_parallelism().map_or(1, usize::from));
        }
        self.number(name, 1, 1_024)
    }

    /// A switch.
    pub(super) fn flag(&self, name: &'static str) -> Result<bool, ConfigError> {
        match self.text(name)?.to_ascii_lowercase().as_str() {
            "true" | "on" | "yes" | "1" => Ok(true),
            "false" | "off" | "no" | "0" => Ok(false),
            _ => Err(error(name, "expected true or false")),
        }
    }

    /// Texts separated by commas, without the spaces around them.
    pub(super) fn list(&self, name: &'static str) -> Result<Vec<String>, ConfigError> {
        Ok(self
            .text(name)?
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .map(str::to_owned)
            .collect())
    }

    pub(super) fn grantable_scopes(&self) -> Result<ScopePatterns, ConfigError> {
        const NAME: &str = "TOKENHOUSE_GRANTABLE_SCOPES";
        ScopePatterns::new(self.list(NAME)?).map_err(|_invalid| {
            error(
                NAME,
                "expected scopes such as orders:read or orders:*, separated by commas",
            )
        })
    }

    pub(super) fn cost(&self, name: &'static str) -> Result<Cost, ConfigError> {
        let number: u32 = self.number(name, 4, 31)?;
        Cost::try_from(number).map_err(|problem| error(name, problem.to_string()))
    }

    pub(super) fn database_url(&self) -> Result<DatabaseUrl, ConfigError> {
        let name = "DATABASE_URL";
        DatabaseUrl::parse(self.secret(name)?).map_err(|problem| error(name, problem))
    }

    pub(super) fn static_keys(&self) -> Result<StaticKeys, ConfigError> {
        let keys = [
            self.secret("API_KEY_TOKEN")?,
            self.secret("API_KEY_TOKEN_PREVIOUS")?,
        ];
        Ok(StaticKeys::new(&keys))
    }

    /// A key of 32 characters or more, or none.
    pub(super) fn audit_key(&self) -> Result<Option<SecretString>, ConfigError> {
        let name = "TOKENHOUSE_AUDIT_KEY";
        let key = self.secret(name)?;
        match key.expose_secret().chars().count() {
            0 => Ok(None),
            1..32 => Err(error(name, "expected 32 characters or more")),
            _ => Ok(Some(key)),
        }
    }

    /// A URL of http or https without a path, or none.
    pub(super) fn public_url(&self) -> Result<Option<String>, ConfigError> {
        let name = "TOKENHOUSE_PUBLIC_URL";
        let url = self.text(name)?;
        if url.is_empty() {
            return Ok(None);
        }
        let host = url
            .strip_prefix("https://")
            .or_else(|| url.strip_prefix("http://"));
        let host = host.map(|host| host.strip_suffix('/').unwrap_or(host));
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"/?#@\\\"".contains(&byte);
        match host {
            Some(host) if !host.is_empty() && host.bytes().all(is_plain) => {
                Ok(Some(url.trim_end_matches('/').to_owned()))
            }
            _ => Err(error(name, "expected a URL such as https://auth.example")),
        }
    }

    pub(super) fn trusted_proxies(&self) -> Result<TrustedProxies, ConfigError> {
        let name = "TOKENHOUSE_TRUSTED_PROXIES";
        TrustedProxies::parse(&self.list(name)?).map_err(|problem| error(name, problem))
    }

    pub(super) fn registration(&self) -> Result<Registration, ConfigError> {
        let name = "TOKENHOUSE_REGISTRATION";
        let domains: Vec<String> = self
            .list("TOKENHOUSE_REGISTRATION_DOMAINS")?
            .iter()
            .map(|domain| domain.to_lowercase())
            .collect();
        match self.text(name)?.as_str() {
            "open" => Ok(Registration::Open),
            "closed" => Ok(Registration::Closed),
            "domains" if domains.is_empty() => {
                Err(error(name, "set TOKENHOUSE_REGISTRATION_DOMAINS too"))
            }
            "domains" => Ok(Registration::Domains(domains)),
            _ => Err(error(name, "expected open, closed or domains")),
        }
    }

    pub(super) fn log_format(&self) -> Result<LogFormat, ConfigError> {
        let name = "TOKENHOUSE_LOG_FORMAT";
        match self.text(name)?.as_str() {
            "text" => Ok(LogFormat::Text),
            "json" => Ok(LogFormat::Json),
            _ => Err(error(name, "expected text or json")),
        }
    }
}

/// Whether the name is a setting, or names the file of a secret one.
fn is_known(name: &str) -> bool {
    let of_file = name.strip_suffix("_FILE").and_then(settings::find);
    settings::find(name).is_some() || of_file.is_some_and(|setting| setting.secret)
}

fn error(name: &str, problem: impl Into<String>) -> ConfigError {
    ConfigError {
        name: name.to_owned(),
        problem: problem.into(),
    }
}
