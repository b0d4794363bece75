//! Work for its own sake, until a moment.

use std::time::{Duration, Instant};

use super::{Cost, prepare_dummy_verification};

/// Computes bcrypts until about `whole` after `begun`, where one of this `cost` takes `whole`. Each
/// next one is half as long, and is computed if there is time for it.
///
/// Sleeping would free the core for others, and that shows in their times.
pub(super) fn fill(begun: Instant, whole: Duration, cost: Cost) {
    let (mut cost, mut share) = (cost, whole);
    while let Some(cheaper) = cost.cheaper() {
        (cost, share) = (cheaper, share / 2);
        if begun.elapsed() + share <= whole {
            let (computation, _verification) = prepare_dummy_verification(cost);
            // Its digest goes nowhere, and must be computed all the same.
            std::hint::black_box(computation.run());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_filled_up_and_not_exceeded() {
        let cost = Cost::try_from(9).unwrap();
        let (computation, _verification) = prepare_dummy_verification(cost);
        let one = || {
            let begun = Instant::now();
            std::hint::black_box(computation.run());
            begun.elapsed()
        };
        let whole = (0..5).map(|_| one()).min().unwrap();
        let filled = |used: Duration| {
            let tries = (0..5).map(|_| {
                let begun = Instant::now();
                std::thread::sleep(used);
                fill(begun, whole, cost);
                begun.elapsed()
            });
            tries.min().unwrap()
        };
        for used in [Duration::ZERO, whole / 3, whole * 9 / 10] {
            let took = filled(used);
            assert!(
                took > whole * 8 / 10 && took < whole * 2,
                "{took:?} of {whole:?}"
            );
        }
        // Too late to hide anything.
        assert!(filled(whole * 2) < whole * 3);
    }
}
