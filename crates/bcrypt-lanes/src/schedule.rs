//! The state of one Blowfish cipher, which bcrypt's key schedule rewrites repeatedly, and the words of
//! password and salt that it mixes in.

use core::iter;

use zeroize::Zeroize;

use crate::pi;

/// One subkey for each of the 16 rounds, and two for the whitening.
pub(crate) const SUBKEY_COUNT: usize = 18;

/// The subkeys and substitution boxes of one lane.
///
/// It is neither `Copy` nor `Clone`, so that wiping it leaves no copy. The boxes come first because the
/// other order made two lanes a fifth slower with `target-cpu=native`.
#[repr(C)]
pub(crate) struct Schedule {
    pub(crate) boxes: [[u32; 256]; 4],
    pub(crate) subkeys: [u32; SUBKEY_COUNT],
}

impl Schedule {
    /// The initial state, before any key is mixed in.
    pub(crate) fn initial() -> Self {
        Self {
            boxes: pi::BOXES,
            subkeys: pi::SUBKEYS,
        }
    }

    /// Blowfish's function F. A byte is always within the bounds of a box, so there is no bounds check.
    #[inline(always)]
    pub(crate) fn substitute(&self, half: u32) -> u32 {
        // With shifts, because LLVM byte-swaps the whole word for `to_be_bytes`.
        let [a, b, c, d] = [24, 16, 8, 0].map(|shift| usize::from((half >> shift) as u8));
        let [box_a, box_b, box_c, box_d] = &self.boxes;
        (box_a[a].wrapping_add(box_b[b]) ^ box_c[c]).wrapping_add(box_d[d])
    }
}

impl Zeroize for Schedule {
    fn zeroize(&mut self) {
        self.boxes.zeroize();
        self.subkeys.zeroize();
    }
}

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
    use zeroize::Zeroize;

    use super::{KeyWords, Schedule, write_password, write_salt};

    #[test]
    fn wiping_zeroes_subkeys_and_boxes() {
        let mut schedule = Schedule::initial();
        schedule.zeroize();
        assert_eq!(schedule.subkeys, [0; 18]);
        assert_eq!(schedule.boxes, [[0; 256]; 4]);
    }

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
