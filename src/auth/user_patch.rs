//! What an administrator wants to change about a user, and what comes of it on the locked row.

use chrono::NaiveDateTime;

use super::account::{ProfileForm, changed_fields};
use super::audit::{Action, Event, Events};
use super::precondition::Precondition;
use crate::error::{Error, FieldError};
use crate::scope::{self, InvalidScope};
use crate::store::{User, UserChanges};

/// What an administrator wants to change about a user; `None` leaves it.
pub struct UserPatch {
    /// What the user may change too.
    pub profile: ProfileForm,
    /// Whether the user is kept out.
    pub disabled: Result<Option<bool>, FieldError>,
    /// All the scopes that the user shall hold, separated by spaces. Needs a [`Precondition`], and
    /// does not go with the two below.
    pub scopes: Result<Option<String>, FieldError>,
    /// Scopes to give to the user, beside those that the user holds.
    pub scopes_add: Result<Option<String>, FieldError>,
    /// Scopes to take from the user.
    pub scopes_remove: Result<Option<String>, FieldError>,
    /// What has to hold of the user when the change is made.
    pub only_if: Precondition,
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
            scopes_add: Ok(None),
            scopes_remove: Ok(None),
            only_if: Precondition::None,
        }
    }

    /// The patch, once every field was found right.
    ///
    /// # Errors
    /// [`Error::InvalidBody`] with every wrong field; [`Error::PreconditionRequired`] for all the
    /// scopes without a precondition.
    pub(super) fn check(self) -> Result<CheckedPatch, Error> {
        let disabled = self
            .disabled
            .map_err(|error| Error::InvalidBody(vec![error]));
        let scopes = ScopesChange::new(self.scopes, self.scopes_add, self.scopes_remove);
        let (profile, (disabled, scopes)) =
            Error::both(self.profile.check(), Error::both(disabled, scopes))?;
        if matches!(scopes, ScopesChange::Replace(_)) && self.only_if == Precondition::None {
            return Err(Error::PreconditionRequired);
        }
        Ok(CheckedPatch {
            profile,
            disabled,
            scopes,
            only_if: self.only_if,
        })
    }
}

/// A patch whose fields are right.
pub(super) struct CheckedPatch {
    profile: UserChanges,
    pub(super) disabled: Option<bool>,
    scopes: ScopesChange,
    pub(super) only_if: Precondition,
}

impl CheckedPatch {
    /// Whether it changes who the user is or what the user may do, which API keys may not.
    pub(super) fn is_for_people(&self) -> bool {
        !self.profile.is_empty() || self.scopes != ScopesChange::None
    }

    /// Whether it may keep a user out or take scopes.
    pub(super) fn may_restrict(&self) -> bool {
        self.disabled == Some(true) || self.scopes.may_take()
    }

    /// What is to be changed about a user, whose row has to be locked: that is what makes of a
    /// difference the right whole.
    ///
    /// # Errors
    /// [`Error::InvalidBody`] when the scopes would take up too much.
    pub(super) fn changes(&self, user: &User, now: NaiveDateTime) -> Result<UserChanges, Error> {
        let disabled_at = self
            .disabled
            .filter(|disabled| *disabled != user.disabled_at.is_some())
            .map(|disabled| disabled.then_some(now));
        Ok(UserChanges {
            scopes: self.scopes.apply(&user.scopes)?,
            disabled_at,
            ..self.profile.clone()
        })
    }
}

/// What is to become of the scopes of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
enum ScopesChange {
    None,
    Replace(String),
    Adjust { add: String, remove: String },
}

impl ScopesChange {
    fn new(
        all: Result<Option<String>, FieldError>,
        add: Result<Option<String>, FieldError>,
        remove: Result<Option<String>, FieldError>,
    ) -> Result<Self, Error> {
        let all = check_optional_scopes("scopes", all);
        let differences = Error::both(
            check_optional_scopes("scopes_add", add),
            check_optional_scopes("scopes_remove", remove),
        );
        let refused = |field, message: &str| {
            let error = FieldError::new(field, "value_error", message);
            Err(Error::InvalidBody(vec![error]))
        };
        match Error::both(all, differences)? {
            (None, (None, None)) => Ok(Self::None),
            (Some(all), (None, None)) => Ok(Self::Replace(all)),
            (Some(_), _) => refused(
                "scopes",
                "Value error, all the scopes do not go with scopes_add and scopes_remove",
            ),
            (None, (add, remove)) => {
                let (add, remove) = (add.unwrap_or_default(), remove.unwrap_or_default());
                if !scope::intersection(&add, &remove).is_empty() {
                    return refused("scopes_remove", "Value error, a scope is in scopes_add too");
                }
                Ok(Self::Adjust { add, remove })
            }
        }
    }

    fn may_take(&self) -> bool {
        match self {
            Self::None => false,
            Self::Replace(_) => true,
            Self::Adjust { remove, .. } => !remove.is_empty(),
        }
    }

    /// The scopes that the user holds afterwards; `None` when they stay as they are.
    fn apply(&self, held: &str) -> Result<Option<String>, Error> {
        match self {
            Self::None => Ok(None),
            Self::Replace(all) => Ok(Some(all.clone())),
            Self::Adjust { add, remove } => {
                let left = scope::difference(held, remove);
                let scopes = match add.as_str() {
                    "" => left,
                    add => scope::union(&left, add)
                        .map_err(|error| Error::InvalidBody(vec![invalid("scopes_add", error)]))?,
                };
                Ok(Some(scopes))
            }
        }
    }
}

/// Scopes as they are stored.
///
/// # Errors
/// What is wrong with the field.
pub(super) fn check_scopes(field: &'static str, scopes: &str) -> Result<String, FieldError> {
    scope::normalise(scopes).map_err(|error| invalid(field, error).showing(scopes))
}

/// As [`check_scopes`], for a field that may be left out.
///
/// # Errors
/// [`Error::InvalidBody`] with what is wrong with the field.
pub(super) fn check_optional_scopes(
    field: &'static str,
    scopes: Result<Option<String>, FieldError>,
) -> Result<Option<String>, Error> {
    let check = |scopes: Option<String>| {
        scopes
            .map(|scopes| check_scopes(field, &scopes))
            .transpose()
    };
    scopes
        .and_then(check)
        .map_err(|error| Error::InvalidBody(vec![error]))
}

fn invalid(field: &'static str, error: InvalidScope) -> FieldError {
    FieldError::new(field, "value_error", format!("Value error, {error}"))
}

/// Records what the changes come to; whether the user is kept out is recorded by who ends the
/// credentials.
pub(super) fn record_changes(events: &mut Events, user: &User, changes: &UserChanges) {
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
}
