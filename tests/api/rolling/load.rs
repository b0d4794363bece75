//! A mixed load, and its results.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use serde_json::json;

use crate::harness::{Client, Person, Request, STATIC_KEY, text};

/// The requests that were sent, and their failures.
#[derive(Default)]
pub struct Tally {
    /// Requests that nginx may retry.
    pub retriable: AtomicUsize,
    /// Requests that nginx may not retry.
    pub not_retriable: AtomicUsize,
    /// Logouts after which the token was rejected everywhere.
    pub revocations: AtomicUsize,
    /// Failures of retriable requests.
    pub failures: Mutex<Vec<String>>,
    /// Failures of the other requests.
    pub final_failures: Mutex<Vec<String>>,
}

/// The clients of the load.
pub struct Load {
    client: Client,
    tally: Tally,
    stopped: AtomicBool,
}

impl Load {
    pub fn new(client: Client) -> Self {
        Self {
            client,
            tally: Tally::default(),
            stopped: AtomicBool::new(false),
        }
    }

    /// Runs six clients during `act`, and returns the results.
    pub fn during(self, act: impl FnOnce()) -> Tally {
        thread::scope(|scope| {
            let clients: [fn(&Self, &Person); 6] = [
                Self::use_token,
                Self::use_token,
                Self::use_key,
                Self::introspect,
                Self::sign_in,
                Self::sign_out,
            ];
            for (number, work) in clients.into_iter().enumerate() {
                let person = self.client.register(&format!("person{number}"));
                let load = &self;
                scope.spawn(move || work(load, &person));
            }
            // Also stops on a panic; the scope would never end otherwise.
            let _stop = StopOnDrop(&self.stopped);
            act();
        });
        self.tally
    }

    fn is_running(&self) -> bool {
        !self.stopped.load(Ordering::Relaxed)
    }

    /// Sends a retriable request; returns the body of a response with the expected status.
    fn expect(&self, status: u16, request: Request) -> Option<String> {
        self.tally.retriable.fetch_add(1, Ordering::Relaxed);
        let what = request.target();
        match request.try_send() {
            Ok(response) if response.status == status => Some(response.text().to_owned()),
            other => {
                let failure = format!("{what}: {status} was expected: {other:?}");
                self.tally.failures.lock().unwrap().push(failure);
                None
            }
        }
    }

    fn use_token(&self, person: &Person) {
        let token = person.sign_in();
        while self.is_running() {
            self.expect(200, self.client.get("/users/me").bearer(&token));
        }
    }

    fn use_key(&self, person: &Person) {
        let key = self.client.create_key(&person.sign_in(), "").secret;
        while self.is_running() {
            self.expect(200, self.client.get("/verify").bearer(&key));
        }
    }

    fn introspect(&self, person: &Person) {
        let token = person.sign_in();
        while self.is_running() {
            let request = self.client.post("/introspect").bearer(STATIC_KEY);
            let response = self.expect(200, request.form(&[("token", &token)]));
            let is_active = response.is_none_or(|response| response.contains("\"active\":true"));
            assert!(is_active, "a valid token is reported as inactive");
        }
    }

    fn sign_in_for_token(&self, person: &Person) -> Option<String> {
        let fields = [
            ("username", person.email.as_str()),
            ("password", &person.password),
        ];
        let response = self.expect(200, self.client.post("/token").form(&fields))?;
        let response: serde_json::Value = serde_json::from_str(&response).unwrap();
        Some(text(&response["access_token"]))
    }

    fn sign_in(&self, person: &Person) {
        while self.is_running() {
            if let Some(token) = self.sign_in_for_token(person) {
                self.expect(200, self.client.get("/users/me").bearer(&token));
            }
        }
    }

    /// Signs in and out, and uses the token on all processes afterwards. Also updates the profile.
    fn sign_out(&self, person: &Person) {
        while self.is_running() {
            let Some(token) = self.sign_in_for_token(person) else {
                continue;
            };
            let name = json!({ "surname": "Another" });
            let change = self.client.request("PATCH", "/users/me").json(&name);
            self.send_once(200, change.bearer(&token));
            if !self.send_once(204, self.client.post("/logout").bearer(&token)) {
                continue;
            }
            // nginx distributes them over the servers.
            for _ in 0..4 {
                self.expect(401, self.client.get("/users/me").bearer(&token));
            }
            self.tally.revocations.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Sends a request that nginx may not retry.
    fn send_once(&self, status: u16, request: Request) -> bool {
        self.tally.not_retriable.fetch_add(1, Ordering::Relaxed);
        let what = request.target();
        match request.try_send() {
            Ok(response) if response.status == status => true,
            other => {
                let failure = format!("{what}: {status} was expected: {other:?}");
                self.tally.final_failures.lock().unwrap().push(failure);
                false
            }
        }
    }
}

struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
