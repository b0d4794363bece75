//! Passwords and salts as input of Blowfish's key schedule.

use core::iter;

use crate::schedule::SUBKEY_COUNT;

/// The bytes of a password or salt, repeated, as the big-endian words to mix into the subkeys.
pub(crate) type KeyWords = [u32; SUBKEY_COUNT];

/// Writes the password and a NUL into words that are zero. They hold 72 bytes, which is where bcrypt
/// truncates passwords.
pub(crate) fn write_password(password: &[u8], words: &mut KeyWords) {
    write_repeated(password.iter().copied().chain(iter::once(0)), words);
}

/// Writes the salt into words that are zero.
pub(crate) fn write_salt(salt: &[u8; 16], words: &mut KeyWords) {
    write_repeated(salt.iter().copied(), words);
}

fn write_repeated(bytes: impl Iterator<Item = u8> + Clone, words: &mut KeyWords) {
    let mut bytes = bytes.cycle();
    for word in words {
        for byte in bytes.by_ref().take(4) {
            *word = *word << 8 | u32::from(byte);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{KeyWords, write_password, write_salt};

    fn password_words(password: &[u8]) -> KeyWords {
        let mut words = [0; 18];
        write_password(password, &mut words);
        words
    }

    #[test]
    fn password_and_nul_are_repeated() {
        let words = password_words(b"abcd");
        assert_eq!(
            words[..5],
            [0x61626364, 0x00616263, 0x64006162, 0x63640061, 0x62636400]
        );
        assert_eq!(words[5..10], words[..5]);
        assert_eq!(password_words(b""), [0; 18]);
    }

    #[test]
    fn nul_is_omitted_after_72_bytes() {
        assert_eq!(password_words(&[b'x'; 71])[17], 0x78787800);
        assert_eq!(password_words(&[b'x'; 72]), [0x78787878; 18]);
        assert_eq!(password_words(&[b'x'; 73]), [0x78787878; 18]);
    }

    #[test]
    fn salt_is_repeated_without_a_nul() {
        let mut words = [0; 18];
        write_salt(b"0123456789abcdef", &mut words);
        assert_eq!(words[3..6], [0x63646566, 0x30313233, 0x34353637]);
    }
}
