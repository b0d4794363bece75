//! What the bytes of a password would be in Python.
//!
//! passlib counts the characters of a `str` and the bytes of a `bytes`, and can fail to encode a
//! `str`. A password reaches us as bytes in every case, and their form tells which it was.

use super::PasswordError;

/// The longest password, counted twice: in what its type consists of, then in encoded bytes.
const MAX_LENGTH: usize = 4096;

/// The type of a password in Python, judged by its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PythonType {
    /// UTF-8: a `str`. A `bytes` of the same content differs only in how its length is counted.
    Str,
    /// UTF-8 but for surrogates (ED A0 80 to ED BF BF), as the error handler `surrogatepass`
    /// writes them: a `str` that cannot be encoded.
    StrWithSurrogates,
    /// Anything else: a `bytes`.
    Bytes,
}

impl PythonType {
    pub(super) fn of(password: &[u8]) -> Self {
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

    /// passlib's first check, made before it has parsed the hash.
    pub(super) fn check_length(self, password: &[u8]) -> Result<(), PasswordError> {
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

    /// passlib's checks once the hash is parsed, in its order.
    pub(super) fn check_encoded(self, password: &[u8]) -> Result<(), PasswordError> {
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

/// Whether the byte goes on with a character of UTF-8 and does not begin one.
fn is_continuation(byte: u8) -> bool {
    byte & 0b1100_0000 == 0b1000_0000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_is_told_from_the_bytes() {
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
            assert_eq!(PythonType::of(bytes), expected, "{bytes:x?}");
        }
    }
}
