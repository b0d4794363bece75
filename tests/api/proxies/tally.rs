//! How many requests were tried, and what got through that should not have.

use super::{Caller, IDENTITY};
use crate::harness::{Proxy, Recorded};

/// Stands in whatever a client forges.
pub const FORGED: &str = "forged-by-the-client";

/// The count of a test. It is printed when the test ends, which fails for a single leak.
pub struct Tally {
    proxy: Proxy,
    tried: usize,
    reached: usize,
    leaks: Vec<String>,
}

impl Tally {
    pub fn of(proxy: Proxy) -> Self {
        Self {
            proxy,
            tried: 0,
            reached: 0,
            leaks: Vec::new(),
        }
    }

    /// Counts a request by what the app got of it. Without a caller it may get nothing.
    pub fn count(&mut self, got: &[Recorded], as_whom: Option<&Caller>) {
        self.tried += 1;
        self.reached += got.len();
        for request in got {
            match as_whom {
                None => self.leak(format!("got through: {request:?}")),
                Some(caller) => {
                    if let Some(fault) = fault(request, caller) {
                        self.leak(format!("{fault}: {request:?}"));
                    }
                }
            }
        }
    }

    pub fn leak(&mut self, what: String) {
        self.leaks.push(what);
    }

    pub fn reached(&self) -> usize {
        self.reached
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        println!(
            "{:?}: {} requests tried, {} reached the app, {} leaks",
            self.proxy,
            self.tried,
            self.reached,
            self.leaks.len()
        );
        // A second panic in a failing test would abort the whole process and hide the first.
        if !std::thread::panicking() {
            assert!(self.leaks.is_empty(), "{:#?}", self.leaks);
        }
    }
}

/// What is wrong with a request that the app got, if anything is.
fn fault(request: &Recorded, caller: &Caller) -> Option<&'static str> {
    // Of the target the client is free to make what it likes.
    let told = Recorded {
        head: request.head.lines().skip(1).collect(),
        body: request.body.clone(),
    };
    if told.contains(FORGED) {
        return Some("has what the client forged");
    }
    if told.contains(&caller.credential) {
        return Some("has the credential");
    }
    // In the app's eyes, however it reads names.
    let mut told: Vec<(String, &str)> = request
        .headers()
        .map(|(name, value)| (as_variable(name), value))
        .filter(|(name, _)| {
            IDENTITY
                .iter()
                .any(|identity| as_variable(identity) == *name)
        })
        .collect();
    told.sort_unstable();
    let mut expected: Vec<(String, &str)> = IDENTITY
        .iter()
        .zip(&caller.identity)
        .map(|(name, value)| (as_variable(name), value.as_str()))
        .collect();
    expected.sort_unstable();
    (told != expected).then_some("does not have each identity header once, as Tokenhouse gave it")
}

/// A header's name as CGI and WSGI put it, for which several names are one.
fn as_variable(name: &str) -> String {
    let letter = |c: char| match c.is_ascii_alphanumeric() {
        true => c.to_ascii_uppercase(),
        false => '_',
    };
    name.chars().map(letter).collect()
}

#[test]
fn a_leak_is_seen() {
    let caller = Caller {
        credential: "the-credential".to_owned(),
        identity: ["1", "a@example.com", "A", "", "login"].map(str::to_owned),
    };
    let good = "GET / HTTP/1.1\r\nX-Auth-User-Id: 1\r\nX-Auth-Email: a@example.com\r\n\
        X-Auth-Name: A\r\nX-Auth-Scopes: \r\nX-Auth-Method: login\r\n\r\n";
    let fault_of = |head: &str| {
        let request = Recorded {
            head: head.to_owned(),
            body: Vec::new(),
        };
        fault(&request, &caller)
    };
    assert_eq!(fault_of(good), None);
    for (part, instead) in [
        ("X-Auth-Scopes: \r\n", ""),
        ("X-Auth-Scopes: \r\n", "X-Auth-Scopes: a\r\n"),
        ("\r\n\r\n", "\r\nx.auth_email: a@example.com\r\n\r\n"),
        ("\r\n\r\n", "\r\nCookie: the-credential\r\n\r\n"),
        ("\r\n\r\n", "\r\nCookie: forged-by-the-client\r\n\r\n"),
    ] {
        assert!(
            fault_of(&good.replace(part, instead)).is_some(),
            "{instead}"
        );
    }
}
