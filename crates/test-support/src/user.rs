//! Test users.

use serde_json::{Value, json};

use crate::client::{Client, Request};
use crate::response::Response;

/// The details with which a test user registers and signs in.
#[derive(Clone, Debug)]
pub struct TestUser {
    /// The first name.
    pub name: String,
    /// The e-mail address.
    pub email: String,
    /// The password.
    pub password: String,
}

impl TestUser {
    /// The user `name@example.com`, whose password every policy accepts.
    pub fn new(name: &str) -> Self {
        Self {
            name: format!("{name} Example"),
            email: format!("{name}@example.com"),
            password: format!("the password of {name}"),
        }
    }

    /// The body of `POST /register`.
    pub fn registration(&self) -> Value {
        json!({
            "name": self.name,
            "surname": "Example",
            "email": self.email,
            "website": "https://example.com",
            "password": self.password,
        })
    }

    /// `POST /register`
    pub fn register_request(&self) -> Request {
        Request::post("/register").json(&self.registration())
    }

    /// `POST /token`
    pub fn sign_in_request(&self) -> Request {
        self.sign_in_request_for("")
    }

    /// `POST /token`, limited to these scopes; `offline_access` asks for a refresh token.
    pub fn sign_in_request_for(&self, scope: &str) -> Request {
        let fields = [
            ("username", self.email.as_str()),
            ("password", self.password.as_str()),
            ("scope", scope),
        ];
        Request::post("/token").form(&fields)
    }
}

impl Request {
    /// `POST /token` with a refresh token.
    pub fn refresh(token: &str) -> Self {
        Self::post("/token").form(&[("grant_type", "refresh_token"), ("refresh_token", token)])
    }
}

impl Response {
    /// The access token of a successful sign-in.
    pub fn access_token(&self) -> Option<String> {
        self.member("access_token")?.as_str().map(str::to_owned)
    }
}

/// A registered user of one server. The methods panic when the server refuses.
pub struct Person {
    /// A client of the server.
    pub client: Client,
    /// The e-mail address.
    pub email: String,
    /// The password.
    pub password: String,
}

/// A new API key.
pub struct Key {
    /// The id of the key.
    pub id: i64,
    /// The key itself.
    pub secret: String,
}

impl Client {
    /// Registers `name@example.com`.
    ///
    /// # Panics
    /// When the server refuses.
    pub fn register(&self, name: &str) -> Person {
        let user = TestUser::new(name);
        let response = self.post("/register").json(&user.registration()).send();
        assert_eq!(response.status, 201, "{response:?}");
        Person {
            client: *self,
            email: user.email,
            password: user.password,
        }
    }

    /// The status of a `GET` with a credential.
    pub fn status(&self, path: &str, credential: &str) -> u16 {
        self.get(path).bearer(credential).send().status
    }

    /// The id of the user to whom a login token belongs.
    ///
    /// # Panics
    /// When the server refuses.
    pub fn id_of(&self, token: &str) -> i64 {
        let response = self.get("/users/me").bearer(token).send();
        response.json()["id"].as_i64().expect("an id is a number")
    }

    /// Makes an API key.
    ///
    /// # Panics
    /// When the server refuses.
    pub fn create_key(&self, token: &str, scopes: &str) -> Key {
        let form = json!({ "name": "a key", "scopes": scopes });
        let response = self.post("/users/me/keys").bearer(token).json(&form).send();
        assert_eq!(response.status, 201, "{response:?}");
        let key = response.json();
        Key {
            id: key["id"].as_i64().expect("an id is a number"),
            secret: key["key"].as_str().expect("a key is text").to_owned(),
        }
    }
}

impl Person {
    /// Signs in and returns the access token.
    ///
    /// # Panics
    /// When the server refuses.
    pub fn sign_in(&self) -> String {
        self.sign_in_for("")
    }

    /// Like [`Self::sign_in`], limited to these scopes.
    ///
    /// # Panics
    /// When the server refuses.
    pub fn sign_in_for(&self, scope: &str) -> String {
        let response = self.try_sign_in(&self.password, scope);
        assert_eq!(response.status, 200, "{response:?}");
        response.access_token().expect("a token is text")
    }

    /// The response to a sign-in with this password, limited to these scopes.
    pub fn try_sign_in(&self, password: &str, scope: &str) -> Response {
        let fields = [
            ("username", self.email.as_str()),
            ("password", password),
            ("scope", scope),
        ];
        self.client.post("/token").form(&fields).send()
    }
}
