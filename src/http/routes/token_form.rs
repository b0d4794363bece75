//! The form of `/token`: who signs in, by which grant, and for which session.

use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;
use utoipa::ToSchema;

use crate::auth::{Device, FactorInput, PasskeyAnswer, SessionRequest, SignIn, SignInKind};
use crate::credential::recovery_code::RecoveryCode;
use crate::credential::totp::OtpCode;
use crate::error::{ErrorCollector, FieldError, FieldType, InvalidField};
use crate::http::body::form::{Fields, FromFields};
use crate::http::error_details::ErrorDetails;
use crate::http::request_error::RequestError;

/// The password form of OAuth2 (RFC 6749 section 4.3.2), or its refresh form (section 6).
#[derive(ToSchema)]
#[schema(as = Body_create_token_token_post)]
#[expect(dead_code, reason = "describes the form for the OpenAPI document")]
pub(crate) struct TokenRequest {
    /// Defaults to `password` when it is missing or empty.
    #[schema(
        nullable = false,
        pattern = "^(password|refresh_token|(urn:tokenhouse:|http://auth0.com/oauth/)grant-type[:/]mfa-(otp|recovery-code|enrollment)|urn:tokenhouse:grant-type:(mfa-webauthn|passkey))?$",
        example = "password"
    )]
    grant_type: Option<String>,
    /// The e-mail address, in any spelling; required for `password`.
    #[schema(min_length = 1, example = "andres@example.com")]
    username: String,
    /// Required for `password`.
    #[schema(format = "password", min_length = 1, example = "correct-horse-9!")]
    password: String,
    /// Required for `refresh_token`.
    #[schema(nullable = false, format = "password", example = "")]
    refresh_token: Option<String>,
    /// What the 403 `mfa_required` or `mfa_enrollment_required` has returned; required for the grants of second
    /// factors.
    #[schema(nullable = false, format = "password", example = "")]
    mfa_token: Option<String>,
    /// The code of the authenticator app, for `…:mfa-otp`, or together with the password.
    #[schema(nullable = false, format = "password", example = "")]
    otp: Option<String>,
    /// For `…:mfa-recovery-code`.
    #[schema(nullable = false, format = "password", example = "")]
    recovery_code: Option<String>,
    /// Whether this device is trusted from now on, so that its next sign-ins need no code; for the grants with
    /// a code.
    #[schema(nullable = false, default = false)]
    remember_device: Option<bool>,
    /// What a trusted device got, together with the password, in place of a code.
    #[schema(nullable = false, format = "password", example = "")]
    device_token: Option<String>,
    /// What the options for a passkey have returned; required for `…:mfa-webauthn` and `…:passkey`.
    #[schema(nullable = false, example = "")]
    challenge_id: Option<String>,
    /// What `navigator.credentials.get` has returned, as JSON; required for the same.
    #[schema(nullable = false, format = "password", example = "")]
    credential: Option<String>,
    /// The scopes of the token, separated by spaces; all of the user's when empty, and of the session's
    /// for `refresh_token`. A scope that the user does not hold is refused. With `offline_access`, the
    /// answer has a refresh token, and the access token is short-lived.
    // Empty, as Swagger UI sends "string" for a field without an example.
    #[schema(nullable = false, example = "")]
    scope: Option<String>,
    /// Accepted for clients that send it, and ignored.
    #[schema(nullable = false, example = "")]
    client_id: Option<String>,
    /// Accepted for clients that send it, and ignored.
    #[schema(nullable = false, format = "password", example = "")]
    client_secret: Option<String>,
    /// An id that the device has chosen: a sign-in with the same one replaces its session.
    #[schema(nullable = false, max_length = 200, example = "")]
    device_id: Option<String>,
    /// How the user recognises the device, shortened to 100 characters.
    #[schema(nullable = false, example = "")]
    device_name: Option<String>,
}

/// The parameters of [`TokenRequest`], which must not be repeated.
const PARAMETERS: [&str; 16] = [
    "grant_type",
    "username",
    "password",
    "refresh_token",
    "mfa_token",
    "otp",
    "recovery_code",
    "remember_device",
    "device_token",
    "challenge_id",
    "credential",
    "scope",
    "client_id",
    "client_secret",
    "device_id",
    "device_name",
];

/// What the body of a refresh contains, unless it is written in an unusual way.
const REFRESH_GRANT: &[u8] = b"grant_type=refresh_token";

/// What the body of the second step with a code contains, with a passkey, or after an enrolment, which need no
/// hash either.
const OTP_GRANT: &[u8] = b"mfa-otp&";
const ENROLMENT_GRANT: &[u8] = b"mfa-enrollment&";
const WEBAUTHN_GRANT: &[u8] = b"mfa-webauthn&";
const PASSKEY_GRANT: &[u8] = b"grant-type%3Apasskey&";

/// The grants of second factors, and of passkeys alone: ours, and those of Auth0, which many clients know.
const FACTOR_GRANTS: [(&str, Grant); 7] = [
    (
        "urn:tokenhouse:grant-type:mfa-webauthn",
        Grant::SecondPasskey,
    ),
    ("urn:tokenhouse:grant-type:passkey", Grant::Passkey),
    ("urn:tokenhouse:grant-type:mfa-otp", Grant::Otp),
    ("http://auth0.com/oauth/grant-type/mfa-otp", Grant::Otp),
    (
        "urn:tokenhouse:grant-type:mfa-recovery-code",
        Grant::RecoveryCode,
    ),
    (
        "http://auth0.com/oauth/grant-type/mfa-recovery-code",
        Grant::RecoveryCode,
    ),
    ("urn:tokenhouse:grant-type:mfa-enrollment", Grant::Enrolment),
];

/// A parsed [`TokenRequest`].
pub(crate) enum TokenForm {
    /// FastAPI's `OAuth2PasswordRequestForm`.
    Password(SignIn),
    /// RFC 6749 section 6.
    Refresh {
        token: SecretString,
        scope: Option<String>,
    },
    /// The second step of a sign-in.
    Factor {
        token: SecretString,
        input: FactorInput,
        remembers_device: bool,
    },
    /// The last step of a sign-in whose user has added a second factor.
    Enrolled { token: SecretString },
    /// A sign-in with a passkey alone.
    Passkey(PasskeyAnswer, SessionRequest),
}

impl FromFields for TokenForm {
    /// A refresh needs none, nor does a code or passkey: a flood of sign-ins must not sign out those who are
    /// signed in. A password in such a body is refused later.
    fn requires_hash(body: &[u8]) -> bool {
        let has = |grant: &[u8]| body.windows(grant.len()).any(|part| part == grant);
        let grants = [
            REFRESH_GRANT,
            OTP_GRANT,
            ENROLMENT_GRANT,
            WEBAUTHN_GRANT,
            PASSKEY_GRANT,
        ];
        !grants.into_iter().any(has)
    }

    /// Reports every invalid field.
    fn from_fields(mut fields: Fields) -> Result<Self, RequestError> {
        fields.refuse_repeated(&PARAMETERS)?;
        let mut errors = ErrorCollector::new();
        let grant = errors.take(check_grant_type(&mut fields));
        // Without a grant that is known, the form is one with a password.
        let form = match grant.unwrap_or(Grant::Password) {
            Grant::Password => password_form(&mut fields, &mut errors),
            Grant::Refresh => refresh_form(&mut fields, &mut errors),
            Grant::Enrolment => required_secret(&mut fields, "mfa_token", &mut errors)
                .map(|token| Self::Enrolled { token }),
            Grant::Passkey => passkey_form(&mut fields, &mut errors),
            grant @ (Grant::Otp | Grant::RecoveryCode | Grant::SecondPasskey) => {
                factor_form(grant, &mut fields, &mut errors)
            }
        };
        match (grant, form) {
            (Some(_), Some(form)) => Ok(form),
            _ => Err(RequestError::InvalidForm(errors.into())),
        }
    }
}

/// Collects what is wrong with the fields of a form.
type Errors = ErrorCollector<ErrorDetails>;

fn required_secret(
    fields: &mut Fields,
    field: &'static str,
    errors: &mut Errors,
) -> Option<SecretString> {
    errors.take(fields.required(field).map(SecretString::from))
}

fn password_form(fields: &mut Fields, errors: &mut Errors) -> Option<TokenForm> {
    let name = errors.take(fields.required("username"));
    let password = required_secret(fields, "password", errors);
    let session = session(fields, errors);
    let otp = errors.take(optional_otp(fields));
    let device_token = errors.take(fields.optional("device_token"));
    Some(TokenForm::Password(SignIn {
        name: name?,
        password: password?,
        session: session?,
        otp: otp?,
        device_token: device_token?.map(SecretString::from),
        needs_factor: false,
    }))
}

fn refresh_form(fields: &mut Fields, errors: &mut Errors) -> Option<TokenForm> {
    let token = required_secret(fields, "refresh_token", errors);
    let scope = errors.take(fields.optional("scope"));
    Some(TokenForm::Refresh {
        token: token?,
        scope: scope?,
    })
}

fn factor_form(grant: Grant, fields: &mut Fields, errors: &mut Errors) -> Option<TokenForm> {
    let token = required_secret(fields, "mfa_token", errors);
    let input = errors.take(factor_input(grant, fields));
    let remembers_device = errors.take(remembers_device(fields));
    Some(TokenForm::Factor {
        token: token?,
        input: input?,
        remembers_device: remembers_device?,
    })
}

fn passkey_form(fields: &mut Fields, errors: &mut Errors) -> Option<TokenForm> {
    let answer = errors.take(passkey_answer(fields));
    let session = session(fields, errors);
    Some(TokenForm::Passkey(answer?, session?))
}

/// The session that a client asks for.
fn session(fields: &mut Fields, errors: &mut Errors) -> Option<SessionRequest> {
    let scope = errors.take(fields.optional("scope"));
    let id = errors.take(fields.optional("device_id"));
    let name = errors.take(fields.optional("device_name"));
    Some(SessionRequest {
        scope: scope?,
        device: Device {
            id: id?,
            name: name?,
        },
        kind: SignInKind::Client,
    })
}

/// The code of a second step. A malformed one costs no try.
fn factor_input(grant: Grant, fields: &mut Fields) -> Result<FactorInput, ErrorDetails> {
    let (field, reason) = match grant {
        Grant::RecoveryCode => ("recovery_code", InvalidField::NoRecoveryCode),
        _ => ("otp", InvalidField::NoCode),
    };
    if grant == Grant::SecondPasskey {
        return passkey_answer(fields).map(FactorInput::Passkey);
    }
    let typed = Zeroizing::new(fields.required(field)?);
    let input = match grant {
        Grant::RecoveryCode => RecoveryCode::parse(&typed).map(FactorInput::RecoveryCode),
        _ => OtpCode::parse(&typed).map(FactorInput::Otp),
    };
    input.ok_or_else(|| ErrorDetails::from(&FieldError::new(field, reason)))
}

/// Whether the device is trusted from now on.
fn remembers_device(fields: &mut Fields) -> Result<bool, ErrorDetails> {
    match fields.optional("remember_device")?.as_deref() {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => {
            let error = FieldError::new(
                "remember_device",
                InvalidField::WrongType(FieldType::Boolean),
            );
            Err(ErrorDetails::from(&error))
        }
    }
}

/// What a browser has signed with a passkey.
fn passkey_answer(fields: &mut Fields) -> Result<PasskeyAnswer, ErrorDetails> {
    Ok(PasskeyAnswer {
        challenge_id: fields.required("challenge_id")?.into(),
        credential: fields.required("credential")?.into(),
    })
}

/// The code beside the password.
fn optional_otp(fields: &mut Fields) -> Result<Option<SecretString>, ErrorDetails> {
    match fields.optional("otp")? {
        Some(typed) if OtpCode::parse(&typed).is_none() => Err(ErrorDetails::from(
            &FieldError::new("otp", InvalidField::NoCode),
        )),
        typed => Ok(typed.map(SecretString::from)),
    }
}

/// How a client proves who the user is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Grant {
    Password,
    Refresh,
    Otp,
    RecoveryCode,
    Enrolment,
    SecondPasskey,
    Passkey,
}

fn check_grant_type(fields: &mut Fields) -> Result<Grant, ErrorDetails> {
    match fields.optional("grant_type")? {
        Some(grant) if grant == "refresh_token" => Ok(Grant::Refresh),
        Some(grant) if grant != "password" => {
            let known = FACTOR_GRANTS.into_iter().find(|(name, _)| *name == grant);
            known
                .map(|(_, grant)| grant)
                .ok_or_else(|| unknown_grant(grant))
        }
        _ => Ok(Grant::Password),
    }
}

pub(super) fn unknown_grant(grant: String) -> ErrorDetails {
    let message = "String should match pattern '^password$'";
    let error = ErrorDetails::new("grant_type", "string_pattern_mismatch", message);
    error.with_input(grant).with("pattern", "^password$")
}
