//! Tokens and keys of all kinds, as tests speak of them.

use serde_json::{Value, json};

use super::client::Client;
use super::people::Person;
use super::server::TestApp;

/// The scopes that mean something to the service itself.
pub const OWN_SCOPES: &str = "users:read users:write events:read introspect";

/// An API key just made.
pub struct Key {
    pub id: i64,
    pub secret: String,
}

impl TestApp {
    /// Registers `name@example.com`, and gives them scopes behind the back of the service.
    pub fn register_with(&self, name: &str, scopes: &str) -> Person {
        let person = self.register(name);
        self.set_scopes(&person, scopes);
        person
    }

    /// Gives a user these scopes, and no others, behind the back of the service.
    pub fn set_scopes(&self, person: &Person, scopes: &str) {
        let email = &person.email;
        self.database().execute(&format!(
            "UPDATE users SET scopes = '{scopes}' WHERE email = '{email}'"
        ));
    }
}

impl Client {
    /// The status of a `GET` with a credential.
    pub fn status(&self, path: &str, credential: &str) -> u16 {
        self.get(path).bearer(credential).send().status
    }

    /// The id of whose login token this is.
    pub fn id_of(&self, token: &str) -> i64 {
        let answer = self.get("/users/me").bearer(token).send();
        answer.json()["id"].as_i64().expect("an id is a number")
    }

    /// Makes an API key.
    ///
    /// # Panics
    /// When that is refused.
    pub fn create_key(&self, token: &str, scopes: &str) -> Key {
        let form = json!({ "name": "a key", "scopes": scopes });
        let answer = self.post("/users/me/keys").bearer(token).json(&form).send();
        assert_eq!(answer.status, 201, "{answer:?}");
        let made = answer.json();
        Key {
            id: made["id"].as_i64().expect("an id is a number"),
            secret: text(&made["key"]),
        }
    }
}

/// A text in JSON.
pub fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}
