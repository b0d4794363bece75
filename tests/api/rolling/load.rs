//! A mixed load, and what became of it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use serde_json::json;

use crate::harness::{Client, Person, Request, STATIC_KEY, text};

/// What was sent, and what did not come back as it should.
#[derive(Default)]
pub struct Tally {
    /// Requests that nginx may send again.
    pub repeated: AtomicUsize,
    /// Those that it may not.
    pub sent_once: AtomicUsize,
    /// Sign-outs after which every use was refused.
    pub revocations: AtomicUsize,
    /// Failures of requests that nginx may send again.
    pub failures: Mutex<Vec<String>>,
    /// Failures of the others.
    pub failures_of_once: Mutex<Vec<String>>,
}

/// The clients of the load.
pub struct Load {
    client: Client,
    tally: Tally,
    ended: AtomicBool,
}

impl Load {
    pub fn of(client: Client) -> Self {
        Self {
            client,
            tally: Tally::default(),
            ended: AtomicBool::new(false),
        }
    }

    /// Has six clients work while something happens, and tells what became of it.
    pub fn during(self, happens: impl FnOnce()) -> Tally {
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
            // Also when it fails, or the test would wait for ever.
            let _ends = EndsOnDrop(&self.ended);
            happens();
        });
        self.tally
    }

    fn goes_on(&self) -> bool {
        !self.ended.load(Ordering::Relaxed)
    }

    /// Sends what nginx may send again; the body of the answer when it is as it should be.
    fn expect(&self, status: u16, request: Request) -> Option<String> {
        self.tally.repeated.fetch_add(1, Ordering::Relaxed);
        let what = request.target();
        match request.try_send() {
            Ok(answer) if answer.status == status => Some(answer.text().to_owned()),
            other => {
                let failure = format!("{what}: {status} was expected: {other:?}");
                self.tally.failures.lock().unwrap().push(failure);
                None
            }
        }
    }

    fn use_token(&self, person: &Person) {
        let token = person.sign_in();
        while self.goes_on() {
            self.expect(200, self.client.get("/users/me").bearer(&token));
        }
    }

    fn use_key(&self, person: &Person) {
        let key = self.client.create_key(&person.sign_in(), "").secret;
        while self.goes_on() {
            self.expect(200, self.client.get("/verify").bearer(&key));
        }
    }

    fn introspect(&self, person: &Person) {
        let token = person.sign_in();
        while self.goes_on() {
            let request = self.client.post("/introspect").bearer(STATIC_KEY);
            let answer = self.expect(200, request.form(&[("token", &token)]));
            let is_active = answer.is_none_or(|answer| answer.contains("\"active\":true"));
            assert!(is_active, "a good token is said to be none");
        }
    }

    fn token_of(&self, person: &Person) -> Option<String> {
        let fields = [
            ("username", person.email.as_str()),
            ("password", &person.password),
        ];
        let answer = self.expect(200, self.client.post("/token").form(&fields))?;
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
        Some(text(&answer["access_token"]))
    }

    fn sign_in(&self, person: &Person) {
        while self.goes_on() {
            if let Some(token) = self.token_of(person) {
                self.expect(200, self.client.get("/users/me").bearer(&token));
            }
        }
    }

    /// Signs in and out, and uses the token on all processes afterwards. Changes the profile too.
    fn sign_out(&self, person: &Person) {
        while self.goes_on() {
            let Some(token) = self.token_of(person) else {
                continue;
            };
            let name = json!({ "surname": "Another" });
            let change = self.client.request("PATCH", "/users/me").json(&name);
            self.once(200, change.bearer(&token));
            if !self.once(204, self.client.post("/logout").bearer(&token)) {
                continue;
            }
            // nginx spreads them over the servers.
            for _ in 0..4 {
                self.expect(401, self.client.get("/users/me").bearer(&token));
            }
            self.tally.revocations.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Sends what nginx may not send again.
    fn once(&self, status: u16, request: Request) -> bool {
        self.tally.sent_once.fetch_add(1, Ordering::Relaxed);
        let what = request.target();
        match request.try_send() {
            Ok(answer) if answer.status == status => true,
            other => {
                let failure = format!("{what}: {status} was expected: {other:?}");
                self.tally.failures_of_once.lock().unwrap().push(failure);
                false
            }
        }
    }
}

struct EndsOnDrop<'a>(&'a AtomicBool);

impl Drop for EndsOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
