//! Operations of operators on apps: programs that own keys without being people.

use chrono::{NaiveDateTime, TimeDelta};

use super::Administrator;
use crate::audit::{Action, Event};
use crate::auth::api_key::insert_key;
use crate::auth::validation::check_optional_scopes;
use crate::auth::{Auth, IssuedKey};
use crate::credential::api_key::{PlainKey, generate_api_key};
use crate::error::Error;
use crate::store::api_key::NEVER;
use crate::store::{ApiKey, AppRef, Ends, NewApiKey, StoreError, User, app};

/// The longest name of an app, in bytes.
const MAX_NAME: usize = 64;

impl Auth {
    /// Creates an app that holds these scopes, separated by spaces, and its first key, which lasts
    /// for `lifetime`, or without an end.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for an invalid name or scope; [`Error::AppTaken`];
    /// [`Error::Unavailable`].
    pub async fn create_app(
        &self,
        operator: &Administrator,
        name: String,
        scopes: String,
        lifetime: Option<TimeDelta>,
    ) -> Result<(User, IssuedKey), Error> {
        check_name(&name)?;
        let scopes = check_optional_scopes("scope", Ok(Some(scopes)))?.unwrap_or_default();
        let id = -1 - i64::from(rand::random::<u32>());
        let (secret, new) = self.new_app_key(id, &name, &scopes, lifetime)?;
        let now = self.0.clock.now();
        let created = self.add(&operator.context, move |tx, events| {
            let inserted = app::insert(tx, id, &name, &scopes, now);
            let app = inserted.map_err(|error| match StoreError::from(error) {
                StoreError::Conflict => Error::AppTaken,
                error => error.into(),
            })?;
            let event = Event::new(Action::AppCreate).on_app(&name).with("id", id);
            events.record(event.with("scopes", scopes.as_str()));
            let key = insert_key(tx, events, &app.scopes, &new)?;
            Ok((app, key))
        });
        let (app, key) = created.await?;
        Ok((app, IssuedKey { secret, key }))
    }

    /// Creates another key of an app, with its scopes. The earlier ones stay valid.
    ///
    /// # Errors
    /// [`Error::AppNotFound`]; [`Error::TooManyKeys`]; [`Error::Unavailable`].
    pub async fn add_app_key(
        &self,
        operator: &Administrator,
        app: AppRef,
        lifetime: Option<TimeDelta>,
    ) -> Result<(User, IssuedKey), Error> {
        let id = self.find_app_id(app).await?;
        let auth = self.clone();
        let created = self.add(&operator.context, move |tx, events| {
            let app = app::lock(tx, id)?.ok_or(Error::AppNotFound)?;
            let (secret, new) = auth.new_app_key(app.id, &app.name, &app.scopes, lifetime)?;
            let key = insert_key(tx, events, &app.scopes, &new)?;
            Ok((app, IssuedKey { secret, key }))
        });
        created.await
    }

    /// Lists the apps with their unrevoked keys, in the order of their names, and records that they
    /// were read.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn list_apps(
        &self,
        operator: &Administrator,
    ) -> Result<Vec<(User, Vec<ApiKey>)>, Error> {
        let event = Event::new(Action::KeyRead).with("apps", true);
        self.record(&operator.context, event).await?;
        Ok(self.0.store.read(app::list).await?)
    }

    /// Revokes one key of an app, or without `key` deletes the app with all its keys. When this
    /// returns, no process accepts them. Returns the app.
    ///
    /// # Errors
    /// [`Error::AppNotFound`]; [`Error::KeyNotFound`] when the app has no such key;
    /// [`Error::Unavailable`].
    pub async fn revoke_app(
        &self,
        operator: &Administrator,
        app: AppRef,
        key: Option<i64>,
    ) -> Result<User, Error> {
        let id = self.find_app_id(app).await?;
        let (ends, now) = (Ends::Users(vec![id]), self.0.clock.now());
        self.change(&operator.context, ends, move |tx, events| {
            let app = app::lock(tx, id)?.ok_or(Error::AppNotFound)?;
            match key {
                Some(key) if !ApiKey::revoke(tx, app.id, key, now)? => {
                    return Err(Error::KeyNotFound);
                }
                Some(key) => events.record(Event::new(Action::KeyRevoke).on_key(key)),
                None => {
                    app::delete(tx, app.id)?;
                    let event = Event::new(Action::AppRevoke).on_app(&app.name);
                    events.record(event.with("id", app.id));
                }
            }
            Ok(app)
        })
        .await
    }

    async fn find_app_id(&self, app: AppRef) -> Result<i64, Error> {
        let find = move |conn: &mut _| app::find_id(conn, &app);
        self.0.store.read(find).await?.ok_or(Error::AppNotFound)
    }

    fn new_app_key(
        &self,
        id: i64,
        name: &str,
        scopes: &str,
        lifetime: Option<TimeDelta>,
    ) -> Result<(PlainKey, NewApiKey), Error> {
        let secret = generate_api_key()?;
        let now = self.0.clock.now();
        let new = NewApiKey {
            user_id: id,
            name: name.to_owned(),
            hint: secret.hint().to_owned(),
            key_digest: secret.digest().to_hex(),
            scopes: scopes.to_owned(),
            created_at: now,
            expires_at: expiry(now, lifetime),
        };
        Ok((secret, new))
    }
}

/// A lifetime too long to compute ends at once: it never becomes a key without an end.
fn expiry(now: NaiveDateTime, lifetime: Option<TimeDelta>) -> NaiveDateTime {
    match lifetime {
        None => NEVER,
        Some(lifetime) => now
            .checked_add_signed(lifetime)
            .filter(|at| *at < NEVER)
            .unwrap_or(now),
    }
}

/// The name stands in the audit trail, in headers and in the log, and is told from an id.
fn check_name(name: &str) -> Result<(), Error> {
    let is_letter = |byte: u8| byte.is_ascii_lowercase();
    let is_allowed = |byte| is_letter(byte) || byte.is_ascii_digit() || b"._-".contains(&byte);
    let is_name = name.len() <= MAX_NAME
        && name.bytes().next().is_some_and(is_letter)
        && name.bytes().all(is_allowed);
    match is_name {
        true => Ok(()),
        false => Err(Error::AppName),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_apps_are_plain() {
        for good in ["a", "tasks-app", "a.b_c-9", &"a".repeat(64)] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "A",
            "9a",
            "-5",
            "a b",
            "a:b",
            "a@b",
            "ä",
            "a\n",
            &"a".repeat(65),
        ] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn only_a_missing_lifetime_has_no_end() {
        let now = NaiveDateTime::default();
        assert_eq!(expiry(now, None), NEVER);
        assert_eq!(
            expiry(now, Some(TimeDelta::days(1))),
            now + TimeDelta::days(1)
        );
        for too_long in [TimeDelta::days(3_000_000), TimeDelta::MAX] {
            assert_eq!(expiry(now, Some(too_long)), now);
        }
    }
}
