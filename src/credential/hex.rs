//! Encodes and decodes lower-case hexadecimal digits without an allocation.

/// Writes two digits for each byte; `digits` is twice as long as `bytes`.
pub(crate) fn write(bytes: &[u8], digits: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (byte, [high, low]) in bytes.iter().zip(digits.as_chunks_mut().0) {
        *high = DIGITS[usize::from(byte >> 4)];
        *low = DIGITS[usize::from(byte & 15)];
    }
}

/// Reads two digits for each byte. Returns `false` when the length differs or a character is not a
/// digit.
pub(crate) fn read(digits: &[u8], bytes: &mut [u8]) -> bool {
    if digits.len() != bytes.len() * 2 {
        return false;
    }
    bytes
        .iter_mut()
        .zip(digits.as_chunks().0)
        .all(|(byte, [high, low])| {
            let (Some(high), Some(low)) = (value(*high), value(*low)) else {
                return false;
            };
            *byte = high << 4 | low;
            true
        })
}

/// Whether this is a lower-case hexadecimal digit.
pub(crate) fn is_digit(digit: u8) -> bool {
    value(digit).is_some()
}

fn value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}
