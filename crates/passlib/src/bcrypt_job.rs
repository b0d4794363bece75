//! The computation of bcrypt, apart from the text forms of its input and output.

use std::fmt;

use zeroize::Zeroizing;

use crate::Cost;

/// How much of a password bcrypt reads, in bytes.
pub const BCRYPT_MAX_BYTES: usize = 72;

/// Bytes of salt.
pub(crate) const SALT_BYTES: usize = 16;

/// Bytes of a digest in a hash; bcrypt's 24th byte is not encoded.
pub(crate) const DIGEST_BYTES: usize = 23;

/// One bcrypt to compute: the part of hashing and verifying that takes long.
pub struct BcryptJob {
    cost: Cost,
    password: Zeroizing<Vec<u8>>,
    salt: [u8; SALT_BYTES],
}

/// The result of a [`BcryptJob`].
#[derive(Clone, Copy)]
pub struct Digest([u8; DIGEST_BYTES]);

impl BcryptJob {
    pub(crate) fn new(cost: Cost, password: &[u8], salt: [u8; SALT_BYTES]) -> Self {
        let significant = &password[..password.len().min(BCRYPT_MAX_BYTES)];
        Self {
            cost,
            password: Zeroizing::new(significant.to_vec()),
            salt,
        }
    }

    /// The cost. It alone determines how long the job takes.
    pub fn cost(&self) -> Cost {
        self.cost
    }

    /// The first [`BCRYPT_MAX_BYTES`] bytes of the password, without the NUL that bcrypt appends to a
    /// shorter one.
    pub fn password(&self) -> &[u8] {
        &self.password
    }

    /// The decoded salt.
    pub fn salt(&self) -> [u8; 16] {
        self.salt
    }

    /// Computes the digest on this thread, with crate [`bcrypt`].
    pub fn run(&self) -> Digest {
        let mut key = Zeroizing::new(Vec::with_capacity(BCRYPT_MAX_BYTES));
        key.extend_from_slice(&self.password);
        if key.len() < BCRYPT_MAX_BYTES {
            key.push(0);
        }
        bcrypt::bcrypt(self.cost.into(), self.salt, &key).into()
    }
}

impl fmt::Debug for BcryptJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cost = u32::from(self.cost);
        f.debug_struct("BcryptJob")
            .field("cost", &cost)
            .finish_non_exhaustive()
    }
}

impl Digest {
    /// The bytes that are encoded in a hash.
    pub fn bytes(&self) -> &[u8; 23] {
        &self.0
    }
}

/// From the 24 bytes that bcrypt computes.
impl From<[u8; 24]> for Digest {
    fn from(computed: [u8; 24]) -> Self {
        let mut encoded = [0; DIGEST_BYTES];
        encoded.copy_from_slice(&computed[..DIGEST_BYTES]);
        Self(encoded)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(..)")
    }
}
