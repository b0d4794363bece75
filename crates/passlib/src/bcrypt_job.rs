//! The computation of bcrypt and its cost, apart from the text forms of input and output.

use std::fmt;

use zeroize::Zeroizing;

/// How much of a password bcrypt reads, in bytes.
pub const BCRYPT_MAX_BYTES: usize = 72;

/// Bytes of salt.
pub(crate) const SALT_BYTES: usize = 16;

/// Bytes of a digest in a hash; bcrypt's 24th byte is not encoded.
pub(crate) const DIGEST_BYTES: usize = 23;

/// How much work a hash takes: 2 to the power of the cost rounds of bcrypt. From 4 to 31.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cost(u32);

/// The number is not a bcrypt cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a bcrypt cost, 4 to 31")]
pub struct InvalidCost;

impl Cost {
    /// The lowest cost of bcrypt: about 1 ms per hash, where 12 is about 250 ms.
    pub const MIN: Self = Self(4);
    /// The highest cost of bcrypt: more than a day per hash.
    pub const MAX: Self = Self(31);

    /// The number of rounds of a bcrypt of this cost.
    pub const fn rounds(self) -> u32 {
        1 << self.0
    }
}

impl TryFrom<u32> for Cost {
    type Error = InvalidCost;

    fn try_from(number: u32) -> Result<Self, InvalidCost> {
        let cost = Self(number);
        if (Self::MIN..=Self::MAX).contains(&cost) {
            Ok(cost)
        } else {
            Err(InvalidCost)
        }
    }
}

impl From<Cost> for u32 {
    fn from(cost: Cost) -> Self {
        cost.0
    }
}

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
