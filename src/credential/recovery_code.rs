//! Recovery codes, for users who have lost their second factor. Each counts once.

use std::fmt;

use rand::TryRng;
use rand::rngs::SysRng;
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;

use crate::credential::mail_token::{ALPHABET, read_character};
use crate::credential::token::NoRandomness;

/// How many codes a user gets: each is in a slot, which its first character names.
pub(crate) const SLOTS: u8 = 10;

/// Characters of a code after its slot: 50 bits.
const CHARACTERS: usize = 10;

/// A code: a slot, and what is compared with the hash in it. Its `Debug` output does not reveal it.
#[derive(Clone)]
pub struct RecoveryCode {
    slot: u8,
    text: Zeroizing<String>,
}

impl RecoveryCode {
    /// Generates the code of a slot.
    ///
    /// # Errors
    /// [`NoRandomness`] when the system's generator fails.
    pub(crate) fn generate(slot: u8) -> Result<Self, NoRandomness> {
        let mut bytes = Zeroizing::new([0_u8; CHARACTERS]);
        SysRng
            .try_fill_bytes(bytes.as_mut_slice())
            .map_err(|_error| NoRandomness)?;
        // 256 is a multiple of 32, so every character is equally likely.
        let character = |byte: &u8| char::from(ALPHABET[usize::from(byte % 32)]);
        let text = Zeroizing::new(bytes.iter().map(character).collect());
        Ok(Self { slot, text })
    }

    /// The code that a user has typed from paper: in any case, with blanks and dashes of any kind, and with
    /// letters for the digits that look like them. `None` for a text that is no code.
    pub fn parse(typed: &str) -> Option<Self> {
        let is_dash = |c: char| matches!(c, '-' | '\u{2010}'..='\u{2015}' | '\u{2212}' | '_');
        let typed = typed.chars().filter(|c| !c.is_whitespace() && !is_dash(*c));
        // One more than a code has, so that a longer text is none.
        let code: Zeroizing<String> =
            Zeroizing::new(typed.take(CHARACTERS + 2).map(read_character).collect());
        let (slot, text) = code.split_at_checked(1)?;
        let is_code = text.len() == CHARACTERS && text.bytes().all(|b| ALPHABET.contains(&b));
        let slot = slot.parse().ok().filter(|slot| *slot < SLOTS)?;
        is_code.then(|| Self {
            slot,
            text: Zeroizing::new(text.to_owned()),
        })
    }

    /// The slot, from 0.
    pub(crate) fn slot(&self) -> u8 {
        self.slot
    }

    /// What is hashed: bcrypt, because 50 bits under a fast hash can be guessed.
    pub(crate) fn secret(&self) -> SecretString {
        self.text.as_str().into()
    }

    /// The code as users see it: `3-ABCDE-FGHJK`.
    pub fn show(&self) -> String {
        let (first, second) = self.text.split_at(CHARACTERS / 2);
        format!("{}-{first}-{second}", self.slot)
    }
}

impl fmt::Debug for RecoveryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryCode(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_recognised_as_people_type_it() {
        let code = RecoveryCode::parse("3-AB0DE-FG1JK").unwrap();
        assert_eq!((code.slot(), code.show().as_str()), (3, "3-AB0DE-FG1JK"));
        for typed in [
            "3-ab0de-fg1jk",
            "3 AB0DE FG1JK",
            "3AB0DEFG1JK",
            "3\u{2013}AB0DE\u{2013}FG1JK",
            "\u{a0}3-ABODE-FGLJK\n",
            "3-ABODE-FGIJK",
        ] {
            assert_eq!(
                RecoveryCode::parse(typed).map(|code| code.show()),
                Some(code.show()),
                "{typed}"
            );
        }
    }

    #[test]
    fn other_texts_are_no_codes() {
        let list = "0-AAAAA-AAAAA\n1-BBBBB-BBBBB";
        let long = "3".repeat(10_000);
        for typed in [
            "",
            "3",
            "123456",
            "A-ABCDE-FGHJK",
            "3-ABCDE-FGHJ",
            "3-ABCDE-FGHJKM",
            "3-ABCDE-FGHJU",
            "é-ABCDE-FGHJK",
            list,
            &long,
        ] {
            assert!(RecoveryCode::parse(typed).is_none(), "{typed}");
        }
    }

    #[test]
    fn generated_codes_differ_and_are_read_back() {
        let codes = (0..SLOTS).map(|slot| RecoveryCode::generate(slot).unwrap());
        let shown: std::collections::BTreeSet<String> = codes.map(|code| code.show()).collect();
        assert_eq!(shown.len(), usize::from(SLOTS));
        for (slot, text) in shown.iter().enumerate() {
            let code = RecoveryCode::parse(text).unwrap();
            assert_eq!((usize::from(code.slot()), &code.show()), (slot, text));
        }
    }
}
