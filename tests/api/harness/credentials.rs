//! Scopes of test users, and text in JSON.

use serde_json::Value;
use test_support::Person;

use super::server::TestApp;

/// The scopes that the service itself checks.
pub const OWN_SCOPES: &str = "users:read users:write events:read introspect";

impl TestApp {
    /// Registers `name@example.com` and sets the scopes of the user directly in the database.
    pub fn register_with(&self, name: &str, scopes: &str) -> Person {
        let person = self.register(name);
        self.set_scopes(&person, scopes);
        person
    }

    /// Sets the scopes of a user directly in the database.
    pub fn set_scopes(&self, person: &Person, scopes: &str) {
        let email = &person.email;
        self.database().execute(&format!(
            "UPDATE users SET scopes = '{scopes}' WHERE email = '{email}'"
        ));
    }
}

/// A JSON string.
pub fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}
