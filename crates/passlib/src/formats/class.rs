//! How expensive a hash is to verify, by its parameters.

use std::mem::discriminant;

use argon2::{Algorithm, Argon2, Params, Version};

use super::{Format, argon2id, pbkdf2_sha256};
use crate::encoded::Ident;
use crate::{BcryptJob, Cost, PasswordError};

/// Hashes that take equally long to verify: those of one algorithm with the same parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HashClass {
    /// bcrypt, of the password or of a SHA-256 of it.
    Bcrypt(Cost),
    /// PBKDF2 with HMAC-SHA-256.
    Pbkdf2 {
        /// The iterations.
        rounds: u32,
    },
    /// argon2id.
    Argon2id {
        /// The memory in KiB.
        memory: u32,
        /// The passes over the memory.
        passes: u32,
    },
}

/// An estimate.
const PBKDF2_ROUNDS_PER_BCRYPT_ROUND: u64 = 100;

/// An estimate.
const ARGON2ID_KIB_PER_BCRYPT_ROUND: u64 = 30;

impl HashClass {
    /// The prefixes of all hashes that have a class.
    pub const PREFIXES: [&'static str; 8] = [
        "$2",
        "$argon2id$",
        "$bcrypt-sha256$",
        "$pbkdf2-sha256$",
        "argon2$",
        "bcrypt$",
        "bcrypt_sha256$",
        "pbkdf2_sha256$",
    ];

    /// The class of a hash, and the length in bytes of the prefix that determines it: up to the dollar
    /// sign after the parameters. The rest is not parsed, so a truncated hash is enough. `None` if the
    /// format is unknown.
    pub fn parse_prefix(hash: &str) -> Option<(Self, usize)> {
        let (class, rest) = match Format::split(hash) {
            None => bcrypt(hash)?,
            Some((Format::DjangoBcrypt | Format::DjangoBcryptSha256, rest)) => bcrypt(rest)?,
            Some((Format::PasslibBcryptSha256, rest)) => {
                let (parameters, rest) = rest.split_once('$')?;
                let cost = parameters.rsplit([',', '=']).next()?;
                (Self::Bcrypt(parse_cost(cost)?), rest)
            }
            Some((Format::PasslibPbkdf2 | Format::DjangoPbkdf2, rest)) => {
                let (rounds, rest) = rest.split_once('$')?;
                let rounds = rounds.parse().ok()?;
                (Self::Pbkdf2 { rounds }, rest)
            }
            Some((Format::DjangoArgon2, rest)) => argon2id(rest.strip_prefix("argon2id$")?)?,
            Some((Format::Argon2id, rest)) => argon2id(rest)?,
        };
        Some((class, hash.len() - rest.len()))
    }

    /// Whether such hashes are verified. More expensive ones are refused without hashing.
    pub fn is_allowed(self, max_cost: Cost) -> bool {
        match self {
            Self::Bcrypt(cost) => cost <= max_cost,
            Self::Pbkdf2 { rounds } => rounds <= pbkdf2_sha256::MAX_ROUNDS,
            Self::Argon2id { memory, passes } => {
                memory <= argon2id::MAX_MEMORY_KIB && passes <= argon2id::MAX_PASSES
            }
        }
    }

    /// The number of rounds of bcrypt that take as long: exact for bcrypt, an estimate for the others.
    pub fn estimated_rounds(self) -> u32 {
        let rounds = match self {
            Self::Bcrypt(cost) => cost.rounds().into(),
            Self::Pbkdf2 { rounds } => u64::from(rounds) / PBKDF2_ROUNDS_PER_BCRYPT_ROUND,
            Self::Argon2id { memory, passes } => {
                u64::from(memory) * u64::from(passes) / ARGON2ID_KIB_PER_BCRYPT_ROUND
            }
        };
        u32::try_from(rounds).unwrap_or(u32::MAX)
    }

    /// The most expensive class of each algorithm, by [`Self::estimated_rounds`].
    pub fn most_expensive_per_algorithm(classes: impl IntoIterator<Item = Self>) -> Vec<Self> {
        let mut found: Vec<Self> = Vec::new();
        for class in classes {
            let same_algorithm = |other: &&mut Self| discriminant(*other) == discriminant(&class);
            match found.iter_mut().find(same_algorithm) {
                Some(other) if other.estimated_rounds() >= class.estimated_rounds() => {}
                Some(other) => *other = class,
                None => found.push(class),
            }
        }
        found
    }

    /// Computes a hash of this class and discards it, to measure its run time.
    ///
    /// # Errors
    /// [`PasswordError::MalformedHash`] for parameters that the algorithm does not accept.
    pub fn compute_and_discard(self) -> Result<(), PasswordError> {
        match self {
            Self::Bcrypt(cost) => _ = BcryptJob::new(cost, b"", Default::default()).run(),
            Self::Pbkdf2 { rounds } => pbkdf2_sha256::compute_and_discard(rounds),
            Self::Argon2id { memory, passes } => {
                let params = Params::new(memory, passes, 1, None);
                let params = params.map_err(|_error| PasswordError::MalformedHash)?;
                let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
                argon2
                    .hash_password_into(b"", &[0; 16], &mut [0; 32])
                    .map_err(|_error| PasswordError::MalformedHash)?;
            }
        }
        Ok(())
    }
}

/// The class of a plain bcrypt hash, and the text after its parameters.
fn bcrypt(hash: &str) -> Option<(HashClass, &str)> {
    let (_ident, rest) = Ident::split(hash).ok()?;
    let (cost, rest) = rest.split_once('$')?;
    Some((HashClass::Bcrypt(parse_cost(cost)?), rest))
}

fn parse_cost(text: &str) -> Option<Cost> {
    text.parse::<u32>().ok()?.try_into().ok()
}

/// The class of an argon2id hash, given the text after the algorithm's name, and the text after its
/// parameters.
fn argon2id(fields: &str) -> Option<(HashClass, &str)> {
    let fields = match fields.strip_prefix("v=") {
        Some(version) => version.split_once('$')?.1,
        None => fields,
    };
    let (parameters, rest) = fields.split_once('$')?;
    let number = |name: &str| {
        let mut parameters = parameters.split(',');
        parameters.find_map(|parameter| parameter.strip_prefix(name)?.parse().ok())
    };
    let class = HashClass::Argon2id {
        memory: number("m=")?,
        passes: number("t=")?,
    };
    Some((class, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(number: u32) -> HashClass {
        HashClass::Bcrypt(number.try_into().unwrap())
    }

    const ARGON2ID: HashClass = HashClass::Argon2id {
        memory: 65_536,
        passes: 3,
    };

    #[test]
    fn class_depends_on_the_parameters_and_not_on_the_rest() {
        let pbkdf2 = HashClass::Pbkdf2 { rounds: 600_000 };
        for (prefix, class) in [
            ("$2b$12$", cost(12)),
            ("$2$04$", cost(4)),
            ("bcrypt$$2b$13$", cost(13)),
            ("bcrypt_sha256$$2b$13$", cost(13)),
            ("$bcrypt-sha256$v=2,t=2b,r=9$", cost(9)),
            ("$bcrypt-sha256$2a,14$", cost(14)),
            ("$pbkdf2-sha256$600000$", pbkdf2),
            ("pbkdf2_sha256$600000$", pbkdf2),
            ("$argon2id$v=19$m=65536,t=3,p=4$", ARGON2ID),
            ("$argon2id$m=65536,t=3,p=4$", ARGON2ID),
            ("argon2$argon2id$v=19$m=65536,t=3,p=8$", ARGON2ID),
        ] {
            for rest in ["", "salt$digest"] {
                let found = HashClass::parse_prefix(&format!("{prefix}{rest}"));
                assert_eq!(found, Some((class, prefix.len())), "{prefix}{rest}");
            }
            let mut known = HashClass::PREFIXES.into_iter();
            assert!(known.any(|known| prefix.starts_with(known)));
        }
        for unknown in [
            "",
            "!",
            "$2b$1",
            "$2b$99$",
            "$argon2i$v=19$m=8,t=1,p=1$",
            "sha1$a$b",
        ] {
            assert_eq!(HashClass::parse_prefix(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn classes_above_the_limits_are_not_allowed() {
        let max = 12.try_into().unwrap();
        assert!(cost(12).is_allowed(max) && ARGON2ID.is_allowed(max));
        assert!(!cost(13).is_allowed(max));
        assert!(!HashClass::Pbkdf2 { rounds: 4_000_001 }.is_allowed(max));
        for (memory, passes) in [(262_145, 1), (8, 11)] {
            assert!(!HashClass::Argon2id { memory, passes }.is_allowed(max));
        }
    }

    #[test]
    fn most_expensive_class_of_each_algorithm_is_found() {
        let pbkdf2 = |rounds| HashClass::Pbkdf2 { rounds };
        let classes = [
            cost(4),
            pbkdf2(7_000),
            cost(12),
            ARGON2ID,
            pbkdf2(6_000),
            cost(11),
        ];
        let found = HashClass::most_expensive_per_algorithm(classes);
        assert_eq!(found, [cost(12), pbkdf2(7_000), ARGON2ID]);
    }

    #[test]
    fn every_class_can_be_computed() {
        for class in [
            cost(4),
            HashClass::Pbkdf2 { rounds: 1 },
            HashClass::Argon2id {
                memory: 64,
                passes: 1,
            },
        ] {
            assert_eq!(class.compute_and_discard(), Ok(()));
        }
        let too_little = HashClass::Argon2id {
            memory: 0,
            passes: 0,
        };
        assert!(too_little.compute_and_discard().is_err());
        assert_eq!(cost(12).estimated_rounds(), 4_096);
    }
}
