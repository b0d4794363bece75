//! Whether a token of another program is strong enough.

use std::collections::BTreeMap;

/// The number of hexadecimal digits in 128 bits.
const MIN_HEX_DIGITS: usize = 32;

/// The number of characters in 128 bits with an alphabet of 32, such as letters of one case with
/// digits.
const MIN_ONE_CASE: usize = 26;

/// The number of characters in 128 bits with URL-safe base64.
const MIN_BASE64: usize = 22;

/// The minimum number of distinct characters: a random token has fewer with a probability below one in
/// ten million.
const MIN_DISTINCT: usize = 8;

/// Whether a token looks like 128 random bits or more: it is long enough for its alphabet, and no
/// character makes up most of it, as in a zero-padded number. Tokens from a counter or a clock can
/// look random too; only the source knows.
pub(super) fn is_strong(token: &str) -> bool {
    let symbols = || token.chars().filter(|c| c.is_alphanumeric());
    let length = symbols().count();
    let is_long_enough = if symbols().all(|c| c.is_ascii_hexdigit()) {
        length >= MIN_HEX_DIGITS
    } else if !symbols().any(char::is_uppercase) || !symbols().any(char::is_lowercase) {
        length >= MIN_ONE_CASE
    } else {
        token.chars().count() >= MIN_BASE64
    };
    let mut counts: BTreeMap<char, usize> = BTreeMap::new();
    token
        .chars()
        .for_each(|c| *counts.entry(c).or_default() += 1);
    let most_frequent = counts.values().max().copied().unwrap_or_default();
    is_long_enough && counts.len() >= MIN_DISTINCT && most_frequent * 2 <= token.chars().count()
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::is_strong;
    use crate::credential::token::generate_token;

    #[test]
    fn generated_tokens_are_strong() {
        for token in [
            // secrets.token_urlsafe(16), uuid4, Django REST framework, knox
            "W1p8yU4OC0Vn2xJ3tq_9-A",
            "3f2c1e9a-7b4d-4e1f-8a6b-0c9d8e7f6a5b",
            "9944b09199c62bcf9418ad846dd0e4bbdfc6ee4b",
            "8550cfb4165436744dee4bc6c129adddd1380dfc58945514d0a8723376c885c7",
            "JBSWY3DPEHPK3PXPJBSWY3DPEH",
        ] {
            assert!(is_strong(token), "{token}");
        }
        for _ in 0..20_000 {
            assert!(is_strong(generate_token().unwrap().expose()));
            let digits: String = (0..32)
                .map(|_| char::from(b"0123456789abcdef"[rand::rng().random_range(0..16)]))
                .collect();
            assert!(is_strong(&digits), "{digits}");
        }
    }

    #[test]
    fn guessable_tokens_are_weak() {
        for token in [
            "",
            "abc",
            "hunter2",
            "token-of-alice",
            "correct horse battery",
            "W1p8yU4OC0Vn2xJ3tq_9-",
            "9944b09199c62bcf9418ad846dd0e4b",
            "3f2c1e9a-7b4d-4e1f-8a6b-0c9d8e7f6a5",
            "0000000000000000000000000000000000000001234",
            "0000000000000000000000000000000001767322800",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "abcabcabcabcabcabcabcabcabcabcabcabcabcabca",
            "deadbeefdeadbeefdeadbeefdeadbeefdeadbeef",
            "this is a sentence",
        ] {
            assert!(!is_strong(token), "{token}");
        }
    }
}
