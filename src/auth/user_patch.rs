//! Changes to a user that an administrator requests, and their application to the locked row. A change that
//! is based on an outdated state of the user is refused instead of undoing later changes.

use chrono::NaiveDateTime;
use sha2::{Digest, Sha256};

use super::account::changed_fields;
use super::validation::{Field, ProfileInput, check_email, check_optional_scopes, optional};
use crate::audit::{Action, Event, Events};
use crate::config::ProfileRules;
use crate::credential::hex;
use crate::error::{Error, ErrorCollector, FieldError, InvalidField};
use crate::scope;
use crate::store::{User, UserChanges};

/// Changes to a user that an administrator requests; `None` leaves a field as it is.
pub struct UserPatch {
    /// The profile, which users can change themselves too.
    pub profile: ProfileInput,
    /// The e-mail address, which only an operator changes.
    pub email: Field<Option<String>>,
    /// Whether the user is disabled.
    pub disabled: Field<Option<bool>>,
    /// The complete scopes of the user, separated by spaces. Requires a [`Precondition`], and
    /// cannot be combined with the two fields below.
    pub scopes: Field<Option<String>>,
    /// Scopes to grant to the user, in addition to those that the user holds.
    pub scopes_add: Field<Option<String>>,
    /// Scopes to remove from the user.
    pub scopes_remove: Field<Option<String>>,
    /// The condition on the user's current state.
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
            email: Ok(None),
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
    /// [`Error::InvalidInput`] with every invalid field; [`Error::PreconditionRequired`] when the
    /// scopes are replaced without a precondition.
    pub(super) fn check(self, rules: ProfileRules) -> Result<CheckedPatch, Error> {
        let mut errors = ErrorCollector::new();
        let profile = self.profile.check_with(rules, &mut errors);
        let email = errors.take(optional(self.email, check_email));
        let disabled = errors.take(self.disabled);
        let scopes = ScopesChange::check(
            self.scopes,
            self.scopes_add,
            self.scopes_remove,
            &mut errors,
        );
        let (Some(mut profile), Some(email), Some(disabled), Some(scopes)) =
            (profile, email, disabled, scopes)
        else {
            return Err(errors.into());
        };
        if let Some(email) = email {
            profile.email_key = Some(email.key());
            profile.email = Some(email.to_string());
        }
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

/// A patch whose fields are valid.
pub(super) struct CheckedPatch {
    profile: UserChanges,
    pub(super) disabled: Option<bool>,
    scopes: ScopesChange,
    pub(super) only_if: Precondition,
}

impl CheckedPatch {
    /// Whether the patch changes the profile or the scopes, which API keys must not change.
    pub(super) fn is_for_people(&self) -> bool {
        !self.profile.is_empty() || self.scopes != ScopesChange::None
    }

    /// Whether the patch may disable the user or remove scopes.
    pub(super) fn may_restrict(&self) -> bool {
        self.disabled == Some(true) || self.scopes.may_remove()
    }

    /// Returns the changes to apply to a user, whose row must be locked: added and removed scopes
    /// apply to the scopes in that row.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when the resulting scopes are too long.
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

/// A change to the scopes of a user.
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

    fn may_remove(&self) -> bool {
        match self {
            Self::None => false,
            Self::Replace(_) => true,
            Self::Adjust { remove, .. } => !remove.is_empty(),
        }
    }

    /// Returns the new scopes of the user; `None` when the patch does not change them.
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

/// Records the changes to the profile and the scopes. `RevokedCredentials::by_disabling` records
/// whether the user was disabled or enabled.
pub(super) fn record_changes(events: &mut Events, user: &User, changes: &UserChanges) {
    let fields = changed_fields(changes);
    if !fields.is_empty() {
        let event = Event::new(Action::UserUpdate).on_user(user.id);
        let event = event.with("fields", fields);
        events.record(match &changes.email {
            Some(email) => event
                .with("old_email", user.email.as_str())
                .with("new_email", email.as_str()),
            None => event,
        });
    }
    if let Some(scopes) = &changes.scopes
        && *scopes != user.scopes
    {
        let event = Event::new(Action::UserScopes).on_user(user.id);
        let event = event.with("before", user.scopes.as_str());
        events.record(event.with("after", scopes.as_str()));
    }
}

/// What must hold for a user's row when it is changed (RFC 9110 section 13.1.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Precondition {
    /// No condition.
    #[default]
    None,
    /// The user exists: the caller accepts any state.
    Exists,
    /// The version of the user is one of these.
    IsOneOf(Vec<String>),
}

impl Precondition {
    /// Checks the user's row, which must be locked.
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

/// Returns the version of a user: 64 hexadecimal digits that change whenever anything changes that
/// administrators see of the user. It is the SHA-256 digest of all fields, each preceded by its
/// length.
pub fn version(user: &User) -> String {
    // Names every field, so that a new field does not compile until it is added here.
    let User {
        id,
        name,
        surname,
        email,
        website,
        scopes,
        created_at,
        disabled_at,
        external_id,
        // Never changes.
        is_app: _,
        email_verified_at,
    } = user;
    let disabled_at = disabled_at.map(|at| at.to_string());
    let email_verified_at = email_verified_at.map(|at| at.to_string());
    let fields: [&str; 10] = [
        &id.to_string(),
        name,
        surname,
        email,
        website,
        scopes,
        &created_at.to_string(),
        &disabled_at.unwrap_or_default(),
        external_id.as_deref().unwrap_or_default(),
        &email_verified_at.unwrap_or_default(),
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
