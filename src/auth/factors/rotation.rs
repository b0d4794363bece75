//! Seals seeds again, after an operator has set another key.

use super::place_of;
use crate::audit::{Action, Event};
use crate::auth::Auth;
use crate::auth::admin::Administrator;
use crate::error::Error;
use crate::store::{Factor, StoreConnection, Writing};

/// How many seeds are sealed in a transaction.
const BATCH_LIMIT: i64 = 500;

impl Auth {
    /// Seals the seeds of all authenticator apps with the current key, and records that. Returns how many were
    /// sealed, and how many cannot be opened, which stay as they are.
    ///
    /// # Errors
    /// [`Error::Internal`] if the random generator fails; [`Error::Unavailable`]: then some are sealed
    /// already.
    pub async fn reseal_seeds(&self, operator: &Administrator) -> Result<(usize, usize), Error> {
        let keys = self.0.config.factors.keys.as_ref();
        let current = keys.map(|keys| keys.current().clone());
        let key_id = current.as_ref().map_or("", |key| key.id()).to_owned();
        let (mut after, mut resealed, mut unopened) = (0, 0, 0);
        loop {
            let key_id = key_id.clone();
            let list = move |conn: &mut StoreConnection| {
                Factor::list_sealed_otherwise(conn, &key_id, after, BATCH_LIMIT)
            };
            let batch = self.0.store.read(list).await?;
            let Some(last) = batch.last() else { break };
            after = last.id;
            let mut sealed = Vec::new();
            for factor in batch {
                match (self.open_seed(&factor), &current) {
                    (Some(seed), Some(key)) => {
                        let again = key.seal(&place_of(factor.id), seed.as_bytes())?;
                        sealed.push((factor.id, again, key.id().to_owned()));
                    }
                    _ => unopened += 1,
                }
            }
            resealed += sealed.len();
            let store = move |tx: &mut Writing<'_>| {
                for (id, sealed, key_id) in &sealed {
                    Factor::set_secret(tx, *id, sealed, key_id)?;
                }
                Ok::<_, Error>(())
            };
            self.0.store.writing(store).await?;
        }
        let event = Event::new(Action::KeysRotate).with("resealed", resealed);
        self.record(operator.context(), event.with("unopened", unopened))
            .await?;
        Ok((resealed, unopened))
    }
}
