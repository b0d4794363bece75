//! Every lane has the result of crate `bcrypt`, for random passwords, salts and costs.
//!
//! `BCRYPT_LANES_INPUTS` is the number of inputs: 100,000 by default, and 1,000 with debug assertions,
//! because such builds are seldom optimised. Crate `bcrypt` takes most of the time.

#![expect(clippy::unwrap_used)]

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use base64::Engine;
use bcrypt_lanes::{Input, hash};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// A password and a salt.
type Pair = (Vec<u8>, [u8; 16]);

/// The numbers of lanes of successive groups. Four lanes are the fastest, so they are most frequent.
const LANES: [u64; 8] = [1, 2, 3, 4, 4, 4, 4, 4];

fn number_of_inputs() -> u64 {
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

/// Mostly the lowest cost, because the next one takes twice the time.
fn random_cost(rng: &mut StdRng) -> u32 {
    if rng.random_ratio(1, 50) { 5 } else { 4 }
}

/// The result of crate `bcrypt` for the key that this crate documents.
fn expected(cost: u32, (password, salt): &Pair) -> [u8; 24] {
    let mut key = [password, &[0][..]].concat();
    key.truncate(72);
    bcrypt::bcrypt(cost, *salt, &key)
}

/// Hashes `N` inputs that depend only on the number of the group.
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

/// Compares groups until all threads together have compared enough inputs.
fn compare_groups(next: &AtomicU64, compared: &AtomicU64) {
    while compared.load(Ordering::Relaxed) < number_of_inputs() {
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
fn digests_encode_to_the_hashes_of_crate_bcrypt() {
    let salt = [0x5a; 16];
    for length in [0, 1, 55, 56, 71, 72, 73, 200] {
        let password = &vec![b'p'; length][..];
        let [digest] = hash(4, [Input { password, salt }]).unwrap();
        let encoded = bcrypt::hash_with_salt(password, 4, salt)
            .unwrap()
            .to_string();
        let encoded_digest = bcrypt::BASE_64.encode(&digest[..23]);
        assert_eq!(encoded_digest, encoded[29..], "{length} bytes");
    }
}
