//! What is done to other people's accounts, by administrators and by the operator. Whatever ends a
//! session here has ended it on every process when it returns.

use diesel::QueryResult;

use super::account::{ProfileForm, changed_fields};
use super::administrator::Administrator;
use super::audit::{Action, Event, Events};
use super::register::taken;
use super::{Auth, RegistrationForm, page};
use crate::email::{EmailAddress, fold};
use crate::error::{Error, FieldError};
use crate::store::{Account, StoreConnection, User, UserChanges};

/// A page of users.
#[derive(Debug)]
pub struct UserPage {
    /// The users.
    pub users: Vec<User>,
    /// What to ask the next page for; `None` after the last one.
    pub next: Option<String>,
}

/// What an administrator wants to change about a user; `None` leaves it.
pub struct UserPatch {
    /// What the user may change too.
    pub profile: ProfileForm,
    /// Whether the user is kept out.
    pub disabled: Result<Option<bool>, FieldError>,
    /// All the scopes that the user shall hold, separated by spaces.
    pub scopes: Result<Option<String>, FieldError>,
}

impl UserPatch {
    /// One that changes nothing.
    pub const fn none() -> Self {
        Self {
            profile: ProfileForm {
                name: Ok(None),
                surname: Ok(None),
                website: Ok(None),
            },
            disabled: Ok(None),
            scopes: Ok(None),
        }
    }
}

impl Auth {
    /// The users whose addresses begin with `search`, in any spelling, or all of them; `limit` at
    /// most, from where `after` says: [`UserPage::next`] of the page before. That they were looked
    /// at is an event.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn list_users(
        &self,
        admin: &Administrator,
        search: Option<&str>,
        after: Option<&str>,
        limit: i64,
    ) -> Result<UserPage, Error> {
        let event = Event::new(Action::UserRead).with("limit", limit);
        self.note_event(&admin.origin, event).await?;
        let after = after.unwrap_or_default().to_owned();
        let (users, next) = match search.filter(|search| !search.is_empty()) {
            Some(prefix) => {
                let prefix = fold(prefix);
                let list =
                    move |conn: &mut _| User::list_by_address(conn, &prefix, &after, limit + 1);
                let found = self.0.store.read(list).await?;
                let (found, next) = page::cut(found, limit, |(address, _)| address.clone());
                (found.into_iter().map(|(_, user)| user).collect(), next)
            }
            None => {
                // What is no number was not made here: the first page then.
                let after = after.parse().unwrap_or(0);
                let list = move |conn: &mut _| User::list_after(conn, after, limit + 1);
                let users = self.0.store.read(list).await?;
                page::cut(users, limit, |user| user.id.to_string())
            }
        };
        Ok(UserPage { users, next })
    }

    /// One user. That somebody looked is an event.
    ///
    /// # Errors
    /// [`Error::NotFound`] and [`Error::Unavailable`].
    pub async fn find_user(&self, admin: &Administrator, id: i64) -> Result<User, Error> {
        let find = move |conn: &mut _| User::find(conn, id);
        let user = self.0.store.read(find).await?.ok_or(Error::NotFound)?;
        let event = Event::new(Action::UserRead).on_user(id);
        self.note_event(&admin.origin, event).await?;
        Ok(user)
    }

    /// The id of the user with this address, in any spelling.
    ///
    /// # Errors
    /// [`Error::NotFound`] and [`Error::Unavailable`].
    pub async fn find_user_id(&self, email: &str) -> Result<i64, Error> {
        let Ok(email) = EmailAddress::parse(email) else {
            return Err(Error::NotFound);
        };
        let key = email.key();
        let find = move |conn: &mut _| Account::find_by_email_key(conn, &key);
        let account = self.0.store.read(find).await?;
        Ok(account.ok_or(Error::NotFound)?.user.id)
    }

    /// Makes a user, whoever may register, with these scopes.
    ///
    /// # Errors
    /// [`Error::InvalidBody`] with every wrong field; [`Error::EmailTaken`];
    /// [`Error::InsufficientScope`] for a scope that the administrator may not give away;
    /// [`Error::InvalidToken`] when the administrator's session has ended meanwhile;
    /// [`Error::Busy`] and [`Error::Unavailable`].
    pub async fn create_user(
        &self,
        admin: &Administrator,
        form: RegistrationForm,
        scopes: Result<Option<String>, FieldError>,
    ) -> Result<User, Error> {
        let (form, scopes) = Error::both(self.check_form(form), check_scopes(scopes))?;
        let user = self.prepare_user(form, scopes.unwrap_or_default()).await?;
        let (by, now) = (admin.by.clone(), self.0.clock.now());
        let created = self.change(&admin.origin, move |conn, events| {
            if let Some(by) = &by {
                let allowed = by.lock(conn, now)?;
                let allowed = allowed.and_then(|caller| by.may_give(&caller, "", &user.scopes));
                if let Err(error) = allowed {
                    return Ok(Err(error));
                }
            }
            let created = user.insert(conn)?;
            let event = Event::new(Action::UserCreate).on_user(created.id);
            events.record(event.with("scopes", created.scopes.as_str()));
            Ok(Ok(created))
        });
        let created = created.await.map_err(taken)?;
        self.note_if_refused(admin, created).await
    }

    /// Changes a user, and returns the user as they are then. A user who is disabled has no
    /// sessions while that lasts; scopes that are taken are taken from all tokens and keys.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::InvalidBody`] with every wrong field;
    /// [`Error::InsufficientScope`] for a scope that the administrator may not give away;
    /// [`Error::InvalidToken`] when the administrator's session has ended meanwhile;
    /// [`Error::Unavailable`].
    pub async fn update_user(
        &self,
        admin: &Administrator,
        id: i64,
        patch: UserPatch,
    ) -> Result<User, Error> {
        let disabled = patch
            .disabled
            .map_err(|error| Error::InvalidBody(vec![error]));
        let rest = Error::both(disabled, check_scopes(patch.scopes));
        let (mut changes, (disabled, scopes)) = Error::both(patch.profile.check(), rest)?;
        changes.scopes = scopes;
        let now = self.0.clock.now();
        let updated = self.administer(admin, id, move |conn, events, user, may_give| {
            if let Some(scopes) = &changes.scopes
                && let Err(error) = may_give(&user.scopes, scopes)
            {
                return Ok(Err(error));
            }
            changes.disabled_at = disabled
                .filter(|disabled| *disabled != user.disabled_at.is_some())
                .map(|disabled| disabled.then_some(now));
            record_changes(events, user, &changes);
            Ok(User::change(conn, id, &changes)?.ok_or(Error::NotFound))
        });
        updated.await
    }

    /// Deletes a user, with all tokens and keys.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::InvalidToken`] when the administrator's session has ended
    /// meanwhile; [`Error::Unavailable`].
    pub async fn delete_user(&self, admin: &Administrator, id: i64) -> Result<(), Error> {
        let deleted = self.administer(admin, id, move |conn, events, _user, _may_give| {
            User::delete(conn, id)?;
            events.record(Event::new(Action::UserDelete).on_user(id));
            Ok(Ok(()))
        });
        deleted.await
    }

    /// Does something to a user while both rows are held: the user's, and that of the
    /// administrator, who has to be in still and hold the scope still. The lower id is locked
    /// first, so that two administrators cannot wait for each other.
    pub(super) async fn administer<T: Send + 'static>(
        &self,
        admin: &Administrator,
        id: i64,
        work: impl FnOnce(
            &mut StoreConnection,
            &mut Events,
            &User,
            &dyn Fn(&str, &str) -> Result<(), Error>,
        ) -> QueryResult<Result<T, Error>>
        + Send
        + 'static,
    ) -> Result<T, Error> {
        let (by, now) = (admin.by.clone(), self.0.clock.now());
        let outcome = self.change(&admin.origin, move |conn, events| {
            let mut user = None;
            if by.as_ref().is_none_or(|by| id < by.session.user.id) {
                user = User::lock(conn, id)?;
            }
            let caller = match &by {
                Some(by) => match by.lock(conn, now)? {
                    Ok(caller) => Some((by, caller)),
                    Err(error) => return Ok(Err(error)),
                },
                None => None,
            };
            if by.is_some() && user.is_none() {
                user = User::lock(conn, id)?;
            }
            let Some(user) = user else {
                return Ok(Err(Error::NotFound));
            };
            let may_give = |before: &str, after: &str| match &caller {
                Some((by, caller)) => by.may_give(caller, before, after),
                None => Ok(()),
            };
            work(conn, events, &user, &may_give)
        });
        self.note_if_refused(admin, outcome.await?).await
    }

    /// Puts a refusal into the trail, when what an administrator wanted takes another scope.
    async fn note_if_refused<T>(
        &self,
        admin: &Administrator,
        outcome: Result<T, Error>,
    ) -> Result<T, Error> {
        match (outcome, &admin.by) {
            (Err(Error::InsufficientScope(scope)), Some(by)) => {
                Err(self.refuse_scope(&admin.origin, &by.session, &scope).await)
            }
            (outcome, _) => outcome,
        }
    }
}

fn check_scopes(scopes: Result<Option<String>, FieldError>) -> Result<Option<String>, Error> {
    let checked = scopes.and_then(|scopes| scopes.map(super::api_key::check_scopes).transpose());
    checked.map_err(|error| Error::InvalidBody(vec![error]))
}

fn record_changes(events: &mut Events, user: &User, changes: &UserChanges) {
    let fields = changed_fields(changes);
    if !fields.is_empty() {
        let event = Event::new(Action::UserUpdate).on_user(user.id);
        events.record(event.with("fields", fields));
    }
    if let Some(scopes) = &changes.scopes
        && *scopes != user.scopes
    {
        let event = Event::new(Action::UserScopes).on_user(user.id);
        let event = event.with("before", user.scopes.as_str());
        events.record(event.with("after", scopes.as_str()));
    }
    match changes.disabled_at {
        Some(Some(_)) => events.record(Event::new(Action::UserDisable).on_user(user.id)),
        Some(None) => events.record(Event::new(Action::UserEnable).on_user(user.id)),
        None => {}
    }
}
