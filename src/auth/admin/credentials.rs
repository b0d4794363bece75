//! Operations of administrators and operators on passwords, tokens and keys. When one returns, the
//! credentials that it revokes are refused by every process.

use pydantic_email::fold;
use secrecy::SecretString;

use super::Administrator;
use crate::audit::{Action, Event};
use crate::auth::api_key::insert_key;
use crate::auth::mail_tokens;
use crate::auth::paging::split_page;
use crate::auth::revoked_credentials::RevokedCredentials;
use crate::auth::session::{Authentication, Beginning};
use crate::auth::sign_in::choose_scopes;
use crate::auth::validation::check_password;
use crate::auth::{Auth, Device, IssuedKey, IssuedToken, KeyInput};
use crate::error::Error;
#[cfg(feature = "pages")]
use crate::store::prune_sign_in_codes;
use crate::store::{
    AccessToken, Account, ApiKey, Ends, LockedSessions, SessionKind, Sessions, User, Writing,
    access_token,
};

impl Auth {
    /// Ends the sessions and revokes all keys of a user. Returns what was revoked.
    ///
    /// # Errors
    /// The same as [`Auth::delete_user`].
    pub async fn sign_out_user(
        &self,
        admin: &Administrator,
        id: i64,
    ) -> Result<RevokedCredentials, Error> {
        let now = self.0.clock.now();
        let ended = self.administer(
            admin,
            id,
            Ends::Users(vec![id]),
            move |tx, events, _user| {
                let ended = RevokedCredentials::all_of_user(tx, id, now)?;
                events.record(ended.add_to(Event::new(Action::UserSignOut).on_user(id)));
                Ok(ended)
            },
        );
        ended.await
    }

    /// Sets the password of a user, clears the failures of the account, and ends the sessions
    /// and, unless `keep_keys`, all keys, so that an attacker who had access loses it. Returns what
    /// was revoked.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when the password violates the policy; [`Error::Busy`]; otherwise
    /// the same as [`Auth::delete_user`].
    pub async fn set_password(
        &self,
        admin: &Administrator,
        id: i64,
        password: SecretString,
        keep_keys: bool,
    ) -> Result<RevokedCredentials, Error> {
        let password = check_password("password", password, self.0.config.password_policy)?;
        let find = move |conn: &mut _| User::find(conn, id);
        let user = self.0.store.read(find).await?.ok_or(Error::UserNotFound)?;
        let hashed = self
            .hash_new_password(&admin.context, &password, &user)
            .await?;
        let (auth, now) = (self.clone(), self.0.clock.now());
        let by = admin.context.clone();
        let changed = self.administer(admin, id, Ends::Users(vec![id]), move |tx, events, user| {
            Account::set_hash(tx, id, &hashed)?;
            auth.0.throttle.clear_failures(tx, &fold(&user.email))?;
            mail_tokens::end_resets(tx, id)?;
            let ended = match keep_keys {
                true => RevokedCredentials::sessions_of_user(tx, id)?,
                false => RevokedCredentials::all_of_user(tx, id, now)?,
            };
            events.record(ended.add_to(Event::new(Action::PasswordChange).on_user(id)));
            auth.tell_of_password(tx, &by, user)?;
            Ok(ended)
        });
        changed.await
    }

    /// Issues a login token for a user without verifying the password, in a session of its own.
    ///
    /// # Errors
    /// [`Error::InvalidScope`] for a scope that the user does not hold; [`Error::Disabled`];
    /// otherwise the same as [`Auth::delete_user`].
    pub async fn issue_token_for(
        &self,
        admin: &Administrator,
        id: i64,
        scope: Option<String>,
    ) -> Result<IssuedToken, Error> {
        self.issue(admin, id, scope, None).await
    }

    /// Like [`Self::issue_token_for`], for a test: the user counts as just signed in by these methods,
    /// values of RFC 8176 section 2 with spaces between them.
    ///
    /// # Errors
    /// The same as [`Self::issue_token_for`].
    #[cfg(any(feature = "cli", feature = "testing"))]
    pub(crate) async fn sign_in_without_password(
        &self,
        id: i64,
        scope: Option<String>,
        methods: &str,
    ) -> Result<IssuedToken, Error> {
        let at = self.0.clock.now();
        let authentication = Some(Authentication { at, methods });
        self.issue(&Administrator::operator(), id, scope, authentication)
            .await
    }

    async fn issue(
        &self,
        admin: &Administrator,
        id: i64,
        scope: Option<String>,
        authentication: Option<Authentication<'_>>,
    ) -> Result<IssuedToken, Error> {
        let now = self.0.clock.now();
        let beginning = Beginning {
            user_id: id,
            kind: SessionKind::Issued,
            is_kept: false,
            scopes: String::new(),
            device: &Device::default(),
            authentication,
            refresh: None,
        };
        let (secret, mut session) = self.new_session(&admin.context, beginning, now)?;
        let auth = self.clone();
        let issued = self.administer(admin, id, Ends::Users(vec![id]), move |tx, events, user| {
            if user.disabled_at.is_some() {
                return Err(Error::Disabled);
            }
            session.scopes = choose_scopes(&user.scopes, scope.as_deref())?;
            let event = Event::new(Action::TokenIssue).on_user(id);
            events.record(event.with("scopes", session.scopes.as_str()));
            let mut sessions = LockedSessions::read(tx, &[id], [id].into())?;
            let limit = auth.0.config.sessions.per_user;
            let (token, evicted) = sessions.begin(session, limit)?;
            sessions.store(tx)?;
            auth.record_evicted(events, id, &evicted);
            Ok(token)
        });
        Ok(IssuedToken::of(secret, &issued.await?, None))
    }

    /// Lists the login tokens that have not expired, with their users, ordered by user id: about
    /// `limit` of them, after the user `after`, all of each user. Returns whether there are more.
    /// Records that they were read.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn list_tokens(
        &self,
        admin: &Administrator,
        after: i64,
        limit: i64,
    ) -> Result<(Vec<(User, AccessToken)>, bool), Error> {
        let event = Event::new(Action::UserRead).with("limit", limit);
        self.record(&admin.context, event).await?;
        let now = self.0.clock.now();
        let list = move |conn: &mut _| AccessToken::list_live(conn, now, after, limit);
        Ok(self.0.store.read(list).await?)
    }

    /// Lists the keys of a user for an operator, like [`Auth::list_keys`], and records that they
    /// were read.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn list_keys_of(
        &self,
        operator: &Administrator,
        id: i64,
    ) -> Result<Vec<ApiKey>, Error> {
        let event = Event::new(Action::KeyRead).on_user(id);
        self.record(&operator.context, event).await?;
        self.list_keys(id).await
    }

    /// Lists the keys of all users that are not revoked, with the addresses of their owners: at most
    /// `limit` of them, after the key `after`, in the order of their ids. Returns whether there are
    /// more. Records that they were read.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn list_all_keys(
        &self,
        operator: &Administrator,
        after: i64,
        limit: i64,
    ) -> Result<(Vec<(ApiKey, String)>, bool), Error> {
        let event = Event::new(Action::KeyRead).with("limit", limit);
        self.record(&operator.context, event).await?;
        let list = move |conn: &mut _| ApiKey::list_after(conn, after, limit + 1);
        Ok(split_page(self.0.store.read(list).await?, limit))
    }

    /// Counts the keys of all users that are not revoked.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn count_keys(&self) -> Result<i64, Error> {
        Ok(self.0.store.read(ApiKey::count).await?)
    }

    /// Creates an API key for a user, with at most the scopes of the user.
    ///
    /// # Errors
    /// The same as [`Auth::create_key`] and [`Auth::delete_user`]; [`Error::Disabled`].
    pub async fn create_key_for(
        &self,
        admin: &Administrator,
        id: i64,
        input: KeyInput,
    ) -> Result<IssuedKey, Error> {
        let (secret, new) = self.new_key(id, input)?;
        let (auth, by) = (self.clone(), admin.context.clone());
        let created = self.administer(
            admin,
            id,
            Ends::Users(Vec::new()),
            move |tx, events, user| {
                if user.disabled_at.is_some() {
                    return Err(Error::Disabled);
                }
                let key = insert_key(tx, events, &user.scopes, &new)?;
                auth.tell_of_key(tx, &by, user, &key)?;
                Ok(key)
            },
        );
        let key = created.await?;
        Ok(IssuedKey { secret, key })
    }

    /// Revokes a key of a user.
    ///
    /// # Errors
    /// The same as [`Auth::delete_user`]; [`Error::KeyNotFound`] when the user has no such key.
    pub async fn revoke_key_of(
        &self,
        admin: &Administrator,
        id: i64,
        key: i64,
    ) -> Result<(), Error> {
        let now = self.0.clock.now();
        let revoked = self.administer(admin, id, Ends::Users(vec![id]), move |tx, events, user| {
            if !ApiKey::revoke(tx, user.id, key, now)? {
                return Err(Error::KeyNotFound);
            }
            events.record(Event::new(Action::KeyRevoke).on_key(key));
            Ok(())
        });
        revoked.await
    }

    /// Clears the failed attempts of a user, so that the next sign-in does not have to wait. Returns
    /// whether there were any.
    ///
    /// # Errors
    /// The same as [`Auth::delete_user`].
    pub async fn unlock_user(&self, admin: &Administrator, id: i64) -> Result<bool, Error> {
        let auth = self.clone();
        let unlocked = self.administer(
            admin,
            id,
            Ends::Users(Vec::new()),
            move |tx, events, user| {
                let mut were_any = auth.0.throttle.clear_failures(tx, &fold(&user.email))?;
                were_any |= auth.0.throttle.clear_factor_tries(tx, user.id)?;
                events.record(Event::new(Action::UserUnlock).on_user(id));
                Ok(were_any)
            },
        );
        unlocked.await
    }

    /// Counts the tokens that have not expired, also for the metrics.
    pub(crate) async fn count_tokens(&self) -> Result<i64, Error> {
        let now = self.0.clock.now();
        let count = move |conn: &mut _| AccessToken::count_live(conn, now);
        let live = self.0.store.read(count).await?;
        self.0.metrics.tokens_live.set(live);
        Ok(live)
    }

    /// Like [`Auth::prune_tokens`], for an operator; also records an event.
    ///
    /// # Errors
    /// The same as [`Auth::prune_tokens`].
    pub async fn prune_tokens_for(&self, operator: &Administrator) -> Result<usize, Error> {
        let pruned = self.prune_tokens().await?;
        let event = Event::new(Action::TokenPrune).with("count", pruned);
        self.record(&operator.context, event).await?;
        Ok(pruned)
    }

    /// Deletes the expired tokens and returns their number. No process accepts them, so this only
    /// limits the size of the tables. Deletes nothing while the clock is not trusted
    /// ([`Auth::check_clock`]).
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer; earlier batches stay deleted.
    pub async fn prune_tokens(&self) -> Result<usize, Error> {
        if !self.check_clock().await? {
            return Ok(0);
        }
        let now = self.0.clock.now();
        let store = &self.0.store;
        let tokens = move |tx: &mut Writing<'_>, limit| AccessToken::prune(tx, now, limit);
        let count = |rows| self.0.metrics.tokens_purged.inc_by(rows as u64);
        let pruned = store.delete_in_batches(tokens, count).await?;
        let sessions = move |tx: &mut Writing<'_>, limit| Sessions::prune(tx, now, limit);
        store.delete_in_batches(sessions, |_rows| ()).await?;
        let spent =
            move |tx: &mut Writing<'_>, limit| access_token::prune_spent_tokens(tx, now, limit);
        store.delete_in_batches(spent, |_rows| ()).await?;
        #[cfg(feature = "pages")]
        {
            let codes = move |tx: &mut Writing<'_>, limit| prune_sign_in_codes(tx, now, limit);
            store.delete_in_batches(codes, |_rows| ()).await?;
        }
        Ok(pruned)
    }
}
