//! Every lane gives what crate `bcrypt` gives, for random passwords, salts and costs.
//!
//! `BCRYPT_LANES_INPUTS` says how many. Unless it is set they are 100,000, or 1,000 where debug
//! assertions are on, because such builds are seldom optimised. Most of the time goes into the crate
//! to compare with.

#![expect(clippy::unwrap_used)]

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use base64::Engine;
use bcrypt_lanes::{Input, hash};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// A password and a salt.
type Pair = (Vec<u8>, [u8; 16]);

/// How many lanes the groups have, in turn. Four lanes are the quickest, and so the most.
const LANES: [u64; 8] = [1, 2, 3, 4, 4, 4, 4, 4];

fn wanted_inputs() -> u64 {
    match std::env::var("BCRYPT_LANES_INPUTS") {
        Ok(number) => number.parse().unwrap(),
        Err(_) if cfg!(debug_assertions) => 1_000,
        Err(_) => 100_000,
    }
}

fn random_pair(rng: &mut StdRng) -> Pair {
    let mut password = vec![0; rng.random_range(0..=80)];
    rng.fill(&mut password[..]);
    (password, rng.random())
}

/// Mostly the lowest cost: the next one takes twice as long.
fn random_cost(rng: &mut StdRng) -> u32 {
    if rng.random_ratio(1, 50) { 5 } else { 4 }
}

/// What crate `bcrypt` makes of the key that this crate says it uses.
fn expected(cost: u32, (password, salt): &Pair) -> [u8; 24] {
    let mut key = [password, &[0][..]].concat();
    key.truncate(72);
    bcrypt::bcrypt(cost, *salt, &key)
}

/// Hashes `N` inputs that depend on the number of the group alone.
fn compare_group<const N: usize>(group: u64) {
    let mut rng = StdRng::seed_from_u64(group);
    let cost = random_cost(&mut rng);
    let pairs: [Pair; N] = std::array::from_fn(|_| random_pair(&mut rng));
    let inputs = pairs.each_ref().map(|(password, salt)| Input {
        password,
        salt: *salt,
    });
    let digests = hash(cost, inputs).unwrap();
    for (lane, (pair, digest)) in pairs.iter().zip(digests).enumerate() {
        assert_eq!(
            digest,
            expected(cost, pair),
            "group {group}, lane {lane} of {N}, cost {cost}: {pair:x?}"
        );
    }
}

/// Compares one group after the other, until those of all threads have enough inputs.
fn compare_groups(next: &AtomicU64, compared: &AtomicU64) {
    while compared.load(Ordering::Relaxed) < wanted_inputs() {
        let group = next.fetch_add(1, Ordering::Relaxed);
        let lanes = LANES[(group % 8) as usize];
        match lanes {
            1 => compare_group::<1>(group),
            2 => compare_group::<2>(group),
            3 => compare_group::<3>(group),
            _ => compare_group::<4>(group),
        }
        compared.fetch_add(lanes, Ordering::Relaxed);
    }
}

#[test]
fn lanes_agree_with_crate_bcrypt() {
    let (next, compared) = (AtomicU64::new(0), AtomicU64::new(0));
    let threads = thread::available_parallelism().unwrap().get();
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| compare_groups(&next, &compared));
        }
    });
    println!("{compared:?} inputs compared");
}

#[test]
fn digests_are_those_that_crate_bcrypt_encodes() {
    let salt = [0x5a; 16];
    for length in [0, 1, 55, 56, 71, 72, 73, 200] {
        let password = &vec![b'p'; length][..];
        let [digest] = hash(4, [Input { password, salt }]).unwrap();
        let encoded = bcrypt::hash_with_salt(password, 4, salt)
            .unwrap()
            .to_string();
        let in_base64 = bcrypt::BASE_64.encode(&digest[..23]);
        assert_eq!(in_base64, encoded[29..], "{length} bytes");
    }
}
