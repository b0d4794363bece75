//! What clients send and receive at the routes of second factors.

use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::{ConfirmedFactor, Factors, Field, NewTotp};
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
struct FactorRead<'a> {
    #[schema(example = 3)]
    id: i64,
    /// `totp`: an authenticator app.
    #[schema(example = "totp")]
    kind: &'a str,
    #[schema(example = "Phone")]
    name: &'a str,
    #[schema(format = "date-time")]
    created_at: String,
    /// Null for one that was never used.
    #[schema(format = "date-time")]
    last_used_at: Option<String>,
}

impl<'a> From<&'a Factor> for FactorRead<'a> {
    fn from(factor: &'a Factor) -> Self {
        Self {
            id: factor.id,
            kind: &factor.kind,
            name: &factor.name,
            created_at: utc(factor.created_at),
            last_used_at: factor.last_used_at.map(utc),
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
        Self {
            factors: factors.confirmed.iter().map(FactorRead::from).collect(),
            recovery_codes: factors.recovery_codes.map(CodesLeftRead::from),
        }
    }
}

/// A new authenticator app.
#[derive(ToSchema)]
#[schema(as = FactorCreate)]
#[expect(dead_code, reason = "describes the body for the OpenAPI document")]
pub(crate) struct NewFactorRequest {
    /// Always `totp`.
    #[schema(example = "totp")]
    kind: String,
    /// A name for you to recognise it, shortened to 100 characters.
    #[schema(nullable = false, example = "Phone")]
    name: Option<String>,
    /// Your password; not required within 15 minutes of a sign-in.
    #[schema(nullable = false, format = "password", example = "correct-horse-9!")]
    current_password: Option<String>,
}

/// A parsed [`NewFactorRequest`].
pub(crate) struct NewFactorInput {
    kind: Field<String>,
    name: Field<Option<String>>,
    current_password: Field<Option<SecretString>>,
}

impl FromMembers for NewFactorInput {
    const REQUIRES_HASH: bool = false;

    fn from_members(members: &Members) -> Result<Self, Error> {
        members.only(&["kind", "name", "current_password"])?;
        Ok(Self {
            kind: members.text("kind").and_then(|kind| match kind.as_str() {
                "totp" => Ok(kind),
                _ => Err(FieldError::new("kind", InvalidField::UnknownFactor).with_value(kind)),
            }),
            name: members.optional_text("name"),
            current_password: members.optional_secret("current_password"),
        })
    }
}

impl NewFactorInput {
    pub(super) fn check(self) -> Result<(Option<String>, Option<SecretString>), DomainError> {
        let mut errors = ErrorCollector::new();
        let kind = errors.take(self.kind);
        let name = errors.take(self.name);
        let password = errors.take(self.current_password);
        match (kind, name, password) {
            (Some(_), Some(name), Some(password)) => Ok((name, password)),
            _ => Err(errors.into()),
        }
    }
}

/// An authenticator app to confirm, with its seed.
#[derive(Serialize, ToSchema)]
#[schema(as = FactorCreated)]
pub(crate) struct FactorCreated<'a> {
    #[schema(example = 3)]
    id: i64,
    /// The seed in base32, to type it in; shown only once.
    #[schema(example = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")]
    secret: &'a str,
    /// The seed for an app on the same device.
    otpauth_uri: &'a str,
    /// The same as a picture in SVG, to scan.
    qr_svg: &'a str,
}

impl<'a> From<&'a NewTotp> for FactorCreated<'a> {
    fn from(new: &'a NewTotp) -> Self {
        Self {
            id: new.id,
            secret: &new.secret,
            otpauth_uri: &new.uri,
            qr_svg: &new.qr_svg,
        }
    }
}

/// The code of a new authenticator app.
#[derive(ToSchema)]
#[schema(as = FactorConfirm)]
#[expect(dead_code, reason = "describes the body for the OpenAPI document")]
pub(crate) struct ConfirmRequest {
    /// The code that the app shows: a text, which may begin with zeros.
    #[schema(format = "password", example = "287082")]
    otp: String,
    /// Whether the other sessions end.
    #[schema(nullable = false, default = false)]
    end_other_sessions: Option<bool>,
}

/// A parsed [`ConfirmRequest`].
pub(crate) struct ConfirmInput {
    otp: Field<OtpCode>,
    ends_others: Field<Option<bool>>,
}

impl FromMembers for ConfirmInput {
    const REQUIRES_HASH: bool = true;

    fn from_members(members: &Members) -> Result<Self, Error> {
        members.only(&["otp", "end_other_sessions"])?;
        Ok(Self {
            otp: members.secret("otp").and_then(|typed| {
                OtpCode::parse(typed.expose_secret())
                    .ok_or_else(|| FieldError::new("otp", InvalidField::NoCode))
            }),
            ends_others: members.optional("end_other_sessions", FieldType::Boolean),
        })
    }
}

impl ConfirmInput {
    pub(super) fn check(self) -> Result<(OtpCode, bool), DomainError> {
        let mut errors = ErrorCollector::new();
        match (errors.take(self.otp), errors.take(self.ends_others)) {
            (Some(otp), Some(ends_others)) => Ok((otp, ends_others.unwrap_or(false))),
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
