//! Compares hashing and verifying with recorded results of the Python libraries.
//!
//! - `vectors.json`: calls with the results of passlib 1.7.4 and bcrypt 4.0.1
//! - `public_pairs.json`: passwords and hashes that other bcrypt projects published
//! - `other_formats.json`: hashes that passlib, Django and argon2-cffi made (`scripts/hash-vectors.py`)

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "clippy knows the functions marked as tests, not those they call"
)]

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use passlib::{
    BCRYPT_MAX_BYTES, Cost, PasswordError, hash_password, needs_update, prepare_dummy_verification,
    verify_any_password, verify_password, verify_password_limited,
};
use serde::Deserialize;
use serde_json::{Map, Value};

/// Vectors that pass Python's `None` as a hash or password, which `&str` and `&[u8]` cannot express,
/// and vectors with a salt or variant chosen by the caller, which `hash_password` does not support.
const NOT_EXPRESSIBLE: [&str; 11] = [
    "nopassword/none-2b",
    "nopassword/none-2a",
    "nopassword/none-2",
    "order/none-empty-hash",
    "order/none-malformed",
    "needs_update/error/none",
    "identify/none",
    "hash/error/salt-23",
    "hash/error/salt-char",
    "hash/error/ident-2x",
    "hash/error/ident-2z",
];

#[derive(Deserialize)]
struct Vector {
    name: String,
    op: String,
    config: Map<String, Value>,
    password_b64: Option<String>,
    hash: Option<String>,
    expected: String,
}

#[derive(Deserialize)]
struct Pair {
    password_b64: String,
    hash: String,
}

impl Vector {
    fn password(&self) -> Vec<u8> {
        decode(self.password_b64.as_deref().expect("a password"))
    }

    fn hash(&self) -> &str {
        self.hash.as_deref().expect("a hash")
    }

    /// A cost of the configuration, by its name.
    fn cost(&self, name: &str) -> Option<u32> {
        let number = self.config.get(name)?.as_u64().expect("a number");
        Some(u32::try_from(number).unwrap())
    }

    /// Our result, written as passlib's.
    fn replay(&self) -> String {
        match self.op.as_str() {
            "verify" if self.hash.is_none() => {
                let pending = prepare_dummy_verification(Cost::MIN);
                python_result(pending.finish(&pending.job().run()))
            }
            "verify" => python_result(verify_password(&self.password(), self.hash())),
            "needs_update" => self.replay_needs_update(),
            // passlib's `identify` is our first check, so any other result means that it passed.
            "identify" => {
                let result = verify_password_limited(b"", self.hash(), Cost::MIN);
                (result != Err(PasswordError::UnknownHash)).to_string()
            }
            "hash" => self.replay_hash(),
            op => panic!("unknown op {op}"),
        }
    }

    fn replay_needs_update(&self) -> String {
        let bound = |name| -> Bound<Cost> {
            let number = self.cost("bcrypt__rounds").or_else(|| self.cost(name));
            number.map_or(Bound::Unbounded, |number| {
                Bound::Included(number.try_into().unwrap())
            })
        };
        let costs = (bound("bcrypt__min_rounds"), bound("bcrypt__max_rounds"));
        match needs_update(self.hash(), costs) {
            Err(PasswordError::MalformedHash) if self.expected == "error:IndexError" => {
                self.expected.clone()
            }
            result => python_result(result),
        }
    }

    /// `hash_password` takes no salt, so the hash is compared by verifying the password against
    /// passlib's hash, and against the same hash with the unused bits of the given salt still set.
    fn replay_hash(&self) -> String {
        let Ok(cost) = Cost::try_from(self.cost("rounds").expect("a cost")) else {
            return "error:ValueError".to_owned();
        };
        let password = self.password();
        if self.config.contains_key("truncate_error")
            && let Ok(text) = std::str::from_utf8(&password)
            && text.chars().count() <= 4096
            && text.len() > BCRYPT_MAX_BYTES
        {
            return "error:PasswordTruncateError".to_owned();
        }
        if let Err(error) = hash_password(&password, cost) {
            return python_result(Err(error));
        }
        let salt = self.config["salt"].as_str().expect("a salt");
        let (head, digest) = self.hash().split_at(self.hash().len() - 31);
        let with_unused_bits = format!("{}{salt}{digest}", &head[..head.len() - 22]);
        assert_eq!(
            verify_password(&password, &with_unused_bits),
            Ok(true),
            "{}",
            self.name
        );
        python_result(verify_password(&password, self.hash()))
    }
}

fn python_result(result: Result<bool, PasswordError>) -> String {
    match result {
        Ok(matches) => matches.to_string(),
        Err(PasswordError::UnknownHash) => "error:UnknownHashError".to_owned(),
        Err(PasswordError::MalformedHash) => "error:ValueError".to_owned(),
        Err(PasswordError::PasswordSize) => "error:PasswordSizeError".to_owned(),
        Err(PasswordError::PasswordNul) => "error:PasswordValueError".to_owned(),
        Err(PasswordError::NotUtf8) => "error:UnicodeEncodeError".to_owned(),
        Err(other) => panic!("passlib has no such error: {other}"),
    }
}

fn decode(base64: &str) -> Vec<u8> {
    STANDARD.decode(base64).expect("base64")
}

/// Calls `work` with each item, on all cores, and returns the results.
fn filter_map_parallel<T: Sync>(
    items: &[T],
    work: impl Fn(&T) -> Option<String> + Sync,
) -> Vec<String> {
    let next = AtomicUsize::new(0);
    let share = || {
        let mut results = Vec::new();
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
            results.extend(work(item));
        }
        results
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(share)).collect();
        running
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    })
}

#[test]
fn every_vector_has_passlibs_result() {
    let all: Vec<Vector> = serde_json::from_str(include_str!("data/vectors.json")).unwrap();
    assert_eq!(all.len(), 1_312);
    let (skipped, replayed): (Vec<_>, Vec<_>) = all
        .into_iter()
        .partition(|vector| NOT_EXPRESSIBLE.contains(&vector.name.as_str()));
    assert_eq!(skipped.len(), NOT_EXPRESSIBLE.len());

    let mut counts = BTreeMap::new();
    for vector in &replayed {
        *counts.entry(vector.op.as_str()).or_insert(0) += 1;
    }
    let expected = [
        ("hash", 64),
        ("identify", 20),
        ("needs_update", 78),
        ("verify", 1_139),
    ];
    assert_eq!(counts, BTreeMap::from(expected));

    let wrong = filter_map_parallel(&replayed, |vector| {
        let got = vector.replay();
        let message = || format!("{}: expected {}, got {got}", vector.name, vector.expected);
        (got != vector.expected).then(message)
    });
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// passlib refuses `$2x$` hashes and passwords with NUL. Two hashes were published to demonstrate the
/// countermeasure of `crypt_blowfish`, which is a different algorithm under the name `$2a$`.
#[test]
fn published_pairs_have_passlibs_result() {
    let pairs: Vec<Pair> = serde_json::from_str(include_str!("data/public_pairs.json")).unwrap();
    assert_eq!(pairs.len(), 88);
    let verify = |pair: &Pair| verify_password(&decode(&pair.password_b64), &pair.hash);
    let mut counts = BTreeMap::new();
    for result in filter_map_parallel(&pairs, |pair| Some(python_result(verify(pair)))) {
        *counts.entry(result).or_insert(0) += 1;
    }
    let expected = [
        ("error:PasswordValueError", 3),
        ("error:ValueError", 8),
        ("false", 2),
        ("true", 75),
    ];
    assert_eq!(
        counts,
        expected
            .map(|(result, count)| (result.to_owned(), count))
            .into()
    );
}

#[derive(Deserialize)]
struct OtherFormat {
    maker: String,
    password_b64: String,
    hash: String,
    matches: bool,
}

#[test]
fn hashes_in_other_formats_verify_as_in_the_libraries_that_made_them() {
    let vectors: Vec<OtherFormat> =
        serde_json::from_str(include_str!("data/other_formats.json")).unwrap();
    assert!(vectors.len() > 100, "{}", vectors.len());
    for vector in &vectors {
        let password = decode(&vector.password_b64);
        assert_eq!(
            verify_any_password(&password, &vector.hash, Cost::MAX),
            Ok(vector.matches),
            "{}: {} on {}",
            vector.maker,
            vector.password_b64,
            vector.hash
        );
        // To passlib's CryptContext(schemes=["bcrypt"]) all of them are unknown.
        assert_eq!(
            verify_password(&password, &vector.hash),
            Err(PasswordError::UnknownHash)
        );
    }
}
