//! Keys that the service makes for itself and keeps in the database, the same for all processes.

use std::sync::OnceLock;

use diesel::QueryResult;

use crate::credential::keyed_digest::DigestKey;
use crate::credential::token::generate_token;
use crate::store::{StoreConnection, Writing, instance_secret};

/// A key by its name, made when it is first wanted.
pub(super) struct InstanceKey {
    name: &'static str,
    key: OnceLock<DigestKey>,
}

impl InstanceKey {
    /// The key of this name.
    pub(super) const fn new(name: &'static str) -> Self {
        Self {
            name,
            key: OnceLock::new(),
        }
    }

    /// The key itself, in a transaction that may write. One just made is remembered the next time
    /// only: this transaction may come to nothing.
    pub(super) fn get(&self, tx: &mut Writing<'_>) -> QueryResult<DigestKey> {
        if let Some(key) = self.key.get() {
            return Ok(key.clone());
        }
        if let Some(key) = self.find(tx)? {
            return Ok(self.key.get_or_init(|| key).clone());
        }
        let new = generate_token()
            .map_err(|error| diesel::result::Error::QueryBuilderError(error.into()))?;
        let secret = instance_secret::find_or_insert(tx, self.name, new.expose())?;
        Ok(DigestKey::new(secret.into()))
    }

    /// The key itself, if it was made.
    pub(super) fn find(&self, conn: &mut StoreConnection) -> QueryResult<Option<DigestKey>> {
        let secret = instance_secret::find(conn, self.name)?;
        Ok(secret.map(|secret| DigestKey::new(secret.into())))
    }
}
