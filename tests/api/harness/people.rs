//! Users, as tests speak of them: `let alice = app.register("alice");`.

use serde_json::json;

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
        let fields = [("username", &self.email), ("password", &self.password)];
        let answer = self
            .client
            .post("/token")
            .form(&fields.map(|(k, v)| (k, v.as_str())))
            .send();
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["access_token"]
            .as_str()
            .expect("a token is text")
            .to_owned()
    }
}
