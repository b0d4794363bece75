//! Users, as tests speak of them: `let alice = app.register("alice");`.

use serde_json::json;

use super::answer::Answer;
use super::client::Client;

/// Somebody with an account.
pub struct Person {
    pub client: Client,
    pub email: String,
    pub password: String,
}

impl Client {
    /// Registers `name@example.com`.
    ///
    /// # Panics
    /// When that is refused.
    pub fn register(&self, name: &str) -> Person {
        let person = Person {
            client: *self,
            email: format!("{name}@example.com"),
            password: format!("the password of {name}"),
        };
        let answer = self.post("/register").json(&json!({
            "name": format!("{name} Example"),
            "surname": "Example",
            "email": person.email,
            "website": "https://example.com",
            "password": person.password,
        }));
        let answer = answer.send();
        assert_eq!(answer.status, 201, "{answer:?}");
        person
    }
}

impl Person {
    /// Signs in and returns the access token.
    ///
    /// # Panics
    /// When that is refused.
    pub fn sign_in(&self) -> String {
        self.sign_in_for("")
    }

    /// As [`Self::sign_in`], for these scopes only.
    pub fn sign_in_for(&self, scope: &str) -> String {
        let answer = self.try_sign_in(&self.password, scope);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["access_token"]
            .as_str()
            .expect("a token is text")
            .to_owned()
    }

    /// What comes of a sign-in with this password, for these scopes.
    pub fn try_sign_in(&self, password: &str, scope: &str) -> Answer {
        let fields = [
            ("username", self.email.as_str()),
            ("password", password),
            ("scope", scope),
        ];
        self.client.post("/token").form(&fields).send()
    }
}
