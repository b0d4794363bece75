//! The state of a user that a change is based on, so that a change based on an outdated state is refused
//! instead of undoing later changes.

use sha2::{Digest, Sha256};

use crate::credential::hex;
use crate::error::Error;
use crate::store::User;

/// What has to hold of a user's row when it is changed (RFC 9110 section 13.1.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Precondition {
    /// Nothing.
    #[default]
    None,
    /// That there is one: the caller accepts whatever state it has.
    Exists,
    /// That its version is one of these.
    IsOneOf(Vec<String>),
}

impl Precondition {
    /// Compares with the row, which has to be locked.
    ///
    /// # Errors
    /// [`Error::PreconditionFailed`] when the row has another version.
    pub(super) fn check(&self, user: &User) -> Result<(), Error> {
        match self {
            Self::None | Self::Exists => Ok(()),
            Self::IsOneOf(versions) if versions.contains(&version(user)) => Ok(()),
            Self::IsOneOf(_) => Err(Error::PreconditionFailed),
        }
    }
}

/// The version of a user: 64 hexadecimal digits that differ whenever anything differs that
/// administrators see of the user. SHA-256 over all fields, the length before each.
pub fn version(user: &User) -> String {
    // All of them by name: a new field has to be thought of here.
    let User {
        id,
        name,
        surname,
        email,
        website,
        scopes,
        created_at,
        disabled_at,
    } = user;
    let disabled_at = disabled_at.map(|at| at.to_string());
    let fields = [
        &id.to_string(),
        name,
        surname,
        email,
        website,
        scopes,
        &created_at.to_string(),
        &disabled_at.unwrap_or_default(),
    ];
    let mut hash = Sha256::new();
    for field in fields {
        hash.update((field.len() as u64).to_be_bytes());
        hash.update(field.as_bytes());
    }
    let mut digits = [0_u8; 64];
    hex::write(&hash.finalize(), &mut digits);
    String::from_utf8_lossy(&digits).into_owned()
}
