//! Settings that contain secrets, which are never printed.

use std::fmt;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

use super::postgres_url::PostgresUrl;
use crate::credential::token::TokenDigest;

/// The database, from `DATABASE_URL`. `Display` omits the user, the password and the parameters.
#[derive(Clone)]
#[non_exhaustive]
pub enum DatabaseUrl {
    /// An SQLite file.
    Sqlite(PathBuf),
    /// A Postgres server, with the whole URL for libpq.
    Postgres(SecretString),
}

impl DatabaseUrl {
    /// Parses a URL. `sqlite:///./file` is relative, as with SQLAlchemy. In a build without TLS to
    /// Postgres, the URL of a server on another machine must have `sslmode=disable`.
    ///
    /// # Errors
    /// A description of what is expected, without the value.
    pub fn parse(url: SecretString) -> Result<Self, String> {
        let text = url.expose_secret();
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            PostgresUrl::parse(text)?.check()?;
            return Ok(Self::Postgres(url));
        }
        if let Some(driver) = driver_of(text) {
            let (database, _) = text.split_once('+').unwrap_or_default();
            let problem = format!("write {database}:// without +{driver}, a driver of SQLAlchemy");
            return Err(problem);
        }
        let path = text
            .strip_prefix("sqlite://")
            .or_else(|| text.strip_prefix("sqlite:"))
            .ok_or("expected sqlite://FILE or postgres://USER:PASSWORD@HOST/NAME")?;
        let path = path.strip_prefix("/./").unwrap_or(path);
        if path.is_empty() || path.starts_with(':') {
            let memory = "a database in memory loses all users; use a file: sqlite://tokenhouse.db";
            return Err(memory.to_owned());
        }
        if path.contains('?') || path.starts_with("file:") {
            let parameters = "parameters of SQLite are not supported; give the file only";
            return Err(parameters.to_owned());
        }
        if path.ends_with('/') {
            return Err(
                "names a folder; expected a file, such as sqlite://tokenhouse.db".to_owned(),
            );
        }
        Ok(Self::Sqlite(PathBuf::from(path)))
    }

    /// Whether this is probably a relative path with the three slashes of SQLAlchemy, which mean an absolute
    /// path here: there is no such file, and either the file is next to the process, or it would be created
    /// in the root of the file system.
    ///
    /// # Errors
    /// How to write the URL, without the path.
    pub fn check_slashes(&self) -> Result<(), &'static str> {
        let Self::Sqlite(path) = self else {
            return Ok(());
        };
        // Four slashes are an absolute path in both.
        let is_doubled = path.as_os_str().as_encoded_bytes().starts_with(b"//");
        let Ok(relative) = path.strip_prefix("/") else {
            return Ok(());
        };
        let is_in_root = relative.components().count() == 1;
        if is_doubled || path.exists() || !(is_in_root || relative.exists()) {
            return Ok(());
        }
        Err(
            "the path after sqlite:/// begins at the root of the file system, and there is no such file; \
             a relative path has two slashes here, and three in SQLAlchemy: write sqlite://FILE, or \
             sqlite:////FILE for the root",
        )
    }

    /// The `sslmode` if it lets attackers in the network read the traffic with a Postgres server on
    /// another machine, or impersonate it: `disable`, `allow` or `prefer`.
    pub fn open_sslmode(&self) -> Option<String> {
        let Self::Postgres(url) = self else {
            return None;
        };
        let url = PostgresUrl::parse(url.expose_secret()).ok()?;
        url.open_mode().map(str::to_owned)
    }

    /// A parameter of a Postgres URL, such as `sslrootcert`.
    #[cfg(feature = "postgres-tls")]
    pub(crate) fn postgres_parameter(&self, name: &str) -> Option<String> {
        let Self::Postgres(url) = self else {
            return None;
        };
        let url = PostgresUrl::parse(url.expose_secret()).ok()?;
        url.parameter(name).map(str::to_owned)
    }

    /// The file of an SQLite database.
    pub fn sqlite_path(&self) -> Option<&Path> {
        match self {
            Self::Sqlite(path) => Some(path),
            Self::Postgres(_) => None,
        }
    }
}

/// Whether a value begins and ends with the same quote.
pub(super) fn is_quoted(value: &str) -> bool {
    ['"', '\'']
        .iter()
        .any(|quote| value.len() > 1 && value.starts_with(*quote) && value.ends_with(*quote))
}

/// The driver in a URL of SQLAlchemy, such as `aiosqlite` in `sqlite+aiosqlite://`.
fn driver_of(url: &str) -> Option<&'static str> {
    const DRIVERS: [&str; 7] = [
        "aiosqlite",
        "asyncpg",
        "pg8000",
        "psycopg",
        "psycopg2",
        "psycopg2cffi",
        "pysqlite",
    ];
    let (scheme, _) = url.split_once(':')?;
    let (database, driver) = scheme.split_once('+')?;
    let is_ours = matches!(database, "sqlite" | "postgres" | "postgresql");
    DRIVERS
        .into_iter()
        .find(|known| is_ours && *known == driver)
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite://{}", path.display()),
            Self::Postgres(url) => {
                let rest = url
                    .expose_secret()
                    .split_once("://")
                    .map_or("", |(_, rest)| rest);
                let rest = rest.split('?').next().unwrap_or_default();
                // A password may contain an unescaped '@': the last one ends it.
                let shown = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
                write!(f, "postgres://{shown}")
            }
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The static keys for the header `Token`, as digests.
#[derive(Clone, Default)]
pub struct StaticKeys {
    digests: Vec<TokenDigest>,
    shortest: Option<usize>,
    in_quotes: bool,
}

impl StaticKeys {
    /// Digests the keys that are not empty.
    pub fn new(keys: &[SecretString]) -> Self {
        let keys = || {
            keys.iter()
                .map(ExposeSecret::expose_secret)
                .filter(|key| !key.is_empty())
        };
        Self {
            digests: keys().map(|key| TokenDigest::new(key.as_bytes())).collect(),
            shortest: keys().map(|key| key.chars().count()).min(),
            in_quotes: keys().any(is_quoted),
        }
    }

    /// Whether `presented` is one of the keys, in constant time.
    pub fn contains(&self, presented: &[u8]) -> bool {
        let presented = TokenDigest::new(presented);
        // Compares all keys, so that the time depends only on their number.
        self.digests
            .iter()
            .fold(false, |found, key| key.matches(&presented) | found)
    }

    /// Whether there are no keys.
    pub fn is_empty(&self) -> bool {
        self.digests.is_empty()
    }

    /// Whether any key is between quotes.
    pub fn any_in_quotes(&self) -> bool {
        self.in_quotes
    }

    /// Whether any key has fewer characters than this.
    pub fn any_shorter_than(&self, characters: usize) -> bool {
        self.shortest.is_some_and(|shortest| shortest < characters)
    }
}

impl fmt::Debug for StaticKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StaticKeys({} set)", self.digests.len())
    }
}
