//! Keys that the service generates for itself and keeps in the database, shared by all processes.

use std::sync::{Arc, OnceLock};

use diesel::prelude::*;
use diesel::sql_types::Text;

use super::schema::instance_secrets;
use super::{StoreConnection, Writing};
use crate::credential::keyed_digest::DigestKey;
use crate::credential::token::generate_token;

/// A named key, generated on first use. Cheap to clone.
#[derive(Clone)]
pub(crate) struct InstanceKey {
    name: &'static str,
    key: Arc<OnceLock<DigestKey>>,
}

impl InstanceKey {
    /// A handle to the key with this name.
    pub(crate) fn new(name: &'static str) -> Self {
        Self {
            name,
            key: Arc::default(),
        }
    }

    /// The key of the digests that identify deleted users.
    pub(crate) fn deletion() -> Self {
        Self::new("deletion")
    }

    /// The key itself, if it was used before.
    pub(crate) fn cached(&self) -> Option<DigestKey> {
        self.key.get().cloned()
    }

    /// The key itself. A newly generated key is cached only at its next use: this transaction may
    /// be rolled back.
    pub(crate) fn get(&self, tx: &mut Writing<'_>) -> QueryResult<DigestKey> {
        if let Some(key) = self.key.get() {
            return Ok(key.clone());
        }
        if let Some(key) = self.find(tx)? {
            return Ok(self.key.get_or_init(|| key).clone());
        }
        let new = generate_token()
            .map_err(|error| diesel::result::Error::QueryBuilderError(error.into()))?;
        // Processes that generate the key at the same time all get the same one. diesel's
        // `MultiConnection` has no ON CONFLICT; both databases accept this statement.
        diesel::sql_query(
            "INSERT INTO instance_secrets (name, secret) VALUES ($1, $2) \
             ON CONFLICT (name) DO NOTHING",
        )
        .bind::<Text, _>(self.name)
        .bind::<Text, _>(new.expose())
        .execute(tx.conn())?;
        self.find(tx)?.ok_or(diesel::result::Error::NotFound)
    }

    /// The key itself, if it was generated before.
    pub(crate) fn find(&self, conn: &mut StoreConnection) -> QueryResult<Option<DigestKey>> {
        let secret: Option<String> = instance_secrets::table
            .find(self.name)
            .select(instance_secrets::secret)
            .get_result(conn)
            .optional()?;
        Ok(secret.map(|secret| DigestKey::new(secret.into())))
    }
}
