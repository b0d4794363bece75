//! Where the values of settings come from.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use secrecy::SecretString;

use super::settings::Setting;

/// Where the value of a setting comes from. `Display` names it for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// The setting is not given.
    Default,
    /// The setting is not given, and the profile `standard` has another default.
    ProfileStandard,
    /// The environment.
    Environment,
    /// A settings file.
    EnvFile {
        /// The path of the file.
        path: PathBuf,
        /// The line on which the value begins, from 1.
        line: usize,
    },
    /// The file of a secret, which `NAME_FILE` names.
    SecretFile(PathBuf),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::ProfileStandard => f.write_str("profile standard"),
            Self::Environment => f.write_str("environment"),
            Self::EnvFile { path, line } => write!(f, "{}, line {line}", path.display()),
            Self::SecretFile(path) => write!(f, "file {}", path.display()),
        }
    }
}

/// A setting that is in force.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EffectiveSetting {
    /// Its row in the table.
    pub setting: &'static Setting,
    /// The value. Asterisks replace a secret, except for a database's URL without user, password and
    /// parameters.
    pub value: String,
    /// Where the value comes from.
    pub source: Source,
}

/// Variables by name, with their values and sources.
pub(super) type Variables = BTreeMap<String, (SecretString, Source)>;
