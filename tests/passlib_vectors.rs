//! Hashing and verifying, held to vectors that were made with passlib 1.7.4 and bcrypt 4.0.1.
//!
//! `vectors.json` has questions with passlib's answers, `public_pairs.json` passwords and hashes
//! that other bcrypt projects published.

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
use serde::Deserialize;
use serde_json::{Map, Value};
use tokenhouse::password::{
    Cost, PasswordError, PasswordPolicy, PolicyViolation, hash_password, needs_update,
    prepare_dummy_verification, verify_password, verify_password_below,
};

const NO_POLICY: PasswordPolicy = PasswordPolicy {
    min_length: 0,
    refuse_common: false,
};

/// Vectors about Python's `None` in the place of a hash or password, which no `&str` or `&[u8]`
/// is, and about a salt or variant of the caller's choosing, which `hash_password` does not offer.
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

    /// A cost of the configuration, by its name there.
    fn cost(&self, name: &str) -> Option<u32> {
        let number = self.config.get(name)?.as_u64().expect("a number");
        Some(u32::try_from(number).unwrap())
    }

    /// Our answer, in passlib's words.
    fn play(&self) -> String {
        match self.op.as_str() {
            "verify" if self.hash.is_none() => {
                let (computation, verification) = prepare_dummy_verification(Cost::MIN);
                answer(verification.finish(&computation.run()))
            }
            "verify" => answer(verify_password(&self.password(), self.hash())),
            "needs_update" => self.play_needs_update(),
            // What passlib calls identifying is our first check; whatever comes after it will do.
            "identify" => {
                let answer = verify_password_below(b"", self.hash(), Cost::MIN);
                (answer != Err(PasswordError::UnknownHash)).to_string()
            }
            "hash" => self.play_hash(),
            op => panic!("unknown op {op}"),
        }
    }

    fn play_needs_update(&self) -> String {
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
            outcome => answer(outcome),
        }
    }

    /// A hash with the given salt is the same as passlib's if the password verifies against
    /// passlib's; also with the salt as it was given, its spare bits still set.
    fn play_hash(&self) -> String {
        let Ok(cost) = Cost::try_from(self.cost("rounds").expect("a cost")) else {
            return "error:ValueError".to_owned();
        };
        let password = self.password();
        if self.config.contains_key("truncate_error")
            && let Ok(text) = std::str::from_utf8(&password)
            && text.chars().count() <= 4096
            && NO_POLICY.check_shape(text) == Err(PolicyViolation::TooLong)
        {
            return "error:PasswordTruncateError".to_owned();
        }
        if let Err(error) = hash_password(&password, cost) {
            return answer(Err(error));
        }
        let salt = self.config["salt"].as_str().expect("a salt");
        let (head, digest) = self.hash().split_at(self.hash().len() - 31);
        let unrepaired = format!("{}{salt}{digest}", &head[..head.len() - 22]);
        assert_eq!(
            verify_password(&password, &unrepaired),
            Ok(true),
            "{}",
            self.name
        );
        answer(verify_password(&password, self.hash()))
    }
}

fn answer(outcome: Result<bool, PasswordError>) -> String {
    match outcome {
        Ok(matches) => matches.to_string(),
        Err(PasswordError::UnknownHash) => "error:UnknownHashError".to_owned(),
        Err(PasswordError::MalformedHash) => "error:ValueError".to_owned(),
        Err(PasswordError::PasswordSize) => "error:PasswordSizeError".to_owned(),
        Err(PasswordError::PasswordNul) => "error:PasswordValueError".to_owned(),
        Err(PasswordError::NotUtf8) => "error:UnicodeEncodeError".to_owned(),
        Err(other) => panic!("not an error of passlib's: {other}"),
    }
}

fn decode(base64: &str) -> Vec<u8> {
    STANDARD.decode(base64).expect("base64")
}

/// Does `work` on each item, on all cores, and returns the complaints.
fn on_all_cores<T: Sync>(items: &[T], work: impl Fn(&T) -> Option<String> + Sync) -> Vec<String> {
    let next = AtomicUsize::new(0);
    let share = || {
        let mut complaints = Vec::new();
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
            complaints.extend(work(item));
        }
        complaints
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
fn every_vector_has_passlibs_answer() {
    let all: Vec<Vector> = serde_json::from_str(include_str!("data/passlib/vectors.json")).unwrap();
    assert_eq!(all.len(), 1_312);
    let (left_out, played): (Vec<_>, Vec<_>) = all
        .into_iter()
        .partition(|vector| NOT_EXPRESSIBLE.contains(&vector.name.as_str()));
    assert_eq!(left_out.len(), NOT_EXPRESSIBLE.len());

    let mut counts = BTreeMap::new();
    for vector in &played {
        *counts.entry(vector.op.as_str()).or_insert(0) += 1;
    }
    let expected = [
        ("hash", 64),
        ("identify", 20),
        ("needs_update", 78),
        ("verify", 1_139),
    ];
    assert_eq!(counts, BTreeMap::from(expected));

    let wrong = on_all_cores(&played, |vector| {
        let got = vector.play();
        let complaint = || format!("{}: expected {}, got {got}", vector.name, vector.expected);
        (got != vector.expected).then(complaint)
    });
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// passlib takes none of the `$2x$` hashes, nor a password with NUL; and two hashes were published
/// for showing the countermeasure of `crypt_blowfish`, an algorithm of its own under `$2a$`.
#[test]
fn pairs_published_elsewhere_match_as_far_as_passlib_has_them_match() {
    let pairs: Vec<Pair> =
        serde_json::from_str(include_str!("data/passlib/public_pairs.json")).unwrap();
    assert_eq!(pairs.len(), 88);
    let outcome = |pair: &Pair| verify_password(&decode(&pair.password_b64), &pair.hash);
    let mut counts = BTreeMap::new();
    for answer in on_all_cores(&pairs, |pair| Some(answer(outcome(pair)))) {
        *counts.entry(answer).or_insert(0) += 1;
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
            .map(|(answer, count)| (answer.to_owned(), count))
            .into()
    );
}
