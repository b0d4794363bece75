//! The throughput of one core with several lanes, compared with crate `bcrypt`, at cost 10.
//!
//! Each round times every candidate once, so that a change of the machine's speed affects all of them.
//! The throughput is that of the medians.

use std::hint::black_box;
use std::time::{Duration, Instant};

use bcrypt_lanes::{Input, hash};

const COST: u32 = 10;
const ROUNDS: usize = 21;

const INPUTS: [Input<'static>; 4] = [
    Input {
        password: b"correct horse",
        salt: [0x5a; 16],
    },
    Input {
        password: b"battery staple",
        salt: [0xc3; 16],
    },
    Input {
        password: b"a longer sentence that is easy to remember",
        salt: [0x96; 16],
    },
    Input {
        password: b"",
        salt: [0x0f; 16],
    },
];

/// A candidate.
struct Contender {
    name: &'static str,
    passwords: u32,
    run: fn(),
    times: Vec<Duration>,
}

impl Contender {
    fn new(name: &'static str, passwords: u32, run: fn()) -> Self {
        let times = Vec::with_capacity(ROUNDS);
        Self {
            name,
            passwords,
            run,
            times,
        }
    }

    fn time_once(&mut self) {
        let start = Instant::now();
        (self.run)();
        self.times.push(start.elapsed());
    }

    /// The fastest call and the median, in milliseconds.
    fn fastest_and_median(&mut self) -> (f64, f64) {
        self.times.sort_unstable();
        let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
        (
            milliseconds(self.times[0]),
            milliseconds(self.times[self.times.len() / 2]),
        )
    }
}

fn crate_bcrypt() {
    let Input { salt, .. } = INPUTS[0];
    black_box(bcrypt::bcrypt(
        black_box(COST),
        black_box(salt),
        black_box(b"correct horse\0"),
    ));
}

fn lanes<const N: usize>() {
    let inputs: [Input<'_>; N] = std::array::from_fn(|n| INPUTS[n]);
    let digests = hash(black_box(COST), black_box(inputs));
    assert!(black_box(digests).is_ok());
}

fn main() {
    let mut contenders = [
        Contender::new("crate bcrypt", 1, crate_bcrypt),
        Contender::new("1 lane", 1, lanes::<1>),
        Contender::new("2 lanes", 2, lanes::<2>),
        Contender::new("3 lanes", 3, lanes::<3>),
        Contender::new("4 lanes", 4, lanes::<4>),
    ];
    for _ in 0..ROUNDS {
        contenders.iter_mut().for_each(Contender::time_once);
    }

    println!("cost {COST}, {ROUNDS} rounds, ms per call");
    println!(
        "{:<13} {:>8} {:>8} {:>13} {:>11}",
        "", "fastest", "median", "per password", "throughput"
    );
    let (_, of_crate) = contenders[0].fastest_and_median();
    for contender in &mut contenders {
        let (fastest, median) = contender.fastest_and_median();
        let per_password = median / f64::from(contender.passwords);
        println!(
            "{:<13} {fastest:>8.2} {median:>8.2} {per_password:>13.2} {:>10.2}x",
            contender.name,
            of_crate / per_password
        );
    }
}
