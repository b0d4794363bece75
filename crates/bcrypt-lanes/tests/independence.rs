//! Lanes do not influence each other, and what cannot be hashed is refused.

#![expect(clippy::unwrap_used)]

use bcrypt_lanes::{Digest, Error, Input, MAX_COST, MIN_COST, hash, hash_many};

const COST: u32 = 4;

const PASSWORDS: [&[u8]; 13] = [
    b"",
    b"a",
    b"correct horse",
    b"correct horsf",
    b"with a \0 inside",
    b"\xff\xfe\x80",
    &[b'x'; 71],
    &[b'x'; 72],
    &[b'y'; 73],
    &[0; 72],
    b"battery",
    b"staple",
    &[0xff; 255],
];

fn inputs() -> [Input<'static>; 13] {
    std::array::from_fn(|n| Input {
        password: PASSWORDS[n],
        salt: [n as u8; 16],
    })
}

fn alone(input: Input<'_>) -> Digest {
    let [digest] = hash(COST, [input]).unwrap();
    digest
}

/// Hashes `input` in each of `N` lanes, with `neighbour` in the others.
fn assert_unmoved_by<const N: usize>(input: Input<'_>, neighbour: Input<'_>) {
    let (of_input, of_neighbour) = (alone(input), alone(neighbour));
    for lane in 0..N {
        let mut inputs = [neighbour; N];
        inputs[lane] = input;
        let mut expected = [of_neighbour; N];
        expected[lane] = of_input;
        assert_eq!(hash(COST, inputs).unwrap(), expected, "{lane} of {N}");
    }
}

#[test]
fn neighbours_change_nothing() {
    let inputs = inputs();
    for (n, &input) in inputs.iter().enumerate() {
        let neighbour = inputs[(n + 1) % inputs.len()];
        assert_unmoved_by::<2>(input, neighbour);
        assert_unmoved_by::<3>(input, neighbour);
        assert_unmoved_by::<4>(input, neighbour);
    }
}

#[test]
fn any_number_is_hashed_in_order() {
    let inputs = inputs();
    let expected = inputs.map(alone);
    for count in 0..=inputs.len() {
        let mut digests = vec![[0xaa; 24]; count];
        hash_many(COST, &inputs[..count], &mut digests).unwrap();
        assert_eq!(digests, expected[..count], "{count} inputs");
    }
}

#[test]
fn different_inputs_have_different_digests() {
    let mut digests = inputs().map(alone);
    digests.sort_unstable();
    assert!(digests.windows(2).all(|pair| pair[0] != pair[1]));
}

#[test]
fn only_the_first_72_bytes_count() {
    let hash_of = |password| {
        alone(Input {
            password,
            salt: [7; 16],
        })
    };
    assert_eq!(hash_of(&[b'x'; 72]), hash_of(&[b'x'; 80]));
    assert_ne!(hash_of(&[b'x'; 71]), hash_of(&[b'x'; 72]));
}

#[test]
fn repetition_makes_one_key_of_some_passwords_with_a_nul() {
    let hash_of = |password| {
        alone(Input {
            password,
            salt: [7; 16],
        })
    };
    assert_eq!(hash_of(b"a"), hash_of(b"a\0a"));
    assert_eq!(hash_of(b""), hash_of(b"\0"));
    assert_ne!(hash_of(b"a"), hash_of(b"a\0b"));
}

#[test]
fn costs_that_bcrypt_does_not_know_are_refused() {
    let inputs = inputs();
    for cost in [0, MIN_COST - 1, MAX_COST + 1, 36, u32::MAX] {
        let mut digests = [[0xaa; 24]; 13];
        let outcome = hash_many(cost, &inputs, &mut digests);
        assert_eq!(outcome, Err(Error::CostNotAllowed(cost)));
        assert_eq!(digests, [[0xaa; 24]; 13], "written at cost {cost}");
        assert_eq!(hash(cost, inputs), Err(Error::CostNotAllowed(cost)));
    }
}

#[test]
fn the_highest_cost_is_allowed() {
    assert_eq!(hash_many(MAX_COST, &[], &mut []), Ok(()));
}

#[test]
fn digests_must_be_as_many_as_inputs() {
    let inputs = inputs();
    for room in [0, 1, 3] {
        let mut digests = vec![[0xaa; 24]; room];
        assert_eq!(
            hash_many(COST, &inputs[..2], &mut digests),
            Err(Error::LengthsDiffer {
                inputs: 2,
                digests: room
            })
        );
        assert!(digests.iter().all(|digest| *digest == [0xaa; 24]));
    }
}

#[test]
fn errors_say_what_is_wrong() {
    let messages = [
        Error::CostNotAllowed(32).to_string(),
        Error::LengthsDiffer {
            inputs: 2,
            digests: 3,
        }
        .to_string(),
    ];
    assert_eq!(
        messages,
        [
            "expected a cost of 4 to 31, not 32",
            "2 inputs, but 3 digests"
        ]
    );
}

#[test]
fn debug_output_keeps_the_password() {
    let input = Input {
        password: b"hunter2",
        salt: [1; 16],
    };
    assert_eq!(format!("{input:?}"), "Input { .. }");
}
