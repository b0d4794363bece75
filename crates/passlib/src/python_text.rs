//! The type that a password would have in Python.
//!
//! passlib counts the characters of a `str` and the bytes of a `bytes`, and can fail to encode a
//! `str`. Here a password is always bytes, and the type is inferred from them.

use crate::PasswordError;

/// passlib checks it twice: in characters of a `str` or bytes of a `bytes`, then in encoded bytes.
const MAX_LENGTH: usize = 4096;

/// The type of a password in Python, inferred from its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PythonType {
    /// UTF-8: a `str`. For a `bytes` of the same content passlib would only count the length
    /// differently.
    Str,
    /// UTF-8 except for surrogates (ED A0 80 to ED BF BF), as written with the error handler
    /// `surrogatepass`: a `str` that cannot be encoded.
    StrWithSurrogates,
    /// Anything else: a `bytes`.
    Bytes,
}

impl PythonType {
    pub(crate) fn infer(password: &[u8]) -> Self {
        let mut python_type = Self::Str;
        let mut rest = password;
        while let Err(error) = std::str::from_utf8(rest) {
            match rest.get(error.valid_up_to()..) {
                Some([0xED, 0xA0..=0xBF, 0x80..=0xBF, after @ ..]) => rest = after,
                _ => return Self::Bytes,
            }
            python_type = Self::StrWithSurrogates;
        }
        python_type
    }

    /// passlib's first check, before it parses the hash.
    pub(crate) fn check_length(self, password: &[u8]) -> Result<(), PasswordError> {
        let length = match self {
            Self::Bytes => password.len(),
            Self::Str | Self::StrWithSurrogates => password
                .iter()
                .filter(|&&byte| !is_continuation(byte))
                .count(),
        };
        if length > MAX_LENGTH {
            Err(PasswordError::PasswordSize)
        } else {
            Ok(())
        }
    }

    /// passlib's checks after it has parsed the hash, in its order.
    pub(crate) fn check_encoded(self, password: &[u8]) -> Result<(), PasswordError> {
        if self == Self::StrWithSurrogates {
            Err(PasswordError::NotUtf8)
        } else if password.len() > MAX_LENGTH {
            Err(PasswordError::PasswordSize)
        } else if password.contains(&0) {
            Err(PasswordError::PasswordNul)
        } else {
            Ok(())
        }
    }
}

/// Whether the byte is a continuation byte of UTF-8.
fn is_continuation(byte: u8) -> bool {
    byte & 0b1100_0000 == 0b1000_0000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn type_is_inferred_from_the_bytes() {
        let cases: [(&[u8], PythonType); 9] = [
            (b"", PythonType::Str),
            ("p\u{e9}\u{1f600}\0".as_bytes(), PythonType::Str),
            (b"\xed\x9f\xbf\xee\x80\x80", PythonType::Str),
            (b"a\xed\xa0\x80b\xed\xbf\xbf", PythonType::StrWithSurrogates),
            (b"\xa3", PythonType::Bytes),
            (b"\xed\xa0", PythonType::Bytes),
            (b"\xed\xa0\x80\xff", PythonType::Bytes),
            (b"\xff\xed\xa0\x80", PythonType::Bytes),
            (b"\xc3\xed\xa0\x80\xa9", PythonType::Bytes),
        ];
        for (bytes, expected) in cases {
            assert_eq!(PythonType::infer(bytes), expected, "{bytes:x?}");
        }
    }
}
