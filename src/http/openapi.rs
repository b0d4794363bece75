//! The OpenAPI document: collected from the handlers, with the security schemes of the tutorial.

use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, Flow, OAuth2, Password, Scopes, SecurityScheme,
};
use utoipa::{Modify, OpenApi};

use super::routes::{guarded, health, logout, register, token, users_me};

/// The OpenAPI 3.1 document of the service.
pub fn document() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Tokenhouse",
        description = "Users, passwords and access tokens. Sign in at `/token` with the OAuth2 \
            password form, and send the token in `Authorization: Bearer` or in the header `Token`.",
    ),
    paths(
        register::register,
        token::create_token,
        logout::logout,
        users_me::read_users_me,
        guarded::page,
        guarded::protected_route,
        health::live,
        health::ready,
    ),
    tags(
        (name = "sign-in", description = "Getting a token, and ending it"),
        (name = "users", description = "Registering, and the user's own account"),
        (name = "static key", description = "The tutorial's routes behind the static key"),
        (name = "health", description = "For load balancers and supervisors"),
    ),
    // utoipa collects the schemas of successes by itself, and of `IntoResponses` it does not.
    components(schemas(
        answers::ErrorBody,
        answers::HTTPValidationError,
        answers::ValidationError,
        answers::Location,
        answers::OAuthError,
        answers::OAuthValidationError,
        answers::TokenRefusal,
    )),
    modifiers(&Finish),
)]
struct Document;

struct Finish;

impl Modify for Finish {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        // utoipa puts Cargo's there, and Swagger UI makes a link to nowhere of an "A OR B".
        document.info.license = None;
        let password = Flow::Password(Password::new("token", Scopes::new()));
        let components = document.components.get_or_insert_default();
        components.add_security_scheme(
            "OAuth2PasswordBearer",
            SecurityScheme::OAuth2(OAuth2::with_description(
                [password],
                "A user's login token. A client id and secret are not needed.",
            )),
        );
        components.add_security_scheme(
            "APIKeyHeader",
            SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description(
                "Token",
                "The static key, `API_KEY_TOKEN` in the settings.",
            ))),
        );
    }
}

/// The answers other than success, as the handlers list them.
pub(super) mod answers {
    use serde_json::Value;
    use utoipa::{IntoResponses, ToSchema};

    /// An error in one sentence.
    #[derive(ToSchema)]
    #[expect(dead_code, reason = "describes the answer for the OpenAPI document")]
    pub(crate) struct ErrorBody {
        detail: String,
    }

    /// What is wrong with one field, as pydantic words it.
    #[derive(ToSchema)]
    #[expect(dead_code, reason = "describes the answer for the OpenAPI document")]
    pub(crate) struct ValidationError {
        /// Where: `body`, then the field or, in broken JSON, the character.
        loc: Vec<Location>,
        msg: String,
        r#type: String,
        /// The offending value; null where it may be a secret.
        input: Value,
        /// The numbers and texts in `msg`, by name.
        ctx: Option<Value>,
    }

    /// A step on the way to the offending value.
    #[derive(ToSchema)]
    #[schema(no_recursion)]
    #[expect(dead_code, reason = "describes the answer for the OpenAPI document")]
    #[serde(untagged)]
    pub(crate) enum Location {
        Name(String),
        Index(u64),
    }

    /// Every field that is wrong.
    #[derive(ToSchema)]
    #[expect(dead_code, reason = "describes the answer for the OpenAPI document")]
    pub(crate) struct HTTPValidationError {
        detail: Vec<ValidationError>,
    }

    /// An error with OAuth2's code for it (RFC 6749 section 5.2).
    #[derive(ToSchema)]
    #[expect(dead_code, reason = "describes the answer for the OpenAPI document")]
    pub(crate) struct OAuthError {
        detail: String,
        error: String,
        error_description: String,
    }

    /// Wrong fields at `/token`, in both wordings.
    #[derive(ToSchema)]
    #[expect(dead_code, reason = "describes the answer for the OpenAPI document")]
    pub(crate) struct OAuthValidationError {
        detail: Vec<ValidationError>,
        error: String,
        error_description: String,
    }

    /// A form at `/token` that cannot be used.
    #[derive(ToSchema)]
    #[expect(dead_code, reason = "describes the answer for the OpenAPI document")]
    pub(crate) struct TokenRefusal {
        /// A sentence; with `TOKENHOUSE_OAUTH_STRICT_STATUS`, what is otherwise in 401 or 422.
        detail: Value,
        #[schema(nullable = false)]
        error: Option<String>,
        #[schema(nullable = false)]
        error_description: Option<String>,
    }

    /// No credential, or one that is not valid (any more)
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

    /// The static key is missing or wrong
    #[derive(IntoResponses)]
    #[response(status = 403, example = json!({ "detail": "Not authenticated" }))]
    pub(crate) struct StaticKeyRefused(#[expect(dead_code, reason = "schema")] ErrorBody);

    /// The body is not text, or is nested beyond reason
    #[derive(IntoResponses)]
    #[response(status = 400, example = json!({ "detail": "There was an error parsing the body" }))]
    pub(crate) struct UnreadableBody(#[expect(dead_code, reason = "schema")] ErrorBody);

    /// The settings do not let this address register
    #[derive(IntoResponses)]
    #[response(status = 403, example = json!({ "detail": "Registration is not open to you" }))]
    pub(crate) struct RegistrationRefused(#[expect(dead_code, reason = "schema")] ErrorBody);

    /// The address belongs to a user already
    #[derive(IntoResponses)]
    #[response(status = 409, example = json!({ "detail": "User email already exist" }))]
    pub(crate) struct EmailTaken(#[expect(dead_code, reason = "schema")] ErrorBody);

    /// Fields are missing or wrong, or the body is no JSON
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

    /// The name or the password is wrong; which, is not told
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

    /// Fields are missing or wrong
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

    /// The body did not arrive in time
    #[derive(IntoResponses)]
    #[response(status = 408, example = json!({ "detail": "Request Timeout" }))]
    pub(crate) struct BodyLate(#[expect(dead_code, reason = "schema")] ErrorBody);

    /// The body is too large
    #[derive(IntoResponses)]
    #[response(status = 413, example = json!({ "detail": "Request Entity Too Large" }))]
    pub(crate) struct BodyTooLarge(#[expect(dead_code, reason = "schema")] ErrorBody);

    /// The database does not answer, or more passwords wait than can be hashed in time
    #[derive(IntoResponses)]
    #[response(
        status = 503,
        headers(("Retry-After" = u64, description = "Seconds")),
        example = json!({ "detail": "Service Unavailable" })
    )]
    pub(crate) struct Unavailable(#[expect(dead_code, reason = "schema")] ErrorBody);
}
