//! Colours, and which of them are readable on each other (WCAG 2.2, success criterion 1.4.3).

use std::fmt;

/// The least contrast of text.
const MIN_CONTRAST: f64 = 4.5;

/// An opaque colour: red, green and blue. `Display` writes `#1f6f5c`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colour(pub [u8; 3]);

impl Colour {
    /// White.
    pub const WHITE: Self = Self([0xff; 3]);
    /// The darkest colour of our pages.
    pub const BLACK: Self = Self([0x10, 0x14, 0x13]);

    /// Parses `#1f6f5c`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6)?;
        let byte = |start| u8::from_str_radix(digits.get(start..start + 2)?, 16).ok();
        let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_hex.then_some(Self([byte(0)?, byte(2)?, byte(4)?]))
    }

    /// A background as close to this colour as possible on which a text is readable, and that text's colour.
    pub fn button(self) -> (Self, Self) {
        let is_light = self.contrast(Self::WHITE) < MIN_CONTRAST;
        if is_light && self.contrast(Self::BLACK) >= MIN_CONTRAST {
            return (self, Self::BLACK);
        }
        // Neither reaches it only in a narrow band of medium colours.
        let background = self.readable(Self::WHITE, Self::BLACK, MIN_CONTRAST);
        (background, Self::WHITE)
    }

    /// The colour, mixed with as little of another one as makes it readable on a background.
    pub fn readable(self, background: Self, other: Self, min_contrast: f64) -> Self {
        let mixed = (0..=20).map(|step| self.mix(other, f64::from(step) / 20.0));
        let mut readable = mixed.filter(|mixed| mixed.contrast(background) >= min_contrast);
        readable.next().unwrap_or(other)
    }

    fn mix(self, Self(other): Self, share: f64) -> Self {
        let channel = |index: usize| {
            let (one, other) = (f64::from(self.0[index]), f64::from(other[index]));
            let mixed = one + (other - one) * share;
            // Between two bytes.
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "0 to 255"
            )]
            let mixed = mixed.round() as u8;
            mixed
        };
        Self([channel(0), channel(1), channel(2)])
    }

    /// From 1 for equal colours to 21 for black and white.
    pub fn contrast(self, other: Self) -> f64 {
        let (one, other) = (self.luminance(), other.luminance());
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    fn luminance(self) -> f64 {
        let [red, green, blue] = self.0.map(|channel| {
            let channel = f64::from(channel) / 255.0;
            if channel <= 0.04045 {
                channel / 12.92
            } else {
                ((channel + 0.055) / 1.055).powf(2.4)
            }
        });
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }
}

impl fmt::Display for Colour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self([red, green, blue]) = self;
        write!(f, "#{red:02x}{green:02x}{blue:02x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contrast_is_that_of_the_standard() {
        assert!((Colour([0; 3]).contrast(Colour::WHITE) - 21.0).abs() < 1e-9);
        assert!((Colour([0x77; 3]).contrast(Colour::WHITE) - 4.48).abs() < 0.01);
    }
}
