//! Runs the fuzz targets on a stable compiler: mutates the seeds in `fuzz/seeds.txt` without coverage
//! feedback, with the same inputs in every run. With a nightly compiler, `fuzz/unpack-seeds.py` and
//! `cargo +nightly fuzz run form` run the same targets under libFuzzer.
//!
//! `TOKENHOUSE_FUZZ_INPUTS` sets the number of inputs per target (default 20,000),
//! `TOKENHOUSE_FUZZ_SEED` the seed of the random generator (default 1).

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

/// Longer inputs are truncated to this many bytes.
const MAX_INPUT_LENGTH: usize = 4_096;

/// Byte sequences that are known to break parsers.
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

/// An edit of an input.
#[derive(Clone, Debug)]
enum Mutation {
    Flip(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    Repeat(Index, usize, usize),
    /// Replaces the rest of the input with the rest of another seed.
    Splice(Index, Index, Index),
}

impl Mutation {
    fn apply(&self, input: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        let offset = |index: &Index, input: &[u8]| index.index(input.len() + 1);
        match self {
            Self::Flip(index, bits) => {
                let at = offset(index, input);
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= bits;
                }
            }
            Self::Insert(index, bytes) => {
                let at = offset(index, input);
                input.splice(at..at, bytes.iter().copied());
            }
            Self::Remove(index, count) => {
                let from = offset(index, input);
                input.drain(from..input.len().min(from + count));
            }
            Self::Repeat(index, count, times) => {
                let from = offset(index, input);
                let part = input[from..input.len().min(from + count)].repeat(*times);
                input.splice(from..from, part);
            }
            Self::Splice(index, seed, from) => {
                input.truncate(offset(index, input));
                let seed = seed.get(seeds);
                input.extend_from_slice(&seed[offset(from, seed)..]);
            }
        }
        input.truncate(MAX_INPUT_LENGTH);
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

/// A seed after zero to five mutations or, one time in sixteen, random bytes.
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

fn setting(name: &str, default: u32) -> u32 {
    std::env::var(name).map_or(default, |value| value.parse().expect(name))
}

/// Reads the section `[target]` of the seeds: one per line, as `name="value"` in libFuzzer's dictionary
/// syntax.
fn read_seeds(target: &str) -> Vec<Vec<u8>> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds.txt");
    let text = fs::read_to_string(&file).unwrap();
    let section = text
        .lines()
        .skip_while(|line| *line != format!("[{target}]"))
        .skip(1)
        .take_while(|line| !line.starts_with('['));
    let seeds: Vec<_> = section
        .filter(|line| !line.is_empty())
        .map(parse_seed)
        .collect();
    assert!(
        !seeds.is_empty(),
        "{} has no seeds for {target}",
        file.display()
    );
    seeds
}

fn parse_seed(line: &str) -> Vec<u8> {
    let quoted = line
        .split_once("=\"")
        .and_then(|(_name, rest)| rest.strip_suffix('"'));
    let mut rest = quoted
        .unwrap_or_else(|| panic!("not a seed: {line}"))
        .bytes();
    let mut seed = Vec::new();
    while let Some(byte) = rest.next() {
        seed.push(match byte {
            b'\\' => match rest.next().expect("a character after the backslash") {
                b'x' => {
                    let digits = [rest.next().unwrap(), rest.next().unwrap()];
                    u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
                }
                escaped => escaped,
            },
            other => other,
        });
    }
    seed
}

fn fuzz(name: &str, target: fn(&[u8])) {
    let seeds = read_seeds(name);
    let seed = setting("TOKENHOUSE_FUZZ_SEED", 1);
    let inputs = setting("TOKENHOUSE_FUZZ_INPUTS", 20_000);
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

/// One test per target, so that they run in parallel.
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

#[test]
fn seeds_are_unescaped() {
    let seed = parse_seed(r#"name="a\"b\\c\x0a\xffd""#);
    assert_eq!(seed, b"a\"b\\c\n\xffd");
}
