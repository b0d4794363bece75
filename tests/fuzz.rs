//! The fuzz targets on a stable compiler: seeds of `fuzz/seeds`, mutated without a look at the
//! coverage, the same in every run. With a nightly compiler, `cargo fuzz run form fuzz/corpus/form
//! fuzz/seeds/form` lets libFuzzer look for more.
//!
//! `TOKENHOUSE_FUZZ_INPUTS` says how many inputs for each target, 20,000 unless it is set;
//! `TOKENHOUSE_FUZZ_SEED` which.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "the helpers of a test fail the test"
)]

use std::fs;
use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, RngSeed, TestError, TestRunner};
use tokenhouse::fuzzing;

/// The most bytes of an input.
const LONGEST: usize = 4_096;

/// What has broken parsers before.
const TOKENS: [&[u8]; 40] = [
    b"\0",
    b"\n",
    b"\r\n",
    b"\t",
    b" ",
    b"\"",
    b"\\",
    b"%",
    b"%00",
    b"%2F",
    b"%zz",
    b"+",
    b"&",
    b"=",
    b";",
    b",",
    b":",
    b"@",
    b".",
    b"..",
    b"-",
    b"$",
    b"$2b$",
    b"{",
    b"}",
    b"[",
    b"]",
    b"null",
    b"\\ud800",
    b"1e999",
    b"18446744073709551616",
    b"Bearer ",
    b"Token: ",
    b"::ffff:",
    b"xn--",
    b"\xff",
    b"\xed\xa0\x80",
    "\u{e9}".as_bytes(),
    "\u{212a}".as_bytes(),
    "\u{202e}".as_bytes(),
];

/// A change to an input.
#[derive(Clone, Debug)]
enum Mutation {
    Flip(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    Repeat(Index, usize, usize),
    /// What follows is taken from another seed.
    Splice(Index, Index, Index),
}

impl Mutation {
    fn apply(&self, input: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        let place = |index: &Index, input: &[u8]| index.index(input.len() + 1);
        match self {
            Self::Flip(index, bits) => {
                let at = place(index, input);
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= bits;
                }
            }
            Self::Insert(index, bytes) => {
                let at = place(index, input);
                input.splice(at..at, bytes.iter().copied());
            }
            Self::Remove(index, count) => {
                let from = place(index, input);
                input.drain(from..input.len().min(from + count));
            }
            Self::Repeat(index, count, times) => {
                let from = place(index, input);
                let part = input[from..input.len().min(from + count)].repeat(*times);
                input.splice(from..from, part);
            }
            Self::Splice(index, seed, from) => {
                input.truncate(place(index, input));
                let seed = seed.get(seeds);
                input.extend_from_slice(&seed[place(from, seed)..]);
            }
        }
        input.truncate(LONGEST);
    }
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let index = any::<Index>;
    prop_oneof![
        3 => (index(), 1..=u8::MAX).prop_map(|(at, bits)| Mutation::Flip(at, bits)),
        3 => (index(), select(&TOKENS[..])).prop_map(|(at, token)| Mutation::Insert(at, token.to_vec())),
        1 => (index(), vec(any::<u8>(), 1..8)).prop_map(|(at, bytes)| Mutation::Insert(at, bytes)),
        2 => (index(), 1..16_usize).prop_map(|(at, count)| Mutation::Remove(at, count)),
        1 => (index(), 1..16_usize, 2..80_usize)
            .prop_map(|(at, count, times)| Mutation::Repeat(at, count, times)),
        1 => (index(), index(), index()).prop_map(|(at, seed, from)| Mutation::Splice(at, seed, from)),
    ]
}

/// A seed after some mutations, none of them at times; bytes without a plan at others.
fn input(seeds: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let mutated = (any::<Index>(), vec(mutation(), 0..6)).prop_map(move |(seed, mutations)| {
        let mut input = seed.get(&seeds).clone();
        for mutation in mutations {
            mutation.apply(&mut input, &seeds);
        }
        input
    });
    prop_oneof![15 => mutated, 1 => vec(any::<u8>(), 0..200)]
}

fn number(name: &str, usual: u32) -> u32 {
    std::env::var(name).map_or(usual, |number| number.parse().expect(name))
}

fn fuzz(name: &str, target: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/seeds")
        .join(name);
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    let seeds: Vec<Vec<u8>> = files.iter().map(|file| fs::read(file).unwrap()).collect();
    let seed = number("TOKENHOUSE_FUZZ_SEED", 1);
    let inputs = number("TOKENHOUSE_FUZZ_INPUTS", 20_000);
    let config = Config {
        cases: inputs,
        rng_seed: RngSeed::Fixed(seed.into()),
        failure_persistence: None,
        ..Config::default()
    };
    let run = |input: Vec<u8>| {
        target(&input);
        Ok(())
    };
    match TestRunner::new(config).run(&input(seeds), run) {
        Ok(()) => println!("{name}: {inputs} inputs, no panic"),
        Err(TestError::Fail(reason, input)) => {
            panic!(
                "{name}, TOKENHOUSE_FUZZ_SEED={seed}: {reason}\nfor b\"{}\"",
                input.escape_ascii()
            )
        }
        Err(TestError::Abort(reason)) => panic!("{reason}"),
    }
}

/// A test for each target, so that they run side by side.
macro_rules! tests {
    ($($name:ident),+ $(,)?) => {
        $(
            #[test]
            fn $name() {
                fuzz(stringify!($name), fuzzing::$name);
            }
        )+
    };
}

tests!(
    form, json, credential, target, forwarded, hash, api_key, email
);
