//! Changes to a user that an administrator requests, and their application to the locked row. A change that
//! is based on an outdated state of the user is refused instead of undoing later changes.

use chrono::NaiveDateTime;
use sha2::{Digest, Sha256};

use super::account::changed_fields;
use super::validation::{Field, ProfileInput, check_optional_scopes};
use crate::audit::{Action, Event, Events};
use crate::credential::hex;
use crate::error::{Error, ErrorCollector, FieldError, InvalidField};
use crate::scope;
use crate::store::{User, UserChanges};

/// Changes to a user that an administrator requests; `None` leaves a field as it is.
pub struct UserPatch {
    /// The profile, which users can change themselves too.
    pub profile: ProfileInput,
    /// Whether the user is disabled.
    pub disabled: Field<Option<bool>>,
    /// All the scopes that the user shall hold, separated by spaces. Needs a [`Precondition`], and
    /// does not go with the two below.
    pub scopes: Field<Option<String>>,
    /// Scopes to grant to the user, in addition to those that the user holds.
    pub scopes_add: Field<Option<String>>,
    /// Scopes to take from the user.
    pub scopes_remove: Field<Option<String>>,
    /// The condition on the user's present state.
    pub only_if: Precondition,
}

impl UserPatch {
    /// A patch that changes nothing.
    pub const fn none() -> Self {
        Self {
            profile: ProfileInput {
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

    /// Checks every field.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] with every invalid field; [`Error::PreconditionRequired`] when all the
    /// scopes are replaced without a precondition.
    pub(super) fn check(self) -> Result<CheckedPatch, Error> {
        let mut errors = ErrorCollector::new();
        let profile = self.profile.check_with(&mut errors);
        let disabled = errors.take(self.disabled);
        let scopes = ScopesChange::check(
            self.scopes,
            self.scopes_add,
            self.scopes_remove,
            &mut errors,
        );
        let (Some(profile), Some(disabled), Some(scopes)) = (profile, disabled, scopes) else {
            return Err(errors.into());
        };
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
    /// [`Error::InvalidInput`] when the scopes would take up too much.
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
    fn check(
        all: Field<Option<String>>,
        add: Field<Option<String>>,
        remove: Field<Option<String>>,
        errors: &mut ErrorCollector,
    ) -> Option<Self> {
        let all = errors.take(check_optional_scopes("scopes", all));
        let add = errors.take(check_optional_scopes("scopes_add", add));
        let remove = errors.take(check_optional_scopes("scopes_remove", remove));
        let change = match (all?, add?, remove?) {
            (None, None, None) => Ok(Self::None),
            (Some(all), None, None) => Ok(Self::Replace(all)),
            (Some(_), _, _) => Err(("scopes", InvalidField::ScopesReplacedAndAdjusted)),
            (None, add, remove) => {
                let (add, remove) = (add.unwrap_or_default(), remove.unwrap_or_default());
                if scope::intersection(&add, &remove).is_empty() {
                    Ok(Self::Adjust { add, remove })
                } else {
                    Err(("scopes_remove", InvalidField::ScopeAddedAndRemoved))
                }
            }
        };
        errors.take(change.map_err(|(field, reason)| FieldError::new(field, reason)))
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
                    add => scope::union(&left, add).map_err(|error| {
                        FieldError::new("scopes_add", InvalidField::Scopes(error))
                    })?,
                };
                Ok(Some(scopes))
            }
        }
    }
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
