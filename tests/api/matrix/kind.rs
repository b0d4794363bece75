//! Every kind of credential there is, good ones and others.

use tokenhouse::credential::api_key::generate_api_key;
use tokenhouse::credential::token::TokenDigest;
use tokenhouse::generate_token;

use crate::harness::{OWN_SCOPES, Person, STATIC_KEY, TestApp};

pub const PREVIOUS_STATIC_KEY: &str = "the key before, long enough";

/// Scopes that a credential has and its user too.
type Scopes = &'static str;

/// What a credential stands for.
#[derive(Clone, Copy)]
pub enum Standing {
    /// There is none.
    Nothing,
    /// It is no good, whatever it was.
    Bad,
    StaticKey,
    Login(Scopes),
    Key(Scopes),
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

    pub fn is_of_user(&self) -> bool {
        matches!(self.standing, Standing::Login(_) | Standing::Key(_))
    }

    /// As a login token or an API key does, or a token of Django's (which ends in 32 hexadecimal
    /// digits at least), be it right or wrong.
    pub fn looks_like_ours(&self) -> bool {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        let is_token = self.secret.len() == 43 && self.secret.bytes().all(is_plain);
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let is_foreign = self.secret.bytes().all(is_plain)
            && self.secret.len() >= 32
            && self.secret.bytes().rev().take(32).all(is_hex);
        is_token || is_foreign || self.secret.starts_with("tkh_")
    }
}

/// Makes one of each kind on a server; the last one is good for everything, and somebody else's.
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
        "a token of nobody",
        generate_token().unwrap().expose(),
        Standing::Bad,
    );
    add(
        "a key of nobody",
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
        "the static key before",
        PREVIOUS_STATIC_KEY,
        Standing::StaticKey,
    );

    let (token, key, of_plain) = with_key(app, "plain", "");
    add("a login token", &token, Standing::Login(""));
    add("a key", &key, Standing::Key(""));
    add("the password", &of_plain.password, Standing::Bad);
    add("the address", &of_plain.email, Standing::Bad);
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
    let (token, key, loser) = with_key(app, "loser", OWN_SCOPES);
    app.set_scopes(&loser, "introspect");
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
    let (token, key, late) = with_key(app, "later", "");
    app.set_scopes(&late, OWN_SCOPES);
    add("a token older than the scopes", &token, Standing::Login(""));
    add("a key older than the scopes", &key, Standing::Key(""));

    add_ended(app, &mut add);
    let (token, _, _) = with_key(app, "another", OWN_SCOPES);
    let other = Kind {
        name: "another",
        secret: token,
        standing: Standing::Login(OWN_SCOPES),
    };
    (kinds, other)
}

/// What was good once. All of it had every scope.
fn add_ended(app: &TestApp, add: &mut impl FnMut(&'static str, &str, Standing)) {
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

/// A user with a login token and a key, which both have all the scopes of the user.
fn with_key(app: &TestApp, name: &str, scopes: &str) -> (String, String, Person) {
    let person = app.register_with(name, scopes);
    let token = person.sign_in();
    let key = app.create_key(&token, scopes).secret;
    (token, key, person)
}

/// With another character in the middle, so that the checksum is wrong.
fn mistyped(key: &str) -> String {
    let other = if key.as_bytes()[20] == b'x' { "y" } else { "x" };
    format!("{}{other}{}", &key[..20], &key[21..])
}
