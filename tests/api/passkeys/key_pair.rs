//! Key pairs of authenticators, one per algorithm, and how `WebAuthn` writes them (section 6.5.1.1).

use std::process::Command;

use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};

/// A key pair for an algorithm of the registry for COSE.
pub enum KeyPair {
    /// -7
    Es256(EcdsaKeyPair),
    /// -35
    Es384(EcdsaKeyPair),
    /// -257
    Rs256(Box<RsaKeyPair>),
    /// -8
    EdDsa(Ed25519KeyPair),
}

impl KeyPair {
    pub fn es256() -> Self {
        Self::Es256(ecdsa(&ECDSA_P256_SHA256_ASN1_SIGNING))
    }

    pub fn es384() -> Self {
        Self::Es384(ecdsa(&ECDSA_P384_SHA384_ASN1_SIGNING))
    }

    pub fn rs256() -> Self {
        let made = Command::new("openssl")
            .args(["genpkey", "-algorithm", "RSA", "-outform", "DER"])
            .args(["-pkeyopt", "rsa_keygen_bits:2048"])
            .output();
        let made = made.expect("openssl runs");
        assert!(made.status.success(), "{made:?}");
        Self::Rs256(Box::new(RsaKeyPair::from_der(&made.stdout).unwrap()))
    }

    pub fn ed25519() -> Self {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self::EdDsa(Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap())
    }

    /// The public key in CBOR (RFC 9053 section 7, RFC 8230 section 4).
    pub fn cose_key(&self) -> Vec<u8> {
        match self {
            Self::Es256(pair) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                let head = b"\xa5\x01\x02\x03\x26\x20\x01\x21\x58\x20".as_slice();
                [head, x, b"\x22\x58\x20", y].concat()
            }
            Self::Es384(pair) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(48);
                let head = b"\xa5\x01\x02\x03\x38\x22\x20\x02\x21\x58\x30".as_slice();
                [head, x, b"\x22\x58\x30", y].concat()
            }
            Self::Rs256(pair) => {
                let PublicKeyComponents { n, e } =
                    PublicKeyComponents::<Vec<u8>>::from(pair.public());
                let head = b"\xa4\x01\x03\x03\x39\x01\x00\x20\x59\x01\x00".as_slice();
                [head, &n, b"\x21\x43", &e].concat()
            }
            Self::EdDsa(pair) => {
                let head = b"\xa4\x01\x01\x03\x27\x20\x06\x21\x58\x20".as_slice();
                [head, pair.public_key().as_ref()].concat()
            }
        }
    }

    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Es256(pair) | Self::Es384(pair) => {
                pair.sign(&random, message).unwrap().as_ref().to_vec()
            }
            Self::Rs256(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .unwrap();
                signature
            }
            Self::EdDsa(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }
}

fn ecdsa(algorithm: &'static EcdsaSigningAlgorithm) -> EcdsaKeyPair {
    let random = SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
    EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).unwrap()
}
