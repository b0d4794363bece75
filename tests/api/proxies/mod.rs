//! The recipes of `deploy/` in the real proxies: an app is reached with what Tokenhouse says of the
//! caller, and not at all without a good credential.

mod admission;
mod failure;
mod injection;
mod paths;
mod tally;
mod unnamed;

use serde_json::json;

use crate::harness::{
    Backend, Person, Proxy, Recorder, Request, Response, RunningProxy, TestApp, TestAppBuilder,
};
use tally::Tally;

/// The scope that the recipes want for `/reports`.
const SCOPE: &str = "reports:read";

/// The headers that tell the app who it is.
const IDENTITY: [&str; 5] = [
    "X-Auth-User-Id",
    "X-Auth-Email",
    "X-Auth-Name",
    "X-Auth-Scopes",
    "X-Auth-Method",
];

/// An app behind a proxy that asks Tokenhouse.
struct Guarded {
    tokenhouse: TestApp,
    app: Recorder,
    proxy: RunningProxy,
    tally: Tally,
}

/// A credential, and what Tokenhouse says of it.
struct Caller {
    credential: String,
    identity: [String; 5],
}

impl Guarded {
    fn start(proxy: Proxy, backend: Backend) -> Self {
        Self::with(proxy, TestApp::builder(backend))
    }

    fn with(proxy: Proxy, tokenhouse: TestAppBuilder) -> Self {
        let (tokenhouse, app) = (tokenhouse.start(), Recorder::echo());
        Self {
            proxy: proxy.start(tokenhouse.address(), app.address()),
            tally: Tally::of(proxy),
            tokenhouse,
            app,
        }
    }

    /// Somebody with the scope of the recipes.
    fn register_reader(&self, name: &str) -> Person {
        let reader = self.tokenhouse.register(name);
        self.operate(&["user", "grant", &reader.email, SCOPE]);
        reader
    }

    /// Runs a command of the operator.
    fn operate(&self, arguments: &[&str]) {
        let output = self.tokenhouse.program(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    /// Makes a key, and returns its id too.
    fn create_key(&self, token: &str, scopes: &str) -> (i64, String) {
        let key = json!({ "name": "a key", "scopes": scopes });
        let answer = self
            .tokenhouse
            .post("/users/me/keys")
            .bearer(token)
            .json(&key)
            .send();
        assert_eq!(answer.status, 201, "{answer:?}");
        let key = answer.json();
        (
            key["id"].as_i64().unwrap(),
            key["key"].as_str().unwrap().to_owned(),
        )
    }

    /// Asks Tokenhouse, without a proxy, who has this credential.
    fn caller(&self, credential: &str) -> Caller {
        let answer = self.tokenhouse.get("/verify").bearer(credential).send();
        assert_eq!(answer.status, 200, "{answer:?}");
        Caller {
            credential: credential.to_owned(),
            identity: IDENTITY.map(|name| answer.header(name).unwrap()),
        }
    }

    /// Sends a request that may get through as this caller's, or not at all.
    fn send(&mut self, request: Request, as_whom: Option<&Caller>) -> Response {
        let answer = request.send();
        self.tally.count(&self.app.take(), as_whom);
        answer
    }

    /// Sends a request that has to get through.
    fn passes(&mut self, request: Request, caller: &Caller) -> Response {
        let answer = self.send(request, Some(caller));
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("x-upstream").as_deref(), Some("reached"));
        answer
    }

    /// Sends a request that has to be refused like this, and returns the challenge.
    fn is_refused(&mut self, request: Request, status: u16) -> String {
        let answer = self.send(request, None);
        assert_eq!(answer.status, status, "{answer:?}");
        assert_eq!(answer.header("x-upstream"), None, "{answer:?}");
        answer.header("www-authenticate").unwrap_or_default()
    }
}
