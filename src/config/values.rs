//! Converts the texts of settings to typed values, with errors that name the setting and hide the value.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use pydantic_email::EmailAddress;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use super::ConfigError;
use super::names::{has_prefix, is_service_link, problem_of_unknown, secret_of_file};
use super::proxies::TrustedProxies;
use super::public_url::PublicUrl;
use super::secret::{DatabaseUrl, StaticKeys};
use super::settings::{self, PROFILE, Setting};
use super::source::{EffectiveSetting, Source, Variables};
use super::time_span::{TimeSpan, TimeUnit};
use super::{LogFormat, Profile, RefreshMode, Registration, address, log_filter, origins};
use crate::credential::hex;
use crate::password::Cost;
use crate::private_file::reason;
use crate::scope::ScopePatterns;

/// The maximum size of a secret's file.
const MAX_SECRET_BYTES: u64 = 1 << 16;

/// The minimum length of a static key; shorter ones can be guessed.
const MIN_STATIC_KEY_LENGTH: usize = 8;

/// The given settings by name. Without `Debug`, because values may be secrets.
pub(super) struct Values {
    given: HashMap<&'static str, (SecretString, Source)>,
    /// The invalid settings, which are replaced with their defaults.
    invalid: BTreeSet<&'static str>,
}

impl Values {
    /// Selects our settings, and reads the files of secrets. An unknown `TOKENHOUSE_…` is an error, as a
    /// misspelt one would silently keep the default; so is an empty secret, which the operator meant to
    /// set.
    pub(super) fn new(vars: &Variables) -> (Self, Vec<ConfigError>) {
        let mut given = HashMap::new();
        let (mut files, mut errors) = (HashMap::new(), Vec::new());
        for (name, (value, source)) in vars {
            if let Some(setting) = settings::find(name) {
                given.insert(setting.name, (value.clone(), source.clone()));
            } else if let Some(setting) = secret_of_file(name) {
                files.insert(setting, value.expose_secret());
            } else if has_prefix(name) && !is_service_link(name, value.expose_secret()) {
                errors.push(error(name, problem_of_unknown(name)));
            }
        }
        for (name, path) in files {
            let file_name = format!("{name}_FILE");
            if given.contains_key(name) {
                let problem = format!("{file_name} is set as well; set only one of them");
                errors.push(error(name, problem));
                given.remove(name);
                continue;
            }
            match read_secret(path) {
                Ok(secret) => {
                    given.insert(name, (secret, Source::SecretFile(path.into())));
                }
                Err(problem) => errors.push(error(&file_name, problem)),
            }
        }
        given.retain(|name, (value, _)| {
            let is_secret = settings::find(name).is_some_and(|setting| setting.secret);
            let is_empty = value.expose_secret().is_empty();
            if is_empty && is_secret {
                errors.push(error(name, "is empty; remove it to have none"));
            }
            // An empty value counts as missing, as in a `.env` template.
            !is_empty
        });
        errors.sort_by(|a, b| a.name.cmp(&b.name));
        let invalid = BTreeSet::new();
        (Self { given, invalid }, errors)
    }

    /// Replaces an invalid setting with its default. Returns whether this call replaced it.
    pub(super) fn reset(&mut self, name: &str) -> bool {
        let Some(setting) = settings::find(name) else {
            return false;
        };
        self.given.remove(setting.name);
        self.invalid.insert(setting.name)
    }

    /// The value, if the setting is given.
    pub(super) fn secret(&self, name: &'static str) -> Option<&SecretString> {
        self.given.get(name).map(|(value, _)| value)
    }

    pub(super) fn profile(&self) -> Result<Profile, ConfigError> {
        match self.text(PROFILE).as_str() {
            "tutorial" => Ok(Profile::Tutorial),
            "standard" => Ok(Profile::Standard),
            _ => Err(error(PROFILE, "expected tutorial or standard")),
        }
    }

    /// The default in this profile, and whether the profile changes it.
    fn default(&self, setting: &Setting) -> (&'static str, Source) {
        let profile = self.secret(PROFILE).map(ExposeSecret::expose_secret);
        let is_standard = profile.is_some_and(|profile| profile.trim() == "standard");
        match setting.standard.filter(|_| is_standard) {
            Some(standard) => (standard, Source::ProfileStandard),
            None => (setting.default, Source::Default),
        }
    }

    /// All settings with their values and sources.
    pub(super) fn effective(&self) -> Vec<EffectiveSetting> {
        let effective = |setting: &'static Setting| {
            let given = self.given.get(setting.name);
            let source =
                given.map_or_else(|| self.default(setting).1, |(_, source)| source.clone());
            let value = match setting.name {
                // Its `Display` shows no secret.
                "DATABASE_URL" => self.database_url().map(|url| url.to_string()),
                "TOKENHOUSE_WORKERS" | "TOKENHOUSE_HASH_THREADS" => self
                    .count_or_cores(setting.name)
                    .map(|count| count.to_string()),
                _ if setting.secret => Ok(given.map_or("", |_| "********").to_owned()),
                name => Ok(self.text(name)),
            };
            EffectiveSetting {
                setting,
                value: value.unwrap_or_default(),
                source,
            }
        };
        settings::SETTINGS.iter().map(effective).collect()
    }

    /// The name of a setting and where its value comes from, for messages.
    pub(super) fn source(&self, name: &'static str) -> String {
        let all = self.effective();
        let effective = all.iter().find(|effective| effective.setting.name == name);
        effective.map_or_else(
            || name.to_owned(),
            |effective| format!("{name}, {}", effective.source),
        )
    }

    /// SHA-256 over the names and values of all settings, including defaults, in hexadecimal. Of a secret
    /// it covers only whether it is set, because a short one could be guessed from the digest.
    pub(super) fn digest(&self) -> String {
        let mut hasher = Sha256::new();
        for setting in settings::SETTINGS {
            let value = match (setting.secret, self.secret(setting.name)) {
                (true, None) => "unset".to_owned(),
                (true, Some(_)) => "set".to_owned(),
                (false, _) => self.text(setting.name),
            };
            hasher.update(format!("{}={value}\0", setting.name));
        }
        let mut digest = [0; 64];
        hex::write(&hasher.finalize(), &mut digest);
        String::from_utf8_lossy(&digest).into_owned()
    }

    /// A setting as text; empty if it has no value.
    pub(super) fn text(&self, name: &'static str) -> String {
        let default = settings::find(name).map_or("", |setting| self.default(setting).0);
        let given = self.secret(name).map(ExposeSecret::expose_secret);
        given.unwrap_or(default).trim().to_owned()
    }

    /// A setting of any type that can be parsed.
    pub(super) fn parse<T: FromStr>(
        &self,
        name: &'static str,
        expected: &str,
    ) -> Result<T, ConfigError> {
        self.text(name)
            .parse()
            .map_err(|_error| error(name, format!("expected {expected}")))
    }

    /// An address and port to listen on.
    pub(super) fn address(&self, name: &'static str) -> Result<SocketAddr, ConfigError> {
        address::parse(&self.text(name)).map_err(|problem| error(name, problem))
    }

    /// The optional address of the listener for metrics.
    pub(super) fn metrics_address(&self) -> Result<Option<SocketAddr>, ConfigError> {
        let name = "TOKENHOUSE_METRICS_BIND";
        if self.text(name).is_empty() {
            return Ok(None);
        }
        let address = self.address(name)?;
        if address.port() != 0
            && self
                .address("TOKENHOUSE_BIND")
                .is_ok_and(|bind| bind == address)
        {
            let problem = "expected another address or port than that of TOKENHOUSE_BIND";
            return Err(error(name, problem));
        }
        Ok(Some(address))
    }

    /// A filter of `env_logger`.
    pub(super) fn log_filter(&self) -> Result<String, ConfigError> {
        let filter = self.text("RUST_LOG");
        match log_filter::check(&filter) {
            Ok(()) => Ok(filter),
            Err(problem) => Err(error("RUST_LOG", problem)),
        }
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

    /// A time. The bounds are numbers of `unit`, as is a value without a unit.
    pub(super) fn time(
        &self,
        name: &'static str,
        bounds: RangeInclusive<u64>,
        unit: TimeUnit,
    ) -> Result<Duration, ConfigError> {
        let min = TimeSpan::new(*bounds.start(), unit);
        let max = TimeSpan::new(*bounds.end(), unit);
        TimeSpan::parse(&self.text(name), unit)
            .map_err(|problem| problem.to_string())
            .and_then(|span| match span {
                span if span < min || span > max => Err("expected a time".to_owned()),
                span => Ok(span.as_duration()),
            })
            .map_err(|problem| error(name, format!("{problem}, from {min} to {max}")))
    }

    /// A time in these bounds; `None` if it is empty.
    pub(super) fn optional_time(
        &self,
        name: &'static str,
        bounds: RangeInclusive<u64>,
        unit: TimeUnit,
    ) -> Result<Option<Duration>, ConfigError> {
        if self.text(name).is_empty() {
            return Ok(None);
        }
        self.time(name, bounds, unit).map(Some)
    }

    /// Which sign-ins get a refresh token.
    pub(super) fn refresh_mode(&self) -> Result<RefreshMode, ConfigError> {
        let name = "TOKENHOUSE_REFRESH";
        match self.text(name).as_str() {
            "asked" => Ok(RefreshMode::Asked),
            "off" => Ok(RefreshMode::Off),
            "always" => Ok(RefreshMode::Always),
            _ => Err(error(name, "expected asked, off or always")),
        }
    }

    /// How long events are kept; `None` for ever.
    pub(super) fn audit_retention(&self) -> Result<Option<Duration>, ConfigError> {
        const DAY: Duration = Duration::from_secs(86_400);
        let name = "TOKENHOUSE_AUDIT_RETENTION_DAYS";
        let time = self.time(name, 0..=36_500, TimeUnit::Day)?;
        match time {
            Duration::ZERO => Ok(None),
            time if time < DAY => Err(error(name, "expected at least 1d, or 0 for no limit")),
            time => Ok(Some(time)),
        }
    }

    /// A number of threads; by default one per core.
    pub(super) fn count_or_cores(&self, name: &'static str) -> Result<usize, ConfigError> {
        if self.text(name).is_empty() {
            return Ok(std::thread::available_parallelism().map_or(1, usize::from));
        }
        self.number(name, 1, 1_024)
    }

    /// A boolean.
    pub(super) fn flag(&self, name: &'static str) -> Result<bool, ConfigError> {
        match self.text(name).to_ascii_lowercase().as_str() {
            "true" | "on" | "yes" | "1" => Ok(true),
            "false" | "off" | "no" | "0" => Ok(false),
            _ => Err(error(name, "expected true or false")),
        }
    }

    /// Texts separated by commas, without surrounding spaces.
    pub(super) fn list(&self, name: &'static str) -> Vec<String> {
        let text = self.text(name);
        let items = text.split(',').map(str::trim);
        let given = items.filter(|item| !item.is_empty());
        given.map(str::to_owned).collect()
    }

    pub(super) fn grantable_scopes(&self) -> Result<ScopePatterns, ConfigError> {
        const NAME: &str = "TOKENHOUSE_GRANTABLE_SCOPES";
        ScopePatterns::new(self.list(NAME)).map_err(|_invalid| {
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
        let url = match self.secret(name) {
            Some(url) => url.clone(),
            None => self.text(name).into(),
        };
        let url = DatabaseUrl::parse(url).map_err(|problem| error(name, problem))?;
        url.check_slashes()
            .map_err(|problem| error(name, problem))?;
        Ok(url)
    }

    /// The static keys, which clients send in a header.
    pub(super) fn static_keys(&self) -> Result<StaticKeys, ConfigError> {
        let mut keys = Vec::new();
        for name in ["API_KEY_TOKEN", "API_KEY_TOKEN_PREVIOUS"] {
            let Some(key) = self.secret(name) else {
                continue;
            };
            let text = key.expose_secret();
            if text.chars().count() < MIN_STATIC_KEY_LENGTH {
                let problem = format!("expected {MIN_STATIC_KEY_LENGTH} characters or more");
                return Err(error(name, problem));
            }
            // RFC 9110 section 5.5: surrounding blanks do not belong to a value.
            if text.contains(|c: char| c.is_ascii_control() && c != '\t')
                || text.trim_matches([' ', '\t']) != text
            {
                return Err(error(
                    name,
                    "not a valid header value: it has a control character, or begins or ends with a \
                     blank",
                ));
            }
            keys.push(key.clone());
        }
        Ok(StaticKeys::new(&keys))
    }

    /// An optional key of 32 characters or more.
    pub(super) fn audit_key(&self) -> Result<Option<SecretString>, ConfigError> {
        let name = "TOKENHOUSE_AUDIT_KEY";
        match self.secret(name) {
            Some(key) if key.expose_secret().chars().count() < 32 => {
                Err(error(name, "expected 32 characters or more"))
            }
            key => Ok(key.cloned()),
        }
    }

    /// Origins as browsers write them.
    pub(super) fn cors_origins(&self) -> Result<Vec<String>, ConfigError> {
        let name = "TOKENHOUSE_CORS_ORIGINS";
        origins::parse(&self.list(name)).map_err(|problem| error(name, problem))
    }

    /// An optional URL of http or https.
    pub(super) fn public_url(&self) -> Result<Option<PublicUrl>, ConfigError> {
        let name = "TOKENHOUSE_PUBLIC_URL";
        let url = Some(self.text(name)).filter(|url| !url.is_empty());
        url.map(|url| PublicUrl::parse(&url).map_err(|problem| error(name, problem)))
            .transpose()
    }

    pub(super) fn trusted_proxies(&self) -> Result<TrustedProxies, ConfigError> {
        let name = "TOKENHOUSE_TRUSTED_PROXIES";
        TrustedProxies::parse(&self.list(name)).map_err(|problem| error(name, problem))
    }

    pub(super) fn registration(&self) -> Result<Registration, ConfigError> {
        let (name, domains_name) = ("TOKENHOUSE_REGISTRATION", "TOKENHOUSE_REGISTRATION_DOMAINS");
        let domains = (1..).zip(self.list(domains_name)).map(|(number, domain)| {
            if domain.contains(['@', '*']) {
                let problem = "expected a domain such as example.com, without @ and *; subdomains are \
                               listed one by one";
                return Err(error(domains_name, format!("entry {number}: {problem}")));
            }
            // Normalized like the domains of addresses, with which it is compared.
            let address = EmailAddress::parse(&format!("a@{domain}"));
            let domain = address.map(|address| address.domain().to_owned());
            domain.map_err(|problem| error(domains_name, format!("entry {number}: {problem}")))
        });
        let domains: Vec<String> = domains.collect::<Result<_, _>>()?;
        match self.text(name).as_str() {
            "open" => Ok(Registration::Open),
            "closed" => Ok(Registration::Closed),
            // The error of the domains is reported already.
            "domains" if self.invalid.contains(domains_name) => Ok(Registration::Closed),
            "domains" if domains.is_empty() => {
                Err(error(name, "set TOKENHOUSE_REGISTRATION_DOMAINS as well"))
            }
            "domains" => Ok(Registration::Domains(domains)),
            _ => Err(error(name, "expected open, closed or domains")),
        }
    }

    pub(super) fn log_format(&self) -> Result<LogFormat, ConfigError> {
        let name = "TOKENHOUSE_LOG_FORMAT";
        match self.text(name).as_str() {
            "text" => Ok(LogFormat::Text),
            "json" => Ok(LogFormat::Json),
            _ => Err(error(name, "expected text or json")),
        }
    }
}

fn read_secret(path: &str) -> Result<SecretString, String> {
    let mut text = String::new();
    let read =
        File::open(path).and_then(|file| file.take(MAX_SECRET_BYTES + 1).read_to_string(&mut text));
    match read {
        Err(error) if error.kind() == ErrorKind::InvalidData => {
            Err("the file is not UTF-8".to_owned())
        }
        Err(error) => Err(format!("the file cannot be read: {}", reason(&error))),
        Ok(length) if length as u64 > MAX_SECRET_BYTES => {
            Err(format!("the file is larger than {MAX_SECRET_BYTES} bytes"))
        }
        // Editors and `echo` append a newline that does not belong to the secret.
        Ok(_) => match text.trim_end_matches(['\r', '\n']) {
            "" => Err("the file is empty".to_owned()),
            secret => Ok(secret.into()),
        },
    }
}

fn error(name: &str, problem: impl Into<String>) -> ConfigError {
    ConfigError::new(name, problem)
}
