//! What a new password has to be. Stored ones are verified whatever they are.

use std::collections::HashSet;
use std::sync::LazyLock;

use zxcvbn::zxcvbn;

/// Where bcrypt stops reading.
const MAX_BYTES: usize = 72;

/// The product's own name, which is on the page where the password is asked for.
const SERVICE_NAME: &str = "tokenhouse";

/// A password that a patient guesser finds in fewer tries, by zxcvbn's estimate, counts as common.
/// Eight random characters take 10^8; at that figure, though, one random eight-character password
/// in forty would be refused for a word of three letters that it happens to contain.
const MIN_GUESSES: u64 = 10_000_000;

/// The shortest of the user's words that counts, in characters.
const MIN_WORD_LENGTH: usize = 3;

/// What zxcvbn takes for a letter in disguise, digits aside.
const DISGUISES: [char; 10] = ['@', '(', '{', '[', '<', '!', '|', '$', '+', '%'];

/// The most disguises, each counted once, that are left to zxcvbn. It tries them in all
/// combinations: in 72 bytes five of them take up to 0.1 s, and all of them 0.6 s.
const MAX_DISGUISES: usize = 5;

/// Passwords of seven characters and more, in lower case, that were found in leaks most often: the
/// part of that length of Royce Williams's list, as Django 5.2 ships it (BSD licence). Shorter
/// passwords take a million guesses at most.
static COMMON: LazyLock<HashSet<&str>> =
    LazyLock::new(|| include_str!("common.txt").lines().collect());

/// The rules for new passwords.
#[derive(Clone, Copy, Debug)]
pub struct PasswordPolicy {
    /// The fewest characters (code points). 0 lets even the empty password through.
    pub min_length: usize,
    /// Whether passwords that are easily guessed are refused.
    pub refuse_common: bool,
}

/// What is wrong with a new password. `Display` completes a sentence about it.
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
    /// It is easy to guess, in general or for an attacker who knows the user's name or address.
    #[error(
        "is too easy to guess: use a longer one, without the user's name or address and without \
         common words or patterns"
    )]
    Common,
}

impl PasswordPolicy {
    /// Checks what takes no time to check.
    ///
    /// # Errors
    /// Every violation but [`PolicyViolation::Common`]. More than 72 bytes and U+0000 are refused
    /// under every policy.
    pub fn check_shape(&self, password: &str) -> Result<(), PolicyViolation> {
        if password.chars().count() < self.min_length {
            return Err(PolicyViolation::TooShort {
                min_length: self.min_length,
            });
        }
        if password.len() > MAX_BYTES {
            return Err(PolicyViolation::TooLong {
                max_bytes: MAX_BYTES,
            });
        }
        if password.contains('\0') {
            return Err(PolicyViolation::Nul);
        }
        Ok(())
    }

    /// Checks that the password is not easily guessed. `words` are the user's own: address, names.
    /// Takes milliseconds, and as long as a hash of cost 12 for a password made to that end, so
    /// call it where passwords are hashed, after [`check_shape`](Self::check_shape).
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

/// Whether the password is on the list, in whatever case.
fn is_listed(password: &str) -> bool {
    COMMON.contains(password.to_lowercase().as_str())
}

/// Whether a guesser who knows the words finds the password early, or what is left without them.
fn is_guessable(password: &str, words: &[&str]) -> bool {
    let known = guessers_words(words);
    let lower_case = password.to_lowercase();
    let rest = known
        .iter()
        .fold(lower_case.clone(), |rest, word| rest.replace(word, ""));
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    takes_few_guesses(password, &known) || (rest != lower_case && takes_few_guesses(&rest, &known))
}

/// The words and their parts, in lower case: `ann@example.com` gives `ann` and `example` too.
fn guessers_words(words: &[&str]) -> Vec<String> {
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
    let disguises = DISGUISES
        .iter()
        .filter(|&&symbol| password.contains(symbol))
        .count();
    disguises <= MAX_DISGUISES && zxcvbn(password, known).guesses() < MIN_GUESSES
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
    fn the_fewest_characters_are_code_points_and_the_most_are_bytes() {
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
    fn without_a_policy_only_what_bcrypt_cannot_tell_apart_is_refused() {
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
    fn every_listed_password_is_refused_in_either_case() {
        assert_eq!(COMMON.len(), 12_710);
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

    #[test]
    fn whatever_is_too_short_for_the_list_is_refused_by_the_estimate() {
        for password in ["", "a", "q7", "x!9", "k_Z3", "vB-8p", "\u{3c0}#Q2w}"] {
            assert!(is_guessable(password, &[]), "{password}");
        }
    }

    #[test]
    fn passwords_of_pattern_and_of_the_users_own_words_are_refused() {
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
    fn decent_passwords_are_accepted() {
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
            assert_eq!(check(POLICY, &symbols), Ok(()), "too many disguises to try");
        }
    }

    #[test]
    fn random_passwords_are_never_refused() {
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
