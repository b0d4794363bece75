//! Verifying the hashes of other programs, held to hashes that their own libraries made
//! (`scripts/hash-vectors.py`).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use tokenhouse::password::{Cost, PasswordError, verify_any_password, verify_password};

#[derive(Deserialize)]
struct Vector {
    maker: String,
    password_b64: String,
    hash: String,
    matches: bool,
}

#[test]
fn every_maker_is_agreed_with() {
    let vectors: Vec<Vector> =
        serde_json::from_str(include_str!("data/foreign_hashes.json")).unwrap();
    assert!(vectors.len() > 100, "{}", vectors.len());
    for vector in &vectors {
        let password = STANDARD.decode(&vector.password_b64).unwrap();
        assert_eq!(
            verify_any_password(&password, &vector.hash, Cost::MAX),
            Ok(vector.matches),
            "{}: {} on {}",
            vector.maker,
            vector.password_b64,
            vector.hash
        );
        // To passlib's CryptContext(schemes=["bcrypt"]) they are all unknown.
        assert_eq!(
            verify_password(&password, &vector.hash),
            Err(PasswordError::UnknownHash)
        );
    }
}
