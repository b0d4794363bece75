//! Lanes are independent of each other, and invalid arguments are refused.

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
fn assert_independent_of<const N: usize>(input: Input<'_>, neighbour: Input<'_>) {
    let (digest, neighbours_digest) = (alone(input), alone(neighbour));
    for lane in 0..N {
        let mut inputs = [neighbour; N];
        inputs[lane] = input;
        let mut expected = [neighbours_digest; N];
        expected[lane] = digest;
        assert_eq!(hash(COST, inputs).unwrap(), expected, "{lane} of {N}");
    }
}

#[test]
fn digest_does_not_depend_on_neighbours() {
    let inputs = inputs();
    for (n, &input) in inputs.iter().enumerate() {
        let neighbour = inputs[(n + 1) % inputs.len()];
        assert_independent_of::<2>(input, neighbour);
        assert_independent_of::<3>(input, neighbour);
        assert_independent_of::<4>(input, neighbour);
    }
}

#[test]
fn any_number_of_inputs_is_hashed_in_order() {
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
fn bytes_after_the_72nd_are_ignored() {
    let digest = |password| {
        alone(Input {
            password,
            salt: [7; 16],
        })
    };
    assert_eq!(digest(&[b'x'; 72]), digest(&[b'x'; 80]));
    assert_ne!(digest(&[b'x'; 71]), digest(&[b'x'; 72]));
}

#[test]
fn passwords_with_a_nul_can_have_equal_keys() {
    let digest = |password| {
        alone(Input {
            password,
            salt: [7; 16],
        })
    };
    assert_eq!(digest(b"a"), digest(b"a\0a"));
    assert_eq!(digest(b""), digest(b"\0"));
    assert_ne!(digest(b"a"), digest(b"a\0b"));
}

#[test]
fn invalid_costs_are_refused() {
    let inputs = inputs();
    for cost in [0, MIN_COST - 1, MAX_COST + 1, 36, u32::MAX] {
        let mut digests = [[0xaa; 24]; 13];
        let result = hash_many(cost, &inputs, &mut digests);
        assert_eq!(result, Err(Error::CostNotAllowed(cost)));
        assert_eq!(digests, [[0xaa; 24]; 13], "written at cost {cost}");
        assert_eq!(hash(cost, inputs), Err(Error::CostNotAllowed(cost)));
    }
}

#[test]
fn highest_cost_is_accepted() {
    assert_eq!(hash_many(MAX_COST, &[], &mut []), Ok(()));
}

#[test]
fn different_numbers_of_inputs_and_digests_are_refused() {
    let inputs = inputs();
    for count in [0, 1, 3] {
        let mut digests = vec![[0xaa; 24]; count];
        assert_eq!(
            hash_many(COST, &inputs[..2], &mut digests),
            Err(Error::LengthsDiffer {
                inputs: 2,
                digests: count
            })
        );
        assert!(digests.iter().all(|digest| *digest == [0xaa; 24]));
    }
}

#[test]
fn errors_have_messages() {
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
fn debug_output_hides_the_password() {
    let input = Input {
        password: b"hunter2",
        salt: [1; 16],
    };
    assert_eq!(format!("{input:?}"), "Input { .. }");
}
