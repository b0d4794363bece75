//! Published hashes, in every lane.

#![expect(clippy::unwrap_used)]

use base64::Engine;
use base64::alphabet::BCRYPT;
use base64::engine::{GeneralPurpose, general_purpose::NO_PAD};
use bcrypt_lanes::{Digest, Input, hash, hash_many};

const BASE64: GeneralPurpose = GeneralPurpose::new(&BCRYPT, NO_PAD);

/// From the tests of Openwall's `crypt_blowfish`.
const CRYPT_BLOWFISH: [(&[u8], &str); 7] = [
    (
        b"U*U",
        "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
    ),
    (
        b"U*U*",
        "$2a$05$CCCCCCCCCCCCCCCCCCCCC.VGOzA784oUp/Z0DY336zx7pLYAy0lwK",
    ),
    (
        b"U*U*U",
        "$2a$05$XXXXXXXXXXXXXXXXXXXXXOAcXxm9kjPGEMsLznoKqmqw7tc8WCx4a",
    ),
    (
        b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789chars after 72 are ignored",
        "$2a$05$abcdefghijklmnopqrstuu5s2v8.iXieOjg/.AySBTTZIIVFJeBui",
    ),
    (
        b"\xff\xff\xa3",
        "$2y$05$/OK.fbVrR/bpIqNJ5ianF.CE5elHaaO4EbggVDjb8P19RukzXSM3e",
    ),
    (
        b"\xa3",
        "$2y$05$/OK.fbVrR/bpIqNJ5ianF.Sa7shbm4.OzKpvFnX1pQLmQW96oUlCq",
    ),
    (
        b"",
        "$2a$05$CCCCCCCCCCCCCCCCCCCCC.7uG0VCzI2bS7j6ymqJi9CdcdxiRTWNy",
    ),
];

/// From the tests of jBCrypt.
const JBCRYPT: [(&[u8], &str); 3] = [
    (
        b"",
        "$2a$06$DCq7YPn5Rq63x1Lad4cll.TV4S6ytwfsfvkgY8jIucDrjc8deX1s.",
    ),
    (
        b"a",
        "$2a$06$m0CrhHm10qJ3lXRY.5zDGO3rS2KdeeWLuGmsfGlMfOxih58VYVfxe",
    ),
    (
        b"abcdefghijklmnopqrstuvwxyz",
        "$2a$08$aTsUwsyowQuzRrDqFflhgekJ8d9/7Z3GV3UcgvzQW3J5zMyrTvlz.",
    ),
];

fn cost(encoded: &str) -> u32 {
    encoded[4..6].parse().unwrap()
}

fn input<'a>(password: &'a [u8], encoded: &str) -> Input<'a> {
    let mut salt = [0; 16];
    BASE64.decode_slice(&encoded[7..29], &mut salt).unwrap();
    Input { password, salt }
}

/// The encoded digest at the end of a hash.
fn encode(digest: &Digest) -> String {
    BASE64.encode(&digest[..23])
}

fn assert_in_every_lane<const N: usize>(vectors: &[(&[u8], &str)]) {
    for (password, encoded) in vectors {
        let digests = hash(cost(encoded), [input(password, encoded); N]).unwrap();
        for (lane, digest) in digests.iter().enumerate() {
            assert_eq!(encode(digest), encoded[29..], "{encoded} in {lane} of {N}");
        }
    }
}

#[test]
fn published_hashes_match_in_every_lane() {
    for vectors in [&CRYPT_BLOWFISH[..], &JBCRYPT] {
        assert_in_every_lane::<1>(vectors);
        assert_in_every_lane::<2>(vectors);
        assert_in_every_lane::<3>(vectors);
        assert_in_every_lane::<4>(vectors);
    }
}

#[test]
fn published_hashes_match_in_one_call() {
    let inputs = CRYPT_BLOWFISH.map(|(password, encoded)| input(password, encoded));
    let mut digests = [[0; 24]; 7];
    hash_many(5, &inputs, &mut digests).unwrap();
    for ((_, encoded), digest) in CRYPT_BLOWFISH.iter().zip(&digests) {
        assert_eq!(encode(digest), encoded[29..], "{encoded}");
    }
}
