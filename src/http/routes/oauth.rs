//! Token revocation (RFC 7009) and introspection (RFC 7662).

use actix_web::HttpResponse;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::{AuditContext, Auth, MULTI_FACTOR, Principal, is_multi_factor};
use crate::config::AuthConfig;
use crate::guards::MaybeAuthenticated;
use crate::http::body::form::{Fields, FormBody, FromFields};
use crate::http::error_responses;
use crate::http::extractors::Admitted;
use crate::http::introspection_client::IntrospectionClient;
use crate::http::request_error::{Error, RequestError};

/// A credential, and a hint at its type.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the form for the OpenAPI document")]
pub(crate) struct CredentialRequest {
    /// A login token or an API key.
    #[schema(format = "password", min_length = 1)]
    token: String,
    /// Accepted for clients that send it, and ignored.
    #[schema(nullable = false, example = "access_token")]
    token_type_hint: Option<String>,
}

/// A parsed [`CredentialRequest`]. The form of a credential tells its type, so the hint is ignored.
pub(crate) struct CredentialForm {
    /// The credential.
    pub(crate) token: SecretString,
}

impl FromFields for CredentialForm {
    fn requires_hash(_body: &[u8]) -> bool {
        false
    }

    fn from_fields(mut fields: Fields) -> Result<Self, RequestError> {
        fields.refuse_repeated(&["token", "token_type_hint"])?;
        match fields.optional("token") {
            Ok(Some(token)) => Ok(Self {
                token: token.into(),
            }),
            _ => Err(RequestError::MissingParameter("token")),
        }
    }
}

/// Revoke a credential
///
/// Ends the login token or API key for any client that has it; with a credential in the header, only
/// one of the same user. The response is the same when there was nothing to end.
#[utoipa::path(
    post,
    path = "/revoke",
    tag = "OAuth2",
    operation_id = "revoke_credential",
    security((), ("OAuth2PasswordBearer" = [])),
    request_body(
        content = CredentialRequest,
        content_type = "application/x-www-form-urlencoded",
    ),
    responses(
        (status = 200, description = "The credential is rejected everywhere"),
        error_responses::BadCredentialForm,
        error_responses::NotAuthenticated,
        error_responses::BodyTimeout,
        error_responses::BodyTooLarge,
        error_responses::TooManyAttempts,
        error_responses::Unavailable,
    )
)]
pub(crate) async fn revoke(
    auth: Auth,
    context: AuditContext,
    Admitted(caller, FormBody(form)): Admitted<MaybeAuthenticated, FormBody<CredentialForm>>,
) -> Result<HttpResponse, Error> {
    let caller = caller.0.as_ref().map(|caller| caller.0.as_ref());
    let presented = form.token.expose_secret().as_bytes();
    auth.revoke(&context, presented, caller).await?;
    Ok(HttpResponse::Ok().finish())
}

/// The state of a credential (RFC 7662 section 2.2). For any invalid one, only `active` is
/// present.
#[derive(Default, Serialize, ToSchema)]
pub(crate) struct Introspection<'a> {
    active: bool,
    /// Separated by spaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "orders:read")]
    scope: Option<String>,
    /// The name of the app; not for a user.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "tasks-app")]
    client_id: Option<&'a str>,
    /// The e-mail address; not for an app.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "andres@example.com")]
    username: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Bearer")]
    token_type: Option<&'static str>,
    /// Seconds since 1970; not for an app's key without an end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    exp: Option<i64>,
    /// Seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    iat: Option<i64>,
    /// The id of the user or app; negative for an app.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "1")]
    sub: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Andres Cruz")]
    name: Option<&'a str>,
    /// The id in the system that the user was imported from, if it was not an integer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "5b0c3a0e-6f0f-4a64-9d6e-2b1f6c1e0d55")]
    external_id: Option<&'a str>,
    /// Whether the user has shown to read the mail of the address; only with `TOKENHOUSE_VERIFICATION`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    email_verified: Option<bool>,
    /// The id of the session; not for an API key.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "12")]
    sid: Option<String>,
    /// When the user entered the password, in seconds since 1970 (RFC 9470 section 6.2).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    auth_time: Option<i64>,
    /// `mfa` if the user has shown a second factor (RFC 9470 section 6.2).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "mfa")]
    acr: Option<&'static str>,
    /// How the user signed in (RFC 8176).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(example = json!(["pwd"]))]
    amr: Vec<&'a str>,
}

impl<'a> Introspection<'a> {
    fn active(principal: &'a Principal, config: &AuthConfig) -> Self {
        let is_app = principal.is_app();
        let session = principal.session();
        Self {
            active: true,
            scope: Some(principal.scopes()),
            client_id: is_app.then_some(&principal.user.name),
            username: (!is_app).then_some(&principal.user.email),
            token_type: Some("Bearer"),
            exp: (!principal.credential.is_endless()).then(|| principal.expires_at()),
            iat: Some(principal.issued_at()),
            sub: Some(principal.user.id.to_string()),
            name: Some(&principal.user.name),
            external_id: principal.user.external_id.as_deref(),
            email_verified: principal.email_verified(config),
            sid: session.map(|session| session.id.to_string()),
            auth_time: principal.authenticated_at(),
            acr: session
                .filter(|session| is_multi_factor(&session.amr))
                .map(|_session| MULTI_FACTOR),
            amr: session.map_or(Vec::new(), |session| {
                session.amr.split_whitespace().collect()
            }),
        }
    }
}

/// Introspect a credential
///
/// For apps that received one. They authenticate with a credential that has the scope `introspect`,
/// or with the static key as `Bearer` or as the password of HTTP Basic.
#[utoipa::path(
    post,
    path = "/introspect",
    tag = "OAuth2",
    operation_id = "introspect_credential",
    security(("OAuth2PasswordBearer" = ["introspect"]), ("StaticKeyBasic" = [])),
    request_body(
        content = CredentialRequest,
        content_type = "application/x-www-form-urlencoded",
    ),
    responses(
        (status = 200, description = "The state of the credential", body = Introspection),
        error_responses::BadCredentialForm,
        error_responses::ClientRefused,
        error_responses::InsufficientScope,
        error_responses::BodyTimeout,
        error_responses::BodyTooLarge,
        error_responses::TooManyAttempts,
        error_responses::Unavailable,
    )
)]
pub(crate) async fn introspect(
    auth: Auth,
    context: AuditContext,
    Admitted(client, FormBody(form)): Admitted<IntrospectionClient, FormBody<CredentialForm>>,
) -> Result<HttpResponse, Error> {
    auth.record_introspection(&context, client.principal.as_deref())
        .await?;
    let presented = form.token.expose_secret().as_bytes();
    let principal = auth.introspect(presented).await?;
    let config = auth.config();
    let state = principal.as_deref();
    let state = state.map(|principal| Introspection::active(principal, config));
    Ok(HttpResponse::Ok().json(state.unwrap_or_default()))
}
