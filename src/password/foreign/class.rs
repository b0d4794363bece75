//! What a stored hash costs to verify, as its parameters say.

use std::mem::discriminant;

use argon2::{Algorithm, Argon2, Params, Version};

use super::{Maker, argon2id, pbkdf2_sha256};
use crate::password::computation::Computation;
use crate::password::encoded::Ident;
use crate::password::{Cost, PasswordError};

/// The hashes that take equally long to verify: those of one algorithm with the same parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HashClass {
    /// bcrypt, alone or over a SHA-256.
    Bcrypt(Cost),
    /// PBKDF2 with HMAC-SHA-256.
    Pbkdf2 {
        /// Its iterations.
        rounds: u32,
    },
    /// argon2id.
    Argon2id {
        /// KiB of memory.
        memory: u32,
        /// Passes over the memory.
        passes: u32,
    },
}

/// Iterations of PBKDF2 that take about as long as one round of bcrypt, for as long as nothing was
/// measured.
const PBKDF2_ROUNDS_A_ROUND: u64 = 100;

/// KiB that argon2id passes over in about the time of one round of bcrypt, likewise.
const ARGON2ID_KIB_A_ROUND: u64 = 30;

impl HashClass {
    /// The beginnings of all hashes that have a class.
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

    /// The class of a hash, and how many bytes of the hash tell it: its parameters and the dollar sign
    /// after them. What follows is not looked at, so the beginning of a hash is enough. `None` for what
    /// is no hash that is known here.
    pub fn of(hash: &str) -> Option<(Self, usize)> {
        let (class, rest) = match Maker::split(hash) {
            None => bcrypt(hash)?,
            Some((Maker::DjangoBcrypt | Maker::DjangoBcryptSha256, rest)) => bcrypt(rest)?,
            Some((Maker::PasslibBcryptSha256, rest)) => {
                let (parameters, rest) = rest.split_once('$')?;
                let cost = parameters.rsplit([',', '=']).next()?;
                (Self::Bcrypt(read_cost(cost)?), rest)
            }
            Some((Maker::PasslibPbkdf2 | Maker::DjangoPbkdf2, rest)) => {
                let (rounds, rest) = rest.split_once('$')?;
                let rounds = rounds.parse().ok()?;
                (Self::Pbkdf2 { rounds }, rest)
            }
            Some((Maker::DjangoArgon2, rest)) => argon2id(rest.strip_prefix("argon2id$")?)?,
            Some((Maker::Argon2id, rest)) => argon2id(rest)?,
        };
        Some((class, hash.len() - rest.len()))
    }

    /// Whether such a hash is verified at all: dearer ones are refused without hashing.
    pub fn is_within(self, max_cost: Cost) -> bool {
        match self {
            Self::Bcrypt(cost) => cost <= max_cost,
            Self::Pbkdf2 { rounds } => rounds <= pbkdf2_sha256::MAX_ROUNDS,
            Self::Argon2id { memory, passes } => {
                memory <= argon2id::MAX_MEMORY_KIB && passes <= argon2id::MAX_PASSES
            }
        }
    }

    /// The rounds of bcrypt that take as long, exactly for bcrypt and roughly for the others.
    pub fn rough_rounds(self) -> u32 {
        let rounds = match self {
            Self::Bcrypt(cost) => cost.rounds().into(),
            Self::Pbkdf2 { rounds } => u64::from(rounds) / PBKDF2_ROUNDS_A_ROUND,
            Self::Argon2id { memory, passes } => {
                u64::from(memory) * u64::from(passes) / ARGON2ID_KIB_A_ROUND
            }
        };
        u32::try_from(rounds).unwrap_or(u32::MAX)
    }

    /// The dearest class of each algorithm, as far as parameters tell.
    pub fn dearest_of_each_kind(classes: impl IntoIterator<Item = Self>) -> Vec<Self> {
        let mut dearest: Vec<Self> = Vec::new();
        for class in classes {
            let is_kin = |other: &&mut Self| discriminant(*other) == discriminant(&class);
            match dearest.iter_mut().find(is_kin) {
                Some(other) if other.rough_rounds() >= class.rough_rounds() => {}
                Some(other) => *other = class,
                None => dearest.push(class),
            }
        }
        dearest
    }

    /// Computes a hash of this class, for its time alone.
    ///
    /// # Errors
    /// [`PasswordError::MalformedHash`] for parameters that the algorithm does not take.
    pub fn spend(self) -> Result<(), PasswordError> {
        match self {
            Self::Bcrypt(cost) => _ = Computation::new(cost, b"", Default::default()).run(),
            Self::Pbkdf2 { rounds } => pbkdf2_sha256::spend(rounds),
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

/// The class of a hash in the form of bcrypt itself, and what follows its parameters.
fn bcrypt(hash: &str) -> Option<(HashClass, &str)> {
    let (_ident, rest) = Ident::split(hash).ok()?;
    let (cost, rest) = rest.split_once('$')?;
    Some((HashClass::Bcrypt(read_cost(cost)?), rest))
}

fn read_cost(text: &str) -> Option<Cost> {
    text.parse::<u32>().ok()?.try_into().ok()
}

/// The class of what follows the name in the PHC string format, and what follows the parameters.
fn argon2id(fields: &str) -> Option<(HashClass, &str)> {
    let fields = match fields.strip_prefix("v=") {
        Some(version) => version.split_once('$')?.1,
        None => fields,
    };
    let (parameters, rest) = fields.split_once('$')?;
    let number = |name: &str| {
        let mut parameters = parameters.split(',');
        parameters.find_map(|one| one.strip_prefix(name)?.parse().ok())
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
    fn the_parameters_tell_the_class_and_the_rest_is_not_looked_at() {
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
                let found = HashClass::of(&format!("{prefix}{rest}"));
                assert_eq!(found, Some((class, prefix.len())), "{prefix}{rest}");
            }
            let mut known = HashClass::PREFIXES.into_iter();
            assert!(known.any(|known| prefix.starts_with(known)));
        }
        for other in [
            "",
            "!",
            "$2b$1",
            "$2b$99$",
            "$argon2i$v=19$m=8,t=1,p=1$",
            "sha1$a$b",
        ] {
            assert_eq!(HashClass::of(other), None, "{other}");
        }
    }

    #[test]
    fn what_is_refused_without_hashing_is_not_within() {
        let max = 12.try_into().unwrap();
        assert!(cost(12).is_within(max) && ARGON2ID.is_within(max));
        assert!(!cost(13).is_within(max));
        assert!(!HashClass::Pbkdf2 { rounds: 4_000_001 }.is_within(max));
        for (memory, passes) in [(262_145, 1), (8, 11)] {
            assert!(!HashClass::Argon2id { memory, passes }.is_within(max));
        }
    }

    #[test]
    fn of_each_kind_the_dearest_is_left() {
        let pbkdf2 = |rounds| HashClass::Pbkdf2 { rounds };
        let classes = [
            cost(4),
            pbkdf2(7_000),
            cost(12),
            ARGON2ID,
            pbkdf2(6_000),
            cost(11),
        ];
        let dearest = HashClass::dearest_of_each_kind(classes);
        assert_eq!(dearest, [cost(12), pbkdf2(7_000), ARGON2ID]);
    }

    #[test]
    fn any_class_can_be_computed() {
        for class in [
            cost(4),
            HashClass::Pbkdf2 { rounds: 1 },
            HashClass::Argon2id {
                memory: 64,
                passes: 1,
            },
        ] {
            assert_eq!(class.spend(), Ok(()));
        }
        let too_little = HashClass::Argon2id {
            memory: 0,
            passes: 0,
        };
        assert!(too_little.spend().is_err());
        assert_eq!(cost(12).rough_rounds(), 4_096);
    }
}
