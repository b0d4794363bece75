//! The error responses, as the handlers list them in the OpenAPI document.

use serde_json::Value;
use utoipa::{IntoResponses, ToSchema};

/// An error in one sentence.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the response for the OpenAPI document")]
pub(crate) struct ErrorBody {
    detail: String,
}

/// What is wrong with one field, as pydantic words it.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the response for the OpenAPI document")]
pub(crate) struct ValidationError {
    /// The location: `body`, then the field or, in malformed JSON, the position of the character.
    loc: Vec<Location>,
    msg: String,
    r#type: String,
    /// The offending value; null where it may be a secret.
    input: Value,
    /// The numbers and texts of `msg`, by name.
    ctx: Option<Value>,
}

/// A step of the path to the offending value.
#[derive(ToSchema)]
#[schema(no_recursion)]
#[expect(dead_code, reason = "describes the response for the OpenAPI document")]
#[serde(untagged)]
pub(crate) enum Location {
    Name(String),
    Index(u64),
}

/// Every invalid field.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the response for the OpenAPI document")]
pub(crate) struct HTTPValidationError {
    detail: Vec<ValidationError>,
}

/// An error with its OAuth2 code (RFC 6749 section 5.2).
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the response for the OpenAPI document")]
pub(crate) struct OAuthError {
    detail: String,
    error: String,
    error_description: String,
}

/// Invalid fields at `/token`, in the formats of FastAPI and OAuth2.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the response for the OpenAPI document")]
pub(crate) struct OAuthValidationError {
    detail: Vec<ValidationError>,
    error: String,
    error_description: String,
}

/// An invalid form at `/token`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the response for the OpenAPI document")]
pub(crate) struct TokenRefusal {
    /// A sentence; with `TOKENHOUSE_OAUTH_STRICT_STATUS`, the detail of the 401 or 422.
    detail: Value,
    #[schema(nullable = false)]
    error: Option<String>,
    #[schema(nullable = false)]
    error_description: Option<String>,
}

/// No credential, or an invalid one
#[derive(IntoResponses)]
#[response(
    status = 401,
    headers(("WWW-Authenticate" = String, description = "RFC 6750")),
    example = json!({ "detail": "Not authenticated" })
)]
pub(crate) struct NotAuthenticated(#[expect(dead_code, reason = "schema")] ErrorBody);

/// Two different credentials
#[derive(IntoResponses)]
#[response(
    status = 400,
    example = json!({
        "detail": "Two different credentials in one request",
        "error": "invalid_request",
        "error_description": "Two different credentials in one request",
    })
)]
pub(crate) struct TwoCredentials(#[expect(dead_code, reason = "schema")] OAuthError);

/// The credential lacks a scope, or the user does
#[derive(IntoResponses)]
#[response(
    status = 403,
    headers(("WWW-Authenticate" = String, description = "RFC 6750")),
    example = json!({ "detail": "Not enough permissions" })
)]
pub(crate) struct InsufficientScope(#[expect(dead_code, reason = "schema")] ErrorBody);

/// An API key where a login token is required
#[derive(IntoResponses)]
#[response(
    status = 403,
    headers(("WWW-Authenticate" = String, description = "RFC 6750")),
    example = json!({ "detail": "Only a login token allows this" })
)]
pub(crate) struct LoginTokenRequired(#[expect(dead_code, reason = "schema")] ErrorBody);

/// An API key without scopes
#[derive(IntoResponses)]
#[response(
    status = 403,
    headers(("WWW-Authenticate" = String, description = "RFC 6750")),
    example = json!({ "detail": "An API key without scopes does not allow this" })
)]
pub(crate) struct ScopesRequired(#[expect(dead_code, reason = "schema")] ErrorBody);

/// An API key was sent, the current password is wrong, or it is missing and the last sign-in is too
/// long ago
#[derive(IntoResponses)]
#[response(status = 403, example = json!({ "detail": "Incorrect password" }))]
pub(crate) struct ProofRequired(#[expect(dead_code, reason = "schema")] ErrorBody);

/// The password or the code is wrong, the code was used before, or an API key was sent
#[derive(IntoResponses)]
#[response(status = 403, example = json!({ "detail": "Incorrect password" }))]
pub(crate) struct ProofRefused(#[expect(dead_code, reason = "schema")] ErrorBody);

/// The code is wrong, or was used before
#[derive(IntoResponses)]
#[response(
    status = 403,
    example = json!({
        "detail": "The code is wrong, or was used before",
        "error": "invalid_otp",
        "error_description": "The code is wrong, or was used before",
    })
)]
pub(crate) struct WrongCode(#[expect(dead_code, reason = "schema")] OAuthError);

/// The sign-in of the token has ended, or the body cannot be read
#[derive(IntoResponses)]
#[response(
    status = 400,
    example = json!({
        "detail": "The mfa_token is not valid: sign in again",
        "error": "invalid_grant",
        "error_description": "The mfa_token is not valid: sign in again",
    })
)]
pub(crate) struct BadMfaToken(#[expect(dead_code, reason = "schema")] TokenRefusal);

/// The passkey is not accepted, or the body cannot be read, or there are two different credentials
#[derive(IntoResponses)]
#[response(
    status = 400,
    example = json!({
        "detail": "The passkey is not accepted",
        "error": "invalid_grant",
        "error_description": "The passkey is not accepted",
    })
)]
pub(crate) struct BadPasskey(#[expect(dead_code, reason = "schema")] TokenRefusal);

/// The service offers no second factors, or none of this kind, or the user has the maximum number of them
#[derive(IntoResponses)]
#[response(
    status = 409,
    example = json!({ "detail": "The maximum number of second factors is reached" })
)]
pub(crate) struct FactorConflict(#[expect(dead_code, reason = "schema")] ErrorBody);

/// The user is the last administrator who can sign in
#[derive(IntoResponses)]
#[response(
    status = 409,
    example = json!({ "detail": "The last administrator who can sign in cannot be removed" })
)]
pub(crate) struct LastAdministrator(#[expect(dead_code, reason = "schema")] ErrorBody);

/// The user has another version than the one in `If-Match`
#[derive(IntoResponses)]
#[response(status = 412, example = json!({ "detail": "The user was changed meanwhile" }))]
pub(crate) struct PreconditionFailed(#[expect(dead_code, reason = "schema")] ErrorBody);

/// All scopes would be replaced without `If-Match`
#[derive(IntoResponses)]
#[response(
    status = 428,
    example = json!({ "detail": "Replacing all scopes needs If-Match with the user's ETag; \
        scopes_add and scopes_remove do not" })
)]
pub(crate) struct PreconditionRequired(#[expect(dead_code, reason = "schema")] ErrorBody);

/// The current password is wrong, or an API key was sent
#[derive(IntoResponses)]
#[response(status = 403, example = json!({ "detail": "Incorrect password" }))]
pub(crate) struct PasswordRequired(#[expect(dead_code, reason = "schema")] ErrorBody);

/// The client is not authenticated
#[derive(IntoResponses)]
#[response(
    status = 401,
    headers(("WWW-Authenticate" = String, description = "RFC 6750 or RFC 7617")),
    example = json!({ "detail": "Not authenticated" })
)]
pub(crate) struct ClientRefused(#[expect(dead_code, reason = "schema")] TokenRefusal);

/// The form cannot be read, lacks the token, or there are two different credentials
#[derive(IntoResponses)]
#[response(
    status = 400,
    example = json!({
        "detail": "The parameter token is missing",
        "error": "invalid_request",
        "error_description": "The parameter token is missing",
    })
)]
pub(crate) struct BadCredentialForm(#[expect(dead_code, reason = "schema")] TokenRefusal);

/// Two different credentials, or a body that is not UTF-8 or is nested too deeply
#[derive(IntoResponses)]
#[response(status = 400, example = json!({ "detail": "There was an error parsing the body" }))]
pub(crate) struct UnreadableRequest(#[expect(dead_code, reason = "schema")] TokenRefusal);

/// Parameters of the query are invalid
#[derive(IntoResponses)]
#[response(
    status = 422,
    example = json!({ "detail": [{
        "type": "int_parsing",
        "loc": ["query", "limit"],
        "msg": "Input should be a valid integer, unable to parse string as an integer",
        "input": "many",
    }] })
)]
pub(crate) struct InvalidQuery(#[expect(dead_code, reason = "schema")] HTTPValidationError);

/// There is no such resource
#[derive(IntoResponses)]
#[response(status = 404, example = json!({ "detail": "Not Found" }))]
pub(crate) struct NotFound(#[expect(dead_code, reason = "schema")] ErrorBody);

/// The link or code is unknown, used, expired or replaced
#[derive(IntoResponses)]
#[response(
    status = 400,
    example = json!({
        "detail": "The link or code is not valid: it is unknown, used, expired, or replaced by a later one",
        "error": "bad_token",
        "error_description": "The link or code is not valid: it is unknown, used, expired, or replaced \
            by a later one",
    })
)]
#[cfg(feature = "mail")]
pub(crate) struct BadMailToken(#[expect(dead_code, reason = "schema")] OAuthError);

/// The invitation has expired, or was accepted or revoked, as `state` tells
#[derive(IntoResponses)]
#[response(
    status = 410,
    example = json!({ "detail": "The invitation cannot be accepted any more", "state": "expired" })
)]
#[cfg(feature = "mail")]
pub(crate) struct InvitationOver(#[expect(dead_code, reason = "schema")] ErrorBody);

/// A user has the address, an invitation to it is open, or the service does not know its own URL
#[derive(IntoResponses)]
#[response(status = 409, example = json!({ "detail": "User email already exist" }))]
#[cfg(feature = "mail")]
pub(crate) struct InvitationRefused(#[expect(dead_code, reason = "schema")] ErrorBody);

/// The user is disabled, or the service does not know its own URL
#[derive(IntoResponses)]
#[response(status = 409, example = json!({ "detail": "The user is disabled" }))]
#[cfg(feature = "mail")]
pub(crate) struct UserDisabled(#[expect(dead_code, reason = "schema")] ErrorBody);

/// The user has the maximum number of keys
#[derive(IntoResponses)]
#[response(status = 409, example = json!({ "detail": "The maximum number of API keys is reached" }))]
pub(crate) struct TooManyKeys(#[expect(dead_code, reason = "schema")] ErrorBody);

/// The static key is missing or wrong
#[derive(IntoResponses)]
#[response(status = 403, example = json!({ "detail": "Not authenticated" }))]
pub(crate) struct StaticKeyRefused(#[expect(dead_code, reason = "schema")] ErrorBody);

/// The body is not UTF-8, or is nested too deeply
#[derive(IntoResponses)]
#[response(status = 400, example = json!({ "detail": "There was an error parsing the body" }))]
pub(crate) struct UnreadableBody(#[expect(dead_code, reason = "schema")] ErrorBody);

/// The settings do not allow this address to register
#[derive(IntoResponses)]
#[response(status = 403, example = json!({ "detail": "Registration is not open to you" }))]
pub(crate) struct RegistrationRefused(#[expect(dead_code, reason = "schema")] ErrorBody);

/// The address belongs to another user
#[derive(IntoResponses)]
#[response(status = 409, example = json!({ "detail": "User email already exist" }))]
pub(crate) struct EmailTaken(#[expect(dead_code, reason = "schema")] ErrorBody);

/// Fields are missing or invalid, or the body is not JSON
#[derive(IntoResponses)]
#[response(
    status = 422,
    example = json!({ "detail": [{
        "type": "string_too_short",
        "loc": ["body", "name"],
        "msg": "String should have at least 5 characters",
        "input": "Ada",
        "ctx": { "min_length": 5 },
    }] })
)]
pub(crate) struct InvalidBody(#[expect(dead_code, reason = "schema")] HTTPValidationError);

/// The form cannot be read, or repeats a parameter
#[derive(IntoResponses)]
#[response(
    status = 400,
    example = json!({
        "detail": "A parameter is repeated",
        "error": "invalid_request",
        "error_description": "A parameter is repeated",
    })
)]
pub(crate) struct BadForm(#[expect(dead_code, reason = "schema")] TokenRefusal);

/// The name or the password is wrong; the response does not say which
#[derive(IntoResponses)]
#[response(
    status = 401,
    headers(("WWW-Authenticate" = String, description = "RFC 6750")),
    example = json!({
        "detail": "Unauthorized",
        "error": "invalid_grant",
        "error_description": "Incorrect username or password",
    })
)]
pub(crate) struct BadCredentials(#[expect(dead_code, reason = "schema")] OAuthError);

/// Fields are missing or invalid
#[derive(IntoResponses)]
#[response(
    status = 422,
    example = json!({
        "detail": [{
            "type": "missing",
            "loc": ["body", "password"],
            "msg": "Field required",
            "input": null,
        }],
        "error": "invalid_request",
        "error_description": "password: Field required",
    })
)]
pub(crate) struct InvalidForm(#[expect(dead_code, reason = "schema")] OAuthValidationError);

/// The network has made too many attempts, or the user too many changes
#[derive(IntoResponses)]
#[response(
    status = 429,
    headers(("Retry-After" = u64, description = "Seconds")),
    example = json!({ "detail": "Too many attempts" })
)]
pub(crate) struct TooManyAttempts(#[expect(dead_code, reason = "schema")] ErrorBody);

/// The body did not arrive in time
#[derive(IntoResponses)]
#[response(status = 408, example = json!({ "detail": "Request Timeout" }))]
pub(crate) struct BodyTimeout(#[expect(dead_code, reason = "schema")] ErrorBody);

/// The body is too large
#[derive(IntoResponses)]
#[response(status = 413, example = json!({ "detail": "Request Entity Too Large" }))]
pub(crate) struct BodyTooLarge(#[expect(dead_code, reason = "schema")] ErrorBody);

/// The database does not respond, or the queue of passwords to hash is full
#[derive(IntoResponses)]
#[response(
    status = 503,
    headers(("Retry-After" = u64, description = "Seconds")),
    example = json!({ "detail": "Service Unavailable" })
)]
pub(crate) struct Unavailable(#[expect(dead_code, reason = "schema")] ErrorBody);
