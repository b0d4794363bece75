//! The user and the credential, as the server describes them.

use serde::Deserialize;
use serde::de::Error;

use crate::scope;

/// A user or app, and the credential that authenticates it, as the server describes them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RemotePrincipal {
    /// The user, or the app.
    pub user: RemoteUser,
    is_app: bool,
    scopes: String,
    issued_at: i64,
    expires_at: i64,
    session_id: Option<i64>,
    authenticated_at: Option<i64>,
}

/// A user, with the fields that the server shares with other apps.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RemoteUser {
    /// Never reused for another user, even after a deletion.
    pub id: i64,
    /// At least five characters.
    pub name: String,
    /// The e-mail address as the user wrote it; empty for an app.
    pub email: String,
    /// The id in the system that the user was imported from, if it was not an integer.
    pub external_id: Option<String>,
}

impl RemotePrincipal {
    /// Whether this is an app: a program that is no person, with a key of its own.
    pub fn is_app(&self) -> bool {
        self.is_app
    }

    /// Whether the user and the credential both hold this scope.
    pub fn has_scope(&self, name: &str) -> bool {
        scope::contains(&self.scopes, name)
    }

    /// The scopes that user and credential both hold, separated by spaces.
    pub fn scopes(&self) -> &str {
        &self.scopes
    }

    /// When the credential was issued, in seconds since 1970, UTC.
    pub fn issued_at(&self) -> i64 {
        self.issued_at
    }

    /// When the credential expires, in seconds since 1970, UTC; [`i64::MAX`] for an app's key without
    /// an end.
    pub fn expires_at(&self) -> i64 {
        self.expires_at
    }

    /// The id of the session; `None` for an API key, and from a server without sessions.
    pub fn session_id(&self) -> Option<i64> {
        self.session_id
    }

    /// When the user entered the password for the session, in seconds since 1970, UTC; `None` if the
    /// server does not say.
    pub fn authenticated_at(&self) -> Option<i64> {
        self.authenticated_at
    }
}

/// RFC 7662 section 2.2.
#[derive(Deserialize)]
struct Introspection {
    active: bool,
}

/// The fields for a valid credential. A response that lacks one of them is not from Tokenhouse.
#[derive(Deserialize)]
struct Active {
    sub: String,
    name: String,
    scope: String,
    iat: i64,
    /// Required for a user, and absent for an app.
    username: Option<String>,
    /// Required for an app.
    client_id: Option<String>,
    /// Required for a user.
    exp: Option<i64>,
    external_id: Option<String>,
    /// Absent for an API key.
    sid: Option<String>,
    auth_time: Option<i64>,
}

/// Parses the body of a response; `None` for an invalid credential.
///
/// # Errors
/// When the response is not from a Tokenhouse server.
pub(super) fn parse(body: &[u8]) -> Result<Option<RemotePrincipal>, serde_json::Error> {
    let Introspection { active } = serde_json::from_slice(body)?;
    if !active {
        return Ok(None);
    }
    let active: Active = serde_json::from_slice(body)?;
    let id = active.sub.parse().map_err(serde_json::Error::custom)?;
    let session_id = active.sid.map(|sid| sid.parse()).transpose();
    let (is_app, email, expires_at) = match (active.username, active.client_id, active.exp) {
        (Some(email), _, Some(exp)) => (false, email, exp),
        (None, Some(_), exp) => (true, String::new(), exp.unwrap_or(i64::MAX)),
        _ => return Err(serde_json::Error::custom("neither a user nor an app")),
    };
    Ok(Some(RemotePrincipal {
        user: RemoteUser {
            id,
            name: active.name,
            email,
            external_id: active.external_id,
        },
        is_app,
        scopes: active.scope,
        issued_at: active.iat,
        expires_at,
        session_id: session_id.map_err(serde_json::Error::custom)?,
        authenticated_at: active.auth_time,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"active":true,"scope":"a b","username":"a@example.com",
        "token_type":"Bearer","exp":2,"iat":1,"sub":"7","name":"Alice Example"}"#;

    #[test]
    fn response_for_valid_credential_is_parsed_completely() {
        let principal = parse(GOOD.as_bytes()).unwrap().unwrap();
        assert_eq!(principal.user.id, 7);
        assert_eq!(principal.user.email, "a@example.com");
        assert_eq!(principal.user.name, "Alice Example");
        assert_eq!(principal.user.external_id, None);
        let imported = GOOD.replace("\"exp\"", "\"external_id\":\"u-1\",\"exp\"");
        let imported = parse(imported.as_bytes()).unwrap().unwrap();
        assert_eq!(imported.user.external_id.as_deref(), Some("u-1"));
        assert_eq!(
            (imported.session_id(), imported.authenticated_at()),
            (None, None)
        );
        let session = GOOD.replace("\"exp\"", "\"sid\":\"12\",\"auth_time\":3,\"exp\"");
        let session = parse(session.as_bytes()).unwrap().unwrap();
        assert_eq!(
            (session.session_id(), session.authenticated_at()),
            (Some(12), Some(3))
        );
        assert_eq!((principal.issued_at(), principal.expires_at()), (1, 2));
        assert_eq!(principal.scopes(), "a b");
        assert!(
            principal.has_scope("b") && !principal.has_scope("a b") && !principal.has_scope("")
        );
        assert!(!principal.is_app());
        assert_eq!(parse(br#"{"active":false}"#).unwrap(), None);
    }

    #[test]
    fn app_is_told_from_a_user() {
        let app = GOOD.replace(r#""username":"a@example.com""#, r#""client_id":"tasks""#);
        let ending = parse(app.as_bytes()).unwrap().unwrap();
        assert!(ending.is_app());
        assert_eq!(ending.user.email, "");
        let endless = parse(app.replace(r#""exp":2,"#, "").as_bytes())
            .unwrap()
            .unwrap();
        assert_eq!((ending.expires_at(), endless.expires_at()), (2, i64::MAX));
    }

    #[test]
    fn other_responses_are_rejected() {
        for bad in [
            "",
            "null",
            "[]",
            "true",
            "{}",
            r#"{"active":true}"#,
            r#"{"active":"true"}"#,
            r#"{"active":1}"#,
            r#"{"active":false,"active":true}"#,
            "<html>",
            &GOOD.replace("\"7\"", "\"x\""),
            &GOOD.replace("\"exp\":2,", ""),
            &GOOD[..GOOD.len() - 1],
        ] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
