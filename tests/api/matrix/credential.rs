//! Every kind of credential, valid and invalid, and where a request carries it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokenhouse::credential::api_key::generate_api_key;
use tokenhouse::credential::token::TokenDigest;
use tokenhouse::generate_token;

use super::policy::{Body, Presented, Route};
use crate::factors::app::{password, with_settings};
use crate::harness::{Client, OWN_SCOPES, Person, Request, STATIC_KEY, TestApp, text};
use crate::pages::browser::Browser;

pub const PREVIOUS_STATIC_KEY: &str = "the key before, long enough";

/// The name of the only kind that a browser's cookie accepts.
pub const BROWSER: &str = "the secret of a browser's cookie";

/// Scopes that both the credential and its user have.
type Scopes = &'static str;

/// What a credential grants.
#[derive(Clone, Copy)]
pub enum Standing {
    /// No credential.
    Nothing,
    /// An invalid credential.
    Bad,
    StaticKey,
    /// The key of the control routes of `tokenhouse dev`.
    ControlKey,
    /// The token of a sign-in that waits for its user to add a second factor.
    Enrolment,
    Login(Scopes),
    Key(Scopes),
    /// The key of an app.
    App(Scopes),
}

pub struct Kind {
    pub name: &'static str,
    pub secret: String,
    pub standing: Standing,
}

impl Kind {
    pub fn is_nothing(&self) -> bool {
        matches!(self.standing, Standing::Nothing)
    }

    pub fn is_static_key(&self) -> bool {
        matches!(self.standing, Standing::StaticKey)
    }

    pub fn is_control_key(&self) -> bool {
        matches!(self.standing, Standing::ControlKey)
    }

    pub fn is_enrolment(&self) -> bool {
        matches!(self.standing, Standing::Enrolment)
    }

    /// Whether it authenticates a user or an app.
    pub fn is_valid(&self) -> bool {
        matches!(
            self.standing,
            Standing::Login(_) | Standing::Key(_) | Standing::App(_)
        )
    }

    /// Whether it has the form of a login token, an API key, or an imported token (which ends in at
    /// least 32 hexadecimal digits), valid or not.
    pub fn has_native_form(&self) -> bool {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        let is_token = self.secret.len() == 43 && self.secret.bytes().all(is_plain);
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let is_foreign = self.secret.bytes().all(is_plain)
            && self.secret.len() >= 32
            && self.secret.bytes().rev().take(32).all(is_hex);
        is_token || is_foreign || self.secret.starts_with("tkh_")
    }
}

/// Creates one credential of each kind; the last one has all scopes and belongs to another user.
pub fn all(app: &TestApp) -> (Vec<Kind>, Kind) {
    let mut kinds = Vec::new();
    let mut add = |name, secret: &str, standing| {
        let secret = secret.to_owned();
        kinds.push(Kind {
            name,
            secret,
            standing,
        });
    };
    add("nothing", "", Standing::Nothing);
    add("garbage", "garbage", Standing::Bad);
    add(
        "an unissued token",
        generate_token().unwrap().expose(),
        Standing::Bad,
    );
    add(
        "an unissued key",
        generate_api_key().unwrap().expose(),
        Standing::Bad,
    );
    add(
        "a wrong static key",
        "test-key-of-24-characterz",
        Standing::Bad,
    );
    add("the static key", STATIC_KEY, Standing::StaticKey);
    add(
        "the previous static key",
        PREVIOUS_STATIC_KEY,
        Standing::StaticKey,
    );

    let (token, key, plain_user) = with_key(app, "plain", "");
    add("a login token", &token, Standing::Login(""));
    add("a key", &key, Standing::Key(""));
    add("the password", &plain_user.password, Standing::Bad);
    add("the address", &plain_user.email, Standing::Bad);
    let digest = |secret: &str| TokenDigest::new(secret.as_bytes()).to_hex();
    add("the digest of a token", &digest(&token), Standing::Bad);
    add("the digest of a key", &digest(&key), Standing::Bad);
    add("a token in capitals", &token.to_uppercase(), Standing::Bad);
    add("a mistyped key", &mistyped(&key), Standing::Bad);
    add("a key cut short", &key[..52], Standing::Bad);
    add("a key without its prefix", &key[4..47], Standing::Bad);
    add("the hint of a key", &key[..8], Standing::Bad);

    let (token, key, _) = with_key(app, "mighty", OWN_SCOPES);
    add("a token with scopes", &token, Standing::Login(OWN_SCOPES));
    add("a key with scopes", &key, Standing::Key(OWN_SCOPES));
    let key = app.create_key(&token, "events:read").secret;
    add("a key with one scope", &key, Standing::Key("events:read"));
    let narrow = app.register_with("narrow", OWN_SCOPES);
    let token = narrow.sign_in_for("users:read");
    add(
        "a token with one scope",
        &token,
        Standing::Login("users:read"),
    );
    let (token, key, former) = with_key(app, "former", OWN_SCOPES);
    app.set_scopes(&former, "introspect");
    add(
        "a token whose user lost scopes",
        &token,
        Standing::Login("introspect"),
    );
    add(
        "a key whose user lost scopes",
        &key,
        Standing::Key("introspect"),
    );
    let (token, key, promoted) = with_key(app, "later", "");
    app.set_scopes(&promoted, OWN_SCOPES);
    add("a token older than the scopes", &token, Standing::Login(""));
    add("a key older than the scopes", &key, Standing::Key(""));

    let link = reset_link(app, "mighty@example.com");
    add("the token of a link in a mail", &link, Standing::Bad);
    add(
        "the token of a link without its prefix",
        &link[4..],
        Standing::Bad,
    );
    add("the digest of such a token", &digest(&link), Standing::Bad);
    add_waiting(app, &mut add);
    add_browsers(app, &mut add);
    add_apps(app, &mut add);
    add_revoked(app, &mut add);
    let (token, _, _) = with_key(app, "another", OWN_SCOPES);
    let other = Kind {
        name: "another",
        secret: token,
        standing: Standing::Login(OWN_SCOPES),
    };
    (kinds, other)
}

/// Tokens of sign-ins that wait for a second factor. The users have every scope.
fn add_waiting(app: &TestApp, add: &mut impl FnMut(&'static str, &str, Standing)) {
    let requiring = with_settings(app.sibling()).setting("TOKENHOUSE_MFA", "required");
    let requiring = requiring.start();
    let waiting = |name: &str| {
        let person = app.register_with(name, OWN_SCOPES);
        let refused = password(&requiring, &person);
        assert_eq!(refused.status, 403, "{refused:?}");
        text(&refused.json()["mfa_token"])
    };
    let token = waiting("newcomer1");
    add(
        "the token of a sign-in that waits for a factor",
        &token,
        Standing::Enrolment,
    );
    add(
        "such a token without its prefix",
        &token[4..],
        Standing::Bad,
    );
    let set = |name: &str, change: &str| {
        let token = waiting(name);
        app.database().execute(&format!(
            "UPDATE challenges SET {change} WHERE user_id =
             (SELECT id FROM users WHERE email = '{name}@example.com')"
        ));
        token
    };
    let token = set("newcomer2", "purpose = 'sign-in'");
    add(
        "the token of a sign-in that waits for a code",
        &token,
        Standing::Bad,
    );
    let token = set("newcomer3", "purpose = 'enrolled'");
    add(
        "the token of a sign-in whose user has added a factor",
        &token,
        Standing::Bad,
    );
    let device = format!("tkd_{}", generate_token().unwrap().expose());
    app.database().execute(&format!(
        "INSERT INTO trusted_devices (user_id, digest, name, created_at, expires_at)
         SELECT id, '{}', '', created_at, '2999-01-01 00:00:00' FROM users
         WHERE email = 'newcomer1@example.com'",
        TokenDigest::new(device.as_bytes()).to_hex()
    ));
    add("the secret of a trusted device", &device, Standing::Bad);
    add(
        "such a secret without its prefix",
        &device[4..],
        Standing::Bad,
    );
    let token = set("newcomer4", "expires_at = '2020-01-01 00:00:00'");
    add(
        "the token of a sign-in that waits no longer",
        &token,
        Standing::Bad,
    );
}

/// Secrets of cookies, which no route of the API accepts in any place. The users have every scope.
fn add_browsers(app: &TestApp, add: &mut impl FnMut(&'static str, &str, Standing)) {
    let browser = |name: &str| Browser::of(&app.register_with(name, OWN_SCOPES));
    let mut leaver = browser("surfer1");
    let secret = leaver.secret();
    leaver.submit("/account", "/signout", &[]);
    add(
        "the secret of a browser that signed out",
        &secret,
        Standing::Bad,
    );
    let secret = browser("surfer2").secret();
    app.database()
        .execute("UPDATE users SET disabled_at = created_at WHERE email = 'surfer2@example.com'");
    add(
        "the secret of a disabled user's browser",
        &secret,
        Standing::Bad,
    );
    let secret = browser("surfer3").secret();
    app.database().execute(
        "UPDATE sessions SET expires_at = '2020-01-01 00:00:00'
         WHERE user_id = (SELECT id FROM users WHERE email = 'surfer3@example.com')",
    );
    add("the secret of an expired browser", &secret, Standing::Bad);
    // A row that says otherwise makes no login token of it, nor a cookie of a login token.
    let secret = browser("surfer4").secret();
    app.database().execute(
        "UPDATE sessions SET kind = 'api'
         WHERE user_id = (SELECT id FROM users WHERE email = 'surfer4@example.com')",
    );
    add(
        "the secret of a browser in another kind of session",
        &secret,
        Standing::Bad,
    );
    let token = app.register_with("surfer5", OWN_SCOPES).sign_in();
    app.database().execute(
        "UPDATE sessions SET kind = 'browser'
         WHERE user_id = (SELECT id FROM users WHERE email = 'surfer5@example.com')",
    );
    add(
        "a login token in a session of a browser",
        &token,
        Standing::Bad,
    );
    let secret = browser("surfer6").secret();
    add(
        "the secret of a browser without its prefix",
        &secret[4..],
        Standing::Bad,
    );
    add(BROWSER, &secret, Standing::Bad);
}

fn add_apps(app: &TestApp, add: &mut impl FnMut(&'static str, &str, Standing)) {
    let reader = app.create_app("reader", "users:read");
    add("an app's key", &reader, Standing::App("users:read"));
    let mighty = app.create_app("mighty", OWN_SCOPES);
    add(
        "an app's key with scopes",
        &mighty,
        Standing::App(OWN_SCOPES),
    );
    let narrowed = app.create_app("narrowed", OWN_SCOPES);
    let database = app.database();
    database.execute("UPDATE users SET scopes = 'introspect' WHERE name = 'narrowed'");
    add(
        "a key whose app lost scopes",
        &narrowed,
        Standing::App("introspect"),
    );
    let ended = app.create_app("ended", OWN_SCOPES);
    database.execute("UPDATE api_keys SET expires_at = '2020-01-01 00:00:00' WHERE name = 'ended'");
    add("an app's expired key", &ended, Standing::Bad);
    let disabled = app.create_app("stopped", OWN_SCOPES);
    database.execute("UPDATE users SET disabled_at = created_at WHERE name = 'stopped'");
    add("a key of a disabled app", &disabled, Standing::Bad);
    let revoked = app.create_app("revoked", OWN_SCOPES);
    let revoke = app.program(&["app", "revoke", "revoked"]).output().unwrap();
    assert!(revoke.status.success(), "{revoke:?}");
    add("a key of a revoked app", &revoked, Standing::Bad);
    add("an app's name in the trail", "app:reader", Standing::Bad);
    // No command issues a login token to an app.
    let forged = generate_token().unwrap();
    database.execute(&format!(
        "INSERT INTO sessions (user_id, slot, kind, name, user_agent, first_ip, last_ip,
             created_at, last_used_at, expires_at, amr, scopes)
         SELECT id, 0, 'api', '', '', '', '', created_at, created_at, '2999-01-01 00:00:00', '', scopes
         FROM users WHERE name = 'mighty' AND is_app;
         INSERT INTO access_tokens (user_id, access_token, expiration_date, scopes, created_at,
             session_id)
         SELECT user_id, '{}', expires_at, scopes, created_at, id FROM sessions
         WHERE user_id = (SELECT id FROM users WHERE name = 'mighty' AND is_app)",
        TokenDigest::new(forged.expose().as_bytes()).to_hex()
    ));
    add("a login token of an app", forged.expose(), Standing::Bad);
}

/// Credentials that were valid once. All of them had every scope.
fn add_revoked(app: &TestApp, add: &mut impl FnMut(&'static str, &str, Standing)) {
    let (token, key, person) = with_key(app, "expired", OWN_SCOPES);
    let id = app.id_of(&token);
    app.database().execute(&format!(
        "UPDATE access_tokens SET expiration_date = '2020-01-01 00:00:00' WHERE user_id = {id};
         UPDATE api_keys SET expires_at = '2020-01-01 00:00:00' WHERE user_id = {id}"
    ));
    add("an expired token", &token, Standing::Bad);
    add("an expired key", &key, Standing::Bad);
    drop(person);

    let (token, key, _) = with_key(app, "leaver", OWN_SCOPES);
    assert_eq!(app.post("/logout").bearer(&token).send().status, 204);
    let revoke = app.post("/revoke").form(&[("token", &key)]);
    assert_eq!(revoke.send().status, 200);
    add("a token that was logged out", &token, Standing::Bad);
    add("a revoked key", &key, Standing::Bad);

    let renewed = app.register_with("renewed", OWN_SCOPES);
    let token = renewed.sign_in();
    renewed.sign_in();
    add("a token before the last sign-in", &token, Standing::Bad);

    let (token, key, disabled) = with_key(app, "disabled", OWN_SCOPES);
    let email = &disabled.email;
    app.database().execute(&format!(
        "UPDATE users SET disabled_at = created_at WHERE email = '{email}'"
    ));
    add("a token of a disabled user", &token, Standing::Bad);
    add("a key of a disabled user", &key, Standing::Bad);

    let (token, key, deleted) = with_key(app, "deleted", OWN_SCOPES);
    let email = &deleted.email;
    app.database()
        .execute(&format!("DELETE FROM users WHERE email = '{email}'"));
    add("a token of a deleted user", &token, Standing::Bad);
    add("a key of a deleted user", &key, Standing::Bad);
}

/// A user with a login token and a key, both with all scopes of the user.
fn with_key(app: &TestApp, name: &str, scopes: &str) -> (String, String, Person) {
    let person = app.register_with(name, scopes);
    let token = person.sign_in();
    let key = app.create_key(&token, scopes).secret;
    (token, key, person)
}

/// The token of a link with which the user of an address can reset the password.
pub fn reset_link(app: &TestApp, email: &str) -> String {
    let mut command = app.program(&["user", "reset-link", email]);
    let command = command.env("TOKENHOUSE_PUBLIC_URL", "http://localhost");
    let output = command.output().expect("the program runs");
    let printed = String::from_utf8(output.stdout).expect("UTF-8");
    let (_, token) = printed.trim().split_once("?t=").expect("a link");
    token.to_owned()
}

/// The key with another character in the middle, so that the checksum is wrong.
fn mistyped(key: &str) -> String {
    let other = if key.as_bytes()[20] == b'x' { "y" } else { "x" };
    format!("{}{other}{}", &key[..20], &key[21..])
}

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
    SameTwice,
    /// In addition to another user's valid credential in the header `Token`.
    WithAnother,
    Query,
    Body,
    Cookie,
    /// In the cookies of the pages.
    BrowserCookie,
    /// As [`Form::Bearer`], with a body that cannot be read. The guard decides first.
    WithBadBody,
}

impl Form {
    pub const ALL: [Self; 12] = [
        Self::Bearer,
        Self::BearerInLowerCase,
        Self::TokenScheme,
        Self::TokenHeader,
        Self::Basic,
        Self::SameTwice,
        Self::WithAnother,
        Self::Query,
        Self::Body,
        Self::Cookie,
        Self::BrowserCookie,
        Self::WithBadBody,
    ];

    /// What a guard for users accepts of it.
    pub fn presented_to_users<'a>(self, kind: &'a Kind, other: &'a Kind) -> Presented<'a> {
        match self {
            Self::WithAnother if kind.is_nothing() => Presented::One(other),
            Self::WithAnother => Presented::Two,
            _ if kind.is_nothing() => Presented::Nothing,
            Self::Bearer
            | Self::BearerInLowerCase
            | Self::TokenHeader
            | Self::SameTwice
            | Self::WithBadBody => Presented::One(kind),
            // Other software uses this scheme too.
            Self::TokenScheme if kind.has_native_form() => Presented::One(kind),
            Self::TokenScheme
            | Self::Basic
            | Self::Query
            | Self::Body
            | Self::Cookie
            | Self::BrowserCookie => Presented::Nothing,
        }
    }

    /// The credential in the header `Token`.
    pub fn in_token_header<'a>(self, kind: &'a Kind, other: &'a Kind) -> Option<&'a Kind> {
        match self {
            Self::TokenHeader | Self::SameTwice => Some(kind),
            Self::WithAnother => Some(other),
            _ => None,
        }
    }

    /// A request to this route with a credential in this place.
    pub fn request(self, client: &Client, route: &Route, kind: &Kind, other: &Kind) -> Request {
        let secret = kind.secret.as_str();
        let target = match self {
            Self::Query if !kind.is_nothing() => with_query(route.target, secret),
            _ => route.target.to_owned(),
        };
        let request = client.request(route.method, target);
        let in_body = (self == Self::Body && !kind.is_nothing()).then_some(secret);
        let request = match (self, route.body) {
            (Self::WithBadBody, Body::Json(_)) => {
                request.header("Content-Type", "application/json").body("{")
            }
            (Self::WithBadBody, Body::Form(_)) => {
                let repeated = "username=a&username=a&token=a&token=a";
                with_body(request, Body::Form(repeated), None)
            }
            _ => with_body(request, route.body, in_body),
        };
        let request = match self {
            Self::WithAnother => request.header("Token", &other.secret),
            _ => request,
        };
        if kind.is_nothing() {
            return request;
        }
        match self {
            Self::Bearer | Self::WithAnother | Self::WithBadBody => request.bearer(secret),
            Self::BearerInLowerCase => request.header("authorization", format!("bearer {secret}")),
            Self::TokenScheme => request.header("Authorization", format!("Token {secret}")),
            Self::TokenHeader => request.header("Token", secret),
            Self::SameTwice => request.bearer(secret).header("Token", secret),
            Self::Basic => {
                let basic = STANDARD.encode(format!("anyone:{secret}"));
                request.header("Authorization", format!("Basic {basic}"))
            }
            Self::Cookie => request.header("Cookie", format!("token={secret}")),
            Self::BrowserCookie => request.header(
                "Cookie",
                format!("tokenhouse={secret}; __Host-tokenhouse={secret}"),
            ),
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
