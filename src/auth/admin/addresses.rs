//! The addresses of the users that the audit trail names by id.

use std::collections::HashMap;

use crate::audit::{Named, named};
use crate::auth::Auth;
use crate::error::Error;
use crate::store::{ApiKey, AuditEvent, User};

/// The current addresses of users, and of the owners of keys. The trail itself contains no address, so
/// that those of deleted users are gone.
#[derive(Debug, Default)]
pub struct Addresses {
    users: HashMap<i64, String>,
    owners: HashMap<i64, String>,
}

impl Addresses {
    /// The address of an actor or a target such as `user:12`, or of the owner of `key:3`.
    pub fn of(&self, name: &str) -> Option<&str> {
        let found = match named(name)? {
            Named::User(id) => self.users.get(&id),
            Named::Key(id) => self.owners.get(&id),
        };
        found.map(String::as_str)
    }
}

impl Auth {
    /// Looks up the addresses of the actors and targets of events.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn find_addresses(&self, events: &[AuditEvent]) -> Result<Addresses, Error> {
        let (mut users, mut keys) = (Vec::new(), Vec::new());
        for event in events {
            for name in [&event.actor, &event.target] {
                match named(name) {
                    Some(Named::User(id)) => users.push(id),
                    Some(Named::Key(id)) => keys.push(id),
                    None => {}
                }
            }
        }
        for ids in [&mut users, &mut keys] {
            ids.sort_unstable();
            ids.dedup();
        }
        let find = move |conn: &mut _| {
            Ok(Addresses {
                users: User::list_addresses(conn, &users)?.into_iter().collect(),
                owners: ApiKey::list_owners(conn, &keys)?.into_iter().collect(),
            })
        };
        Ok(self.0.store.read(find).await?)
    }

    /// The names under which the trail has a user as actor or target: that of the user, and those of
    /// the keys, also of revoked ones.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn names_in_trail(&self, user_id: i64) -> Result<Vec<String>, Error> {
        let list = move |conn: &mut _| ApiKey::list_ids_of_user(conn, user_id);
        let keys = self.0.store.read(list).await?;
        let keys = keys.into_iter().map(Named::Key);
        let all = std::iter::once(Named::User(user_id)).chain(keys);
        Ok(all.map(|named| named.to_string()).collect())
    }
}
