//! The rules for new passwords. They do not apply to stored ones.

use std::collections::HashSet;
use std::sync::LazyLock;

use passlib::BCRYPT_MAX_BYTES;
use zxcvbn::zxcvbn;

/// The name of the product, which an attacker knows too.
const SERVICE_NAME: &str = "tokenhouse";

/// A password counts as common if zxcvbn estimates fewer guesses. Eight random characters take
/// 10^8, but that threshold would refuse one in forty random passwords of eight characters, because
/// it happens to contain a word of three letters.
const MIN_GUESSES: u64 = 10_000_000;

/// The minimum length of a user's word, in characters; shorter ones are ignored.
const MIN_WORD_LENGTH: usize = 3;

/// The characters, apart from digits, that zxcvbn treats as substitutes for letters ("l33t").
const SUBSTITUTES: [char; 10] = ['@', '(', '{', '[', '<', '!', '|', '$', '+', '%'];

/// zxcvbn tries all combinations of the distinct substitutes in a password: in 72 bytes five of them
/// take up to 0.1 s, and all of them 0.6 s. Passwords with more are not estimated.
const MAX_SUBSTITUTES: usize = 5;

/// Common passwords for which zxcvbn estimates [`MIN_GUESSES`] or more in at least one spelling with
/// lower and upper case. In lower case.
///
/// They are 1,786 of the 12,710 passwords of seven characters and more in Royce Williams's list of
/// passwords from leaks, as Django 5.2 ships it (BSD licence). For the other 10,924 zxcvbn 3.1.1
/// estimates less in every spelling: all spellings of those with up to eight letters were checked, and
/// more than 200 random ones of each of the rest. Passwords of up to six characters take a million
/// guesses at most.
static COMMON: LazyLock<HashSet<&str>> =
    LazyLock::new(|| include_str!("common.txt").lines().collect());

/// The rules for new passwords.
#[derive(Clone, Copy, Debug)]
pub struct PasswordPolicy {
    /// The minimum length in characters (code points). 0 allows the empty password.
    pub min_length: usize,
    /// Whether passwords that are easy to guess are refused.
    pub refuse_common: bool,
}

/// Why a new password is refused. `Display` completes a sentence about the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyViolation {
    /// It has fewer code points than this.
    #[error("must have at least {min_length} characters")]
    TooShort {
        /// The minimum.
        min_length: usize,
    },
    /// It has more bytes than this, and bcrypt would silently ignore the rest.
    #[error("must have at most {max_bytes} bytes in UTF-8, where a character has one to four")]
    TooLong {
        /// The maximum.
        max_bytes: usize,
    },
    /// It contains U+0000, which ends a password in bcrypt.
    #[error("must not contain the NUL character (U+0000)")]
    Nul,
    /// It is easy to guess, in general or by an attacker who knows the user's name or address.
    #[error(
        "is too easy to guess: use a longer one, without the user's name or address and without \
         common words or patterns"
    )]
    Common,
}

impl PasswordPolicy {
    /// Checks length and characters, which is fast.
    ///
    /// # Errors
    /// Every violation except [`PolicyViolation::Common`]. More than 72 bytes and U+0000 are refused
    /// under every policy.
    pub fn check_shape(&self, password: &str) -> Result<(), PolicyViolation> {
        if password.chars().count() < self.min_length {
            return Err(PolicyViolation::TooShort {
                min_length: self.min_length,
            });
        }
        if password.len() > BCRYPT_MAX_BYTES {
            return Err(PolicyViolation::TooLong {
                max_bytes: BCRYPT_MAX_BYTES,
            });
        }
        if password.contains('\0') {
            return Err(PolicyViolation::Nul);
        }
        Ok(())
    }

    /// Checks that the password is not easy to guess. `words` are the user's address and names. Takes
    /// milliseconds, and for a crafted password the time of a hash of cost 12, so call it on a hash
    /// thread, after [`check_shape`](Self::check_shape).
    ///
    /// # Errors
    /// [`PolicyViolation::Common`]
    pub fn check_commonness(&self, password: &str, words: &[&str]) -> Result<(), PolicyViolation> {
        if self.refuse_common && (is_listed(password) || is_guessable(password, words)) {
            return Err(PolicyViolation::Common);
        }
        Ok(())
    }
}

/// Whether the password is on the list, ignoring case.
fn is_listed(password: &str) -> bool {
    COMMON.contains(password.to_lowercase().as_str())
}

/// Whether an attacker who knows these words needs few guesses, for the password or for what remains
/// of it without the words.
fn is_guessable(password: &str, words: &[&str]) -> bool {
    let known = known_words(words);
    let lower_case = password.to_lowercase();
    let rest = known
        .iter()
        .fold(lower_case.clone(), |rest, word| rest.replace(word, ""));
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    takes_few_guesses(password, &known) || (rest != lower_case && takes_few_guesses(&rest, &known))
}

/// The words and their parts, in lower case: `ann@example.com` gives `ann` and `example` too.
fn known_words(words: &[&str]) -> Vec<String> {
    let parts = words
        .iter()
        .flat_map(|word| word.split(|c: char| !c.is_alphanumeric()));
    std::iter::once(SERVICE_NAME)
        .chain(words.iter().copied())
        .chain(parts)
        .filter(|word| word.chars().count() >= MIN_WORD_LENGTH)
        .map(str::to_lowercase)
        .collect()
}

fn takes_few_guesses(password: &str, known: &[&str]) -> bool {
    let substitutes = SUBSTITUTES
        .iter()
        .filter(|&&symbol| password.contains(symbol))
        .count();
    substitutes <= MAX_SUBSTITUTES && zxcvbn(password, known).guesses() < MIN_GUESSES
}

#[cfg(test)]
mod tests {
    use rand::RngExt;
    use rand::distr::Alphanumeric;

    use super::*;

    const POLICY: PasswordPolicy = PasswordPolicy {
        min_length: 8,
        refuse_common: true,
    };
    const OFF: PasswordPolicy = PasswordPolicy {
        min_length: 0,
        refuse_common: false,
    };

    fn check(policy: PasswordPolicy, password: &str) -> Result<(), PolicyViolation> {
        policy.check_shape(password)?;
        policy.check_commonness(password, &["ann.lee@example.com", "Ann", "Lee-Marshall"])
    }

    #[test]
    fn min_length_counts_code_points_and_max_length_bytes() {
        for (character, width) in [('x', 1), ('\u{e9}', 2), ('\u{20ac}', 3), ('\u{1f600}', 4)] {
            for count in 0..80 {
                let expected = match count {
                    0..8 => Err(PolicyViolation::TooShort { min_length: 8 }),
                    _ if count * width > 72 => Err(PolicyViolation::TooLong { max_bytes: 72 }),
                    _ => Ok(()),
                };
                let password = character.to_string().repeat(count);
                assert_eq!(
                    POLICY.check_shape(&password),
                    expected,
                    "{count} of {character}"
                );
            }
        }
        assert_eq!(POLICY.check_shape("pencils\0"), Err(PolicyViolation::Nul));
    }

    #[test]
    fn disabled_policy_refuses_only_passwords_that_bcrypt_truncates() {
        for password in ["", "a", "password", "ann.lee@example.com", &"x".repeat(72)] {
            assert_eq!(check(OFF, password), Ok(()), "{password}");
        }
        assert_eq!(
            check(OFF, &"x".repeat(73)),
            Err(PolicyViolation::TooLong { max_bytes: 72 })
        );
        assert_eq!(check(OFF, "\0"), Err(PolicyViolation::Nul));
    }

    #[test]
    fn listed_passwords_are_refused_in_lower_and_upper_case() {
        assert_eq!(COMMON.len(), 1_786);
        for password in COMMON.iter() {
            assert_eq!(
                POLICY.check_commonness(password, &[]),
                Err(PolicyViolation::Common)
            );
            assert!(
                is_listed(&password.to_uppercase()) || !password.is_ascii(),
                "{password}"
            );
        }
    }

    /// A sample of the common passwords that the list omits because the estimate refuses them.
    #[test]
    fn common_passwords_that_are_not_listed_are_refused_by_the_estimate() {
        let sample = "0147852369 123321qwe 12345679 1236547 18273645 1jessica 25251325 65mustang \
            ?????????? adelina alibaba andrew10 anthony13 arsenal august13 babygirl21 \
            barrett behappy1 birdman1 bobby123 bridget1 burger1 cancer1 catalin charline \
            chitown1 clayton cookie01 creeper daniel01 december2 dietcoke dragon01 \
            einstein1 estrela feathers flower11 frances1 galaxy1 giants1 gordon24 \
            hacker123 he635789 hockey12 hottie3 iloveu12 isabel1 jayson1 johnboy \
            julie123 katherine king1234 l123456789 leonidas lol1234 loveme3 maddison \
            manfred marines1 matthew mercedes midnite mommy123 mookie1 my2girls \
            nathaniel1 nicole6 ntktajy only1me panthers1 penguins1 pioneer1 poopy12 \
            princess17 q111111 qwerty3 rangers reynaldo rolltide salvador schatz1 \
            shadow123 sierra1 smokey1 solange srinivas strong1 superman22 taylor1 \
            theused topgun1 turtle12 velocity waheguru whitesox1 xboxlive";
        let alternating = |password: &str| -> String {
            let letters = password.chars().enumerate();
            letters
                .map(|(at, letter)| match at % 2 {
                    0 => letter.to_ascii_uppercase(),
                    _ => letter,
                })
                .collect()
        };
        for password in sample.split_whitespace() {
            assert!(!is_listed(password), "{password}");
            for spelling in [
                password.to_owned(),
                password.to_uppercase(),
                alternating(password),
            ] {
                assert!(is_guessable(&spelling, &[]), "{spelling}");
            }
        }
    }

    #[test]
    fn short_passwords_are_refused_by_the_estimate() {
        for password in ["", "a", "q7", "x!9", "k_Z3", "vB-8p", "\u{3c0}#Q2w}"] {
            assert!(is_guessable(password, &[]), "{password}");
        }
    }

    #[test]
    fn patterns_and_the_users_own_words_are_refused() {
        let refused = [
            "P@ssw0rd123",
            "qwerty123456",
            "aaaaaaaaaaaa",
            "abcdefghijk",
            "13.05.1987",
            "zaq12wsx!",
            "ann.lee@example.com",
            "Ann.Lee1987!",
            "marshall2026",
            "llahsram1987",
            "L33Marshall",
            "Tokenhouse1!",
            "T0kenh0use",
            "my-tokenhouse-pw",
        ];
        for password in refused {
            assert_eq!(
                check(POLICY, password),
                Err(PolicyViolation::Common),
                "{password}"
            );
        }
    }

    #[test]
    fn strong_passwords_are_accepted() {
        let accepted = [
            "correct-horse-9!",
            "my-dog-has-fleas",
            "purple-monkey",
            "xK9dogQ!",
            "h7Gq2pZx",
            "marshall-plans-12-teas",
            "\u{43a}\u{43e}\u{448}\u{43a}\u{430} \u{43d}\u{430} \u{43e}\u{43a}\u{43d}\u{435}",
        ];
        for password in accepted {
            assert_eq!(check(POLICY, password), Ok(()), "{password}");
        }
        for symbols in ["@({[<!|$+%".repeat(7), "4@8({[<3691!|17|0$5+7%2".repeat(3)] {
            assert_eq!(
                check(POLICY, &symbols),
                Ok(()),
                "too many substitutes to try"
            );
        }
    }

    #[test]
    fn random_passwords_are_accepted() {
        let share = || {
            for _ in 0..2_500 {
                let random = rand::rng().sample_iter(Alphanumeric).take(20);
                let password: String = random.map(char::from).collect();
                assert_eq!(check(POLICY, &password), Ok(()), "{password}");
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(share);
            }
        });
    }
}
