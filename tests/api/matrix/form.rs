//! Where in a request a credential is put.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::kind::Kind;
use super::policy::{Body, Route, Shown};
use crate::harness::{Client, Request};

/// A place for a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Bearer,
    BearerInLowerCase,
    TokenScheme,
    TokenHeader,
    /// As the password.
    Basic,
    /// `Authorization: Bearer` and the header `Token`.
    TwiceTheSame,
    /// Beside a good one of somebody else, in the header `Token`.
    BesideAnother,
    Query,
    Body,
    Cookie,
}

impl Form {
    pub const ALL: [Self; 10] = [
        Self::Bearer,
        Self::BearerInLowerCase,
        Self::TokenScheme,
        Self::TokenHeader,
        Self::Basic,
        Self::TwiceTheSame,
        Self::BesideAnother,
        Self::Query,
        Self::Body,
        Self::Cookie,
    ];

    /// What counts of it where users are let in.
    pub fn shown_to_users<'a>(self, kind: &'a Kind, other: &'a Kind) -> Shown<'a> {
        match self {
            Self::BesideAnother if kind.is_nothing() => Shown::One(other),
            Self::BesideAnother => Shown::Two,
            _ if kind.is_nothing() => Shown::Nothing,
            Self::Bearer | Self::BearerInLowerCase | Self::TokenHeader | Self::TwiceTheSame => {
                Shown::One(kind)
            }
            // Others use this scheme too.
            Self::TokenScheme if kind.looks_like_ours() => Shown::One(kind),
            Self::TokenScheme | Self::Basic | Self::Query | Self::Body | Self::Cookie => {
                Shown::Nothing
            }
        }
    }

    /// What is in the header `Token`.
    pub fn in_token_header<'a>(self, kind: &'a Kind, other: &'a Kind) -> Option<&'a Kind> {
        match self {
            Self::TokenHeader | Self::TwiceTheSame => Some(kind),
            Self::BesideAnother => Some(other),
            _ => None,
        }
    }

    /// The request to a route with a credential in this place.
    pub fn request(self, client: &Client, route: &Route, kind: &Kind, other: &Kind) -> Request {
        let secret = kind.secret.as_str();
        let target = match self {
            Self::Query if !kind.is_nothing() => with_query(route.target, secret),
            _ => route.target.to_owned(),
        };
        let request = client.request(route.method, target);
        let in_body = (self == Self::Body && !kind.is_nothing()).then_some(secret);
        let request = with_body(request, route.body, in_body);
        let request = match self {
            Self::BesideAnother => request.header("Token", &other.secret),
            _ => request,
        };
        if kind.is_nothing() {
            return request;
        }
        match self {
            Self::Bearer | Self::BesideAnother => request.bearer(secret),
            Self::BearerInLowerCase => request.header("authorization", format!("bearer {secret}")),
            Self::TokenScheme => request.header("Authorization", format!("Token {secret}")),
            Self::TokenHeader => request.header("Token", secret),
            Self::TwiceTheSame => request.bearer(secret).header("Token", secret),
            Self::Basic => {
                let basic = STANDARD.encode(format!("anyone:{secret}"));
                request.header("Authorization", format!("Basic {basic}"))
            }
            Self::Cookie => request.header("Cookie", format!("token={secret}")),
            Self::Query | Self::Body => request,
        }
    }
}

fn with_query(target: &str, secret: &str) -> String {
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("access_token", secret)
        .append_pair("token", secret)
        .finish();
    let separator = if target.contains('?') { '&' } else { '?' };
    format!("{target}{separator}{query}")
}

fn with_body(request: Request, body: Body, secret: Option<&str>) -> Request {
    let urlencoded = "application/x-www-form-urlencoded";
    let pair = secret.map(|secret| {
        form_urlencoded::Serializer::new(String::new())
            .append_pair("access_token", secret)
            .finish()
    });
    match (body, pair) {
        (Body::None, None) => request,
        (Body::None, Some(pair)) => request.header("Content-Type", urlencoded).body(pair),
        (Body::Form(form), None) => request.header("Content-Type", urlencoded).body(form),
        (Body::Form(form), Some(pair)) => request
            .header("Content-Type", urlencoded)
            .body(format!("{form}&{pair}")),
        (Body::Json(json), _) => {
            let mut json: serde_json::Value = serde_json::from_str(json).expect("JSON");
            if let Some(secret) = secret {
                json["access_token"] = secret.into();
            }
            request.json(&json)
        }
    }
}
