//! What the domain takes, made of the members of a JSON object.

use secrecy::SecretString;
use serde::Deserialize;

use super::json::{FromMembers, Members};
use crate::auth::{
    KeptKeys, KeyForm, PasswordForm, Precondition, ProfileForm, RegistrationForm, UserPatch,
};
use crate::error::{Error, FieldError};

/// What the deletion of an account takes.
pub(crate) struct DeletionForm {
    /// The password.
    pub(crate) current_password: Result<SecretString, FieldError>,
}

/// What an administrator says of a new user.
pub(crate) struct NewUserForm {
    /// What users say of themselves.
    pub(crate) registration: RegistrationForm,
    /// The scopes that the user shall hold, separated by spaces.
    pub(crate) scopes: Result<Option<String>, FieldError>,
}

/// What a user says of a new API key.
pub(crate) struct NewKeyForm {
    /// The key.
    pub(crate) key: KeyForm,
    /// The password, once more; not needed soon after a sign-in.
    pub(crate) current_password: Result<Option<SecretString>, FieldError>,
}

/// Passes over members that it does not know, as the tutorial does.
impl FromMembers for RegistrationForm {
    const WANTS_HASH: bool = true;

    fn from_members(members: &Members) -> Result<Self, Error> {
        Ok(Self {
            name: members.text("name"),
            surname: members.text("surname"),
            email: members.text("email"),
            website: members.text("website"),
            password: members.secret("password"),
        })
    }
}

impl FromMembers for NewUserForm {
    const WANTS_HASH: bool = true;

    fn from_members(members: &Members) -> Result<Self, Error> {
        members.only(&["name", "surname", "email", "website", "password", "scopes"])?;
        Ok(Self {
            registration: RegistrationForm::from_members(members)?,
            scopes: members.optional_text("scopes"),
        })
    }
}

impl FromMembers for ProfileForm {
    const WANTS_HASH: bool = false;

    fn from_members(members: &Members) -> Result<Self, Error> {
        members.only(&["name", "surname", "website"])?;
        Ok(profile(members))
    }
}

impl FromMembers for UserPatch {
    const WANTS_HASH: bool = false;

    fn from_members(members: &Members) -> Result<Self, Error> {
        members.only(&[
            "name",
            "surname",
            "website",
            "disabled",
            "scopes",
            "scopes_add",
            "scopes_remove",
        ])?;
        let message = "Input should be a valid boolean";
        Ok(Self {
            profile: profile(members),
            disabled: members.optional("disabled", "bool_type", message),
            scopes: members.optional_text("scopes"),
            scopes_add: members.optional_text("scopes_add"),
            scopes_remove: members.optional_text("scopes_remove"),
            only_if: Precondition::None,
        })
    }
}

impl FromMembers for PasswordForm {
    const WANTS_HASH: bool = true;

    fn from_members(members: &Members) -> Result<Self, Error> {
        members.only(&["current_password", "new_password", "keep_keys"])?;
        let message = "Input should be true, false or a valid list of integers";
        let kept = members.optional::<KeepKeys>("keep_keys", "list_type", message);
        Ok(Self {
            current_password: members.secret("current_password"),
            new_password: members.secret("new_password"),
            keep_keys: kept.map(|kept| kept.map(KeptKeys::from)),
        })
    }
}

impl FromMembers for DeletionForm {
    const WANTS_HASH: bool = true;

    fn from_members(members: &Members) -> Result<Self, Error> {
        members.only(&["current_password"])?;
        Ok(Self {
            current_password: members.secret("current_password"),
        })
    }
}

/// `true`, `false` or a list of ids.
#[derive(Deserialize)]
#[serde(untagged)]
enum KeepKeys {
    AllOrNone(bool),
    These(Vec<i64>),
}

impl From<KeepKeys> for KeptKeys {
    fn from(kept: KeepKeys) -> Self {
        match kept {
            KeepKeys::AllOrNone(true) => Self::All,
            KeepKeys::AllOrNone(false) => Self::default(),
            KeepKeys::These(ids) => Self::These(ids),
        }
    }
}

impl FromMembers for NewKeyForm {
    const WANTS_HASH: bool = false;

    fn from_members(members: &Members) -> Result<Self, Error> {
        members.only(&["name", "scopes", "expires_in_days", "current_password"])?;
        let message = "Input should be a valid integer";
        Ok(Self {
            key: KeyForm {
                name: members.text("name"),
                scopes: members.optional_text("scopes"),
                expires_in_days: members.optional("expires_in_days", "int_type", message),
            },
            current_password: members.optional_secret("current_password"),
        })
    }
}

fn profile(members: &Members) -> ProfileForm {
    ProfileForm {
        name: members.optional_text("name"),
        surname: members.optional_text("surname"),
        website: members.optional_text("website"),
    }
}
