//! Codes of authenticator apps: TOTP (RFC 6238) with SHA-1, six digits and steps of 30 s, as every app has
//! them.

use std::fmt;
use std::ops::RangeInclusive;

use chrono::NaiveDateTime;
use rand::TryRng;
use rand::rngs::SysRng;
use ring::hmac;
use secrecy::zeroize::Zeroizing;
use subtle::ConstantTimeEq;

use crate::credential::token::NoRandomness;

/// Seconds in a step.
pub(crate) const STEP_SECONDS: i64 = 30;

/// How many steps the clock of an app may be off.
const TOLERANCE: i64 = 1;

/// A code that is at most this many seconds away is right, unless it or one after it was used.
pub(crate) const TOLERANCE_SECONDS: i64 = TOLERANCE * STEP_SECONDS;

/// Digits of a code.
const DIGITS: usize = 6;

/// Bytes of a seed: as many as SHA-1 returns (RFC 4226 section 4).
pub(crate) const SEED_BYTES: usize = 20;

/// RFC 4648 section 6.
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// What an app and the service compute codes from. Its `Debug` output does not reveal it.
#[derive(Clone)]
pub(crate) struct Seed(Zeroizing<[u8; SEED_BYTES]>);

impl Seed {
    /// Generates a random seed.
    ///
    /// # Errors
    /// [`NoRandomness`] when the system's generator fails.
    pub(crate) fn generate() -> Result<Self, NoRandomness> {
        let mut bytes = Zeroizing::new([0; SEED_BYTES]);
        SysRng
            .try_fill_bytes(bytes.as_mut_slice())
            .map_err(|_error| NoRandomness)?;
        Ok(Self(bytes))
    }

    /// The seed of these bytes; `None` for another number of bytes.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Self(Zeroizing::new(bytes.try_into().ok()?)))
    }

    /// The bytes.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_slice()
    }

    /// The seed as users type it into an app: base32 without padding.
    pub(crate) fn to_base32(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(SEED_BYTES * 8 / 5));
        let (mut bits, mut held) = (0_u32, 0_u32);
        for byte in self.as_bytes() {
            bits = (bits << 8) | u32::from(*byte);
            held += 8;
            while held >= 5 {
                held -= 5;
                text.push(char::from(BASE32[((bits >> held) & 31) as usize]));
            }
        }
        text
    }

    /// The seed that [`Self::to_base32`] has written; `None` for every other text.
    #[cfg(feature = "pages")]
    pub(crate) fn from_base32(text: &str) -> Option<Self> {
        let (mut bits, mut held) = (0_u32, 0_u32);
        let mut bytes = Zeroizing::new(Vec::with_capacity(SEED_BYTES));
        for byte in text.bytes().take(SEED_BYTES * 8 / 5 + 1) {
            let value = BASE32.iter().position(|digit| *digit == byte)?;
            bits = (bits << 5) | u32::try_from(value).ok()?;
            held += 5;
            if held >= 8 {
                held -= 8;
                bytes.push((bits >> held).to_le_bytes()[0]);
            }
        }
        Self::from_bytes(&bytes)
    }

    /// The code of a step (RFC 4226 section 5.3).
    fn code(&self, step: i64) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, self.as_bytes());
        let tag = hmac::sign(&key, &step.to_be_bytes());
        let digest = tag.as_ref();
        let offset = usize::from(digest[digest.len() - 1] & 15);
        let number = digest[offset..offset + 4]
            .iter()
            .fold(0_u32, |number, byte| (number << 8) | u32::from(*byte));
        format!("{:06}", (number & 0x7fff_ffff) % 1_000_000)
    }

    /// The step at which the app shows this code, if it does so at `now`, or one step before or after. Takes
    /// as long for every code.
    pub(crate) fn find_step(&self, code: &OtpCode, now: NaiveDateTime) -> Option<i64> {
        let step = step_at(now);
        self.find_in(code, step - TOLERANCE..=step + TOLERANCE)
    }

    /// How many seconds the clock of the app, or that of this machine, would have to be off for this code to
    /// be right, if that is at most a quarter of an hour.
    pub(crate) fn seconds_away(&self, code: &OtpCode, now: NaiveDateTime) -> Option<i64> {
        let (step, span) = (step_at(now), 15 * 60 / STEP_SECONDS);
        let found = self.find_in(code, step - span..=step + span)?;
        Some((found - step) * STEP_SECONDS)
    }

    fn find_in(&self, code: &OtpCode, steps: RangeInclusive<i64>) -> Option<i64> {
        let mut found = None;
        for step in steps {
            if bool::from(self.code(step).as_bytes().ct_eq(code.0.as_bytes())) {
                found = Some(step);
            }
        }
        found
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(..)")
    }
}

/// The step of a time.
pub(crate) fn step_at(now: NaiveDateTime) -> i64 {
    now.and_utc().timestamp().div_euclid(STEP_SECONDS)
}

/// The furthest step whose code counts at `now`.
pub(crate) fn last_step_at(now: NaiveDateTime) -> i64 {
    step_at(now) + TOLERANCE
}

/// A code as an app shows it. Its `Debug` output does not reveal it.
#[derive(Clone)]
pub struct OtpCode(Zeroizing<String>);

impl OtpCode {
    /// The code that a user has typed: six digits, with any white space. `None` for every other text.
    pub fn parse(typed: &str) -> Option<Self> {
        let digits: Zeroizing<String> = Zeroizing::new(
            typed
                .chars()
                .filter(|c| !c.is_whitespace())
                .take(DIGITS + 1)
                .collect(),
        );
        let is_code = digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
        is_code.then_some(Self(digits))
    }
}

impl fmt::Debug for OtpCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OtpCode(..)")
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn at(seconds: i64) -> NaiveDateTime {
        DateTime::from_timestamp(seconds, 0).unwrap().naive_utc()
    }

    #[test]
    fn codes_are_those_of_the_rfc() {
        // RFC 6238 appendix B, the last six of eight digits.
        let seed = Seed::from_bytes(b"12345678901234567890").unwrap();
        for (seconds, expected) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(seed.code(step_at(at(seconds))), expected);
        }
        assert_eq!(
            seed.to_base32().as_str(),
            "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
        );
    }

    #[test]
    fn code_counts_one_step_early_and_late() {
        let seed = Seed::generate().unwrap();
        let (now, step) = (at(1_800_000_000), step_at(at(1_800_000_000)));
        for (away, expected) in [(-2, None), (-1, Some(step - 1)), (1, Some(step + 1))] {
            let code = OtpCode::parse(&seed.code(step + away)).unwrap();
            assert_eq!(seed.find_step(&code, now), expected);
            assert_eq!(seed.seconds_away(&code, now), Some(away * 30));
        }
        let code = OtpCode::parse(&seed.code(step + 31)).unwrap();
        assert_eq!(seed.seconds_away(&code, now), None);
    }

    #[test]
    fn white_space_is_dropped_and_zeros_stay() {
        for typed in ["012345", "012 345", " 012345\n", "012\u{a0}345"] {
            assert_eq!(OtpCode::parse(typed).unwrap().0.as_str(), "012345");
        }
        let long = "1".repeat(10_000);
        for typed in ["12345", "1234567", "12345a", "", "١٢٣٤٥٦", &long] {
            assert!(OtpCode::parse(typed).is_none(), "{typed}");
        }
    }
}
