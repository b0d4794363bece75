//! What clients send and receive at the routes of second factors.

use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::auth::{ConfirmedFactor, Factors, Field, NewPasskey, NewTotp};
use crate::credential::recovery_code::RecoveryCode;
use crate::credential::totp::OtpCode;
use crate::error::{Error as DomainError, ErrorCollector, FieldError, FieldType, InvalidField};
use crate::http::body::json::{FromMembers, Members};
use crate::http::request_error::Error;
use crate::store::{Factor, RecoveryCodesLeft};
use crate::views::utc;

/// A second factor.
#[derive(Serialize, ToSchema)]
#[schema(as = Factor)]
pub(super) struct FactorRead<'a> {
    #[schema(example = 3)]
    id: i64,
    /// `totp`: an authenticator app; `webauthn`: a passkey.
    #[schema(example = "totp")]
    kind: &'a str,
    #[schema(example = "Phone")]
    name: &'a str,
    #[schema(format = "date-time")]
    created_at: String,
    /// Null for one that was never used.
    #[schema(format = "date-time")]
    last_used_at: Option<String>,
    /// Whether a passkey is backed up, as its authenticator said last; missing for others.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    backed_up: Option<bool>,
}

impl<'a> FactorRead<'a> {
    pub(super) fn new(factor: &'a Factor, backed_up: &[(i64, bool)]) -> Self {
        let backed_up = backed_up.iter().find(|(id, _)| *id == factor.id);
        Self {
            id: factor.id,
            kind: &factor.kind,
            name: &factor.name,
            created_at: utc(factor.created_at),
            last_used_at: factor.last_used_at.map(utc),
            backed_up: backed_up.map(|(_, backed_up)| *backed_up),
        }
    }
}

/// How many recovery codes are left.
#[derive(Serialize, ToSchema)]
#[schema(as = RecoveryCodesLeft)]
struct CodesLeftRead {
    #[schema(example = 7)]
    left: usize,
    #[schema(format = "date-time")]
    made_at: String,
}

impl From<RecoveryCodesLeft> for CodesLeftRead {
    fn from(codes: RecoveryCodesLeft) -> Self {
        Self {
            left: codes.left,
            made_at: utc(codes.made_at),
        }
    }
}

/// All second factors of a user.
#[derive(Serialize, ToSchema)]
pub(crate) struct FactorList<'a> {
    factors: Vec<FactorRead<'a>>,
    /// Null for a user who never had any.
    recovery_codes: Option<CodesLeftRead>,
}

impl<'a> From<&'a Factors> for FactorList<'a> {
    fn from(factors: &'a Factors) -> Self {
        let confirmed = factors.confirmed.iter();
        Self {
            factors: confirmed
                .map(|factor| FactorRead::new(factor, &factors.backed_up))
                .collect(),
            recovery_codes: factors.recovery_codes.map(CodesLeftRead::from),
        }
    }
}

/// A new authenticator app or passkey.
#[derive(ToSchema)]
#[schema(as = FactorCreate)]
#[expect(dead_code, reason = "describes the body for the OpenAPI document")]
pub(crate) struct NewFactorRequest {
    /// `totp` for an authenticator app, `webauthn` for a passkey.
    #[schema(example = "totp")]
    kind: String,
    /// A name for you to recognise it, shortened to 100 characters; by default that of its model.
    #[schema(nullable = false, example = "Phone")]
    name: Option<String>,
    /// Your password; not required within 15 minutes of a sign-in.
    #[schema(nullable = false, format = "password", example = "correct-horse-9!")]
    current_password: Option<String>,
}

/// What is added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NewKind {
    App,
    Passkey,
}

/// A parsed [`NewFactorRequest`].
pub(crate) struct NewFactorInput {
    kind: Field<NewKind>,
    name: Field<Option<String>>,
    current_password: Field<Option<SecretString>>,
}

impl FromMembers for NewFactorInput {
    const REQUIRES_HASH: bool = false;

    fn from_members(members: &Members) -> Result<Self, Error> {
        members.only(&["kind", "name", "current_password"])?;
        Ok(Self {
            kind: members.text("kind").and_then(|kind| match kind.as_str() {
                "totp" => Ok(NewKind::App),
                "webauthn" => Ok(NewKind::Passkey),
                _ => Err(FieldError::new("kind", InvalidField::UnknownFactor).with_value(kind)),
            }),
            name: members.optional_text("name"),
            current_password: members.optional_secret("current_password"),
        })
    }
}

impl NewFactorInput {
    pub(super) fn check(
        self,
    ) -> Result<(NewKind, Option<String>, Option<SecretString>), DomainError> {
        let mut errors = ErrorCollector::new();
        let kind = errors.take(self.kind);
        let name = errors.take(self.name);
        let password = errors.take(self.current_password);
        match (kind, name, password) {
            (Some(kind), Some(name), Some(password)) => Ok((kind, name, password)),
            _ => Err(errors.into()),
        }
    }
}

/// An authenticator app to confirm, with its seed, or a passkey that the browser makes.
#[derive(Serialize, ToSchema)]
#[schema(as = FactorCreated)]
pub(crate) struct FactorCreated<'a> {
    #[schema(example = 3)]
    id: i64,
    /// The seed in base32, to type it in; shown only once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")]
    secret: Option<&'a str>,
    /// The seed for an app on the same device.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    otpauth_uri: Option<&'a str>,
    /// The same as a picture in SVG, to scan.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    qr_svg: Option<&'a str>,
    /// For a passkey: what `navigator.credentials.create` takes, with bytes in URL-safe base64
    /// (`PublicKeyCredential.parseCreationOptionsFromJSON`).
    #[serde(rename = "publicKey", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<Object>)]
    public_key: Option<&'a Value>,
    /// For a passkey: how many seconds the browser may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 300)]
    expires_in: Option<i64>,
}

impl<'a> From<&'a NewTotp> for FactorCreated<'a> {
    fn from(new: &'a NewTotp) -> Self {
        Self {
            id: new.id,
            secret: Some(&new.secret),
            otpauth_uri: Some(&new.uri),
            qr_svg: Some(&new.qr_svg),
            public_key: None,
            expires_in: None,
        }
    }
}

impl<'a> From<&'a NewPasskey> for FactorCreated<'a> {
    fn from(new: &'a NewPasskey) -> Self {
        Self {
            id: new.id,
            secret: None,
            otpauth_uri: None,
            qr_svg: None,
            public_key: Some(&new.public_key),
            expires_in: Some(new.lifetime.num_seconds()),
        }
    }
}

/// The code of a new authenticator app, or a new passkey.
#[derive(ToSchema)]
#[schema(as = FactorConfirm)]
#[expect(dead_code, reason = "describes the body for the OpenAPI document")]
pub(crate) struct ConfirmRequest {
    /// The code that the app shows: a text, which may begin with zeros. Required for an app.
    #[schema(nullable = false, format = "password", example = "287082")]
    otp: Option<String>,
    /// What `navigator.credentials.create` has returned, by its `toJSON()`. Required for a passkey.
    #[schema(nullable = false, value_type = Option<Object>)]
    credential: Option<Value>,
    /// Whether the other sessions end.
    #[schema(nullable = false, default = false)]
    end_other_sessions: Option<bool>,
}

/// What confirms a factor.
pub(crate) enum Confirmation {
    Otp(OtpCode),
    Credential(SecretString),
}

/// A parsed [`ConfirmRequest`].
pub(crate) struct ConfirmInput {
    shown: Field<Confirmation>,
    ends_others: Field<Option<bool>>,
}

impl FromMembers for ConfirmInput {
    const REQUIRES_HASH: bool = true;

    fn from_members(members: &Members) -> Result<Self, Error> {
        members.only(&["otp", "credential", "end_other_sessions"])?;
        let code = |typed: SecretString| {
            OtpCode::parse(typed.expose_secret())
                .ok_or_else(|| FieldError::new("otp", InvalidField::NoCode))
        };
        Ok(Self {
            shown: match members.optional_object("credential") {
                Ok(Some(credential)) => Ok(Confirmation::Credential(credential)),
                Ok(None) => members.secret("otp").and_then(code).map(Confirmation::Otp),
                Err(error) => Err(error),
            },
            ends_others: members.optional("end_other_sessions", FieldType::Boolean),
        })
    }
}

impl ConfirmInput {
    pub(super) fn check(self) -> Result<(Confirmation, bool), DomainError> {
        let mut errors = ErrorCollector::new();
        match (errors.take(self.shown), errors.take(self.ends_others)) {
            (Some(shown), Some(ends_others)) => Ok((shown, ends_others.unwrap_or(false))),
            _ => Err(errors.into()),
        }
    }
}

/// A factor that counts from now on.
#[derive(Serialize, ToSchema)]
#[schema(as = FactorConfirmed)]
pub(crate) struct FactorConfirmed {
    #[schema(example = 3)]
    id: i64,
    /// Ten codes for a user without the app, each for one sign-in; only with the first factor, and shown only
    /// once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    recovery_codes: Option<Vec<String>>,
}

impl From<ConfirmedFactor> for FactorConfirmed {
    fn from(confirmed: ConfirmedFactor) -> Self {
        let codes = confirmed.recovery_codes;
        Self {
            id: confirmed.id,
            recovery_codes: codes.map(|codes| codes.iter().map(RecoveryCode::show).collect()),
        }
    }
}

/// The password of a user who changes second factors.
#[derive(ToSchema)]
#[schema(as = FactorProof)]
#[expect(dead_code, reason = "describes the body for the OpenAPI document")]
pub(crate) struct ProofRequest {
    /// Your password; not required within 15 minutes of a sign-in.
    #[schema(nullable = false, format = "password", example = "correct-horse-9!")]
    current_password: Option<String>,
}

/// A parsed [`ProofRequest`].
pub(crate) struct ProofOfPassword(Field<Option<SecretString>>);

impl FromMembers for ProofOfPassword {
    const REQUIRES_HASH: bool = false;

    fn from_members(members: &Members) -> Result<Self, Error> {
        members.only(&["current_password"])?;
        Ok(Self(members.optional_secret("current_password")))
    }
}

impl ProofOfPassword {
    pub(super) fn check(self) -> Result<Option<SecretString>, DomainError> {
        Ok(self.0?)
    }
}

/// New recovery codes.
#[derive(Serialize, ToSchema)]
pub(crate) struct RecoveryCodesCreated {
    /// Ten codes, each for one sign-in; shown only once.
    recovery_codes: Vec<String>,
}

impl From<&[RecoveryCode]> for RecoveryCodesCreated {
    fn from(codes: &[RecoveryCode]) -> Self {
        Self {
            recovery_codes: codes.iter().map(RecoveryCode::show).collect(),
        }
    }
}
