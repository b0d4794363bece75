//! The brand's colour in the shades that are readable (WCAG 2.2, success criterion 1.4.3).

use crate::config::Colour;

/// The least contrast of text.
const MIN_CONTRAST: f64 = 4.5;

/// The same for links on dark pages, which look dim below this.
const MIN_DARK_CONTRAST: f64 = 7.0;

const WHITE: Colour = Colour([0xff; 3]);
const BLACK: Colour = Colour([0x10, 0x14, 0x13]);

/// The backgrounds of text in the colour: the page, light and dark. Those of `style.css`.
const LIGHT_PAGE: Colour = Colour([0xf6, 0xf6, 0xf3]);
const DARK_CARD: Colour = Colour([0x1b, 0x20, 0x23]);

/// The variables of the stylesheet that depend on the brand, for light and dark.
pub(super) fn variables(brand: Colour) -> String {
    let on_brand = match contrast(brand, WHITE) >= MIN_CONTRAST {
        true => WHITE,
        false if contrast(brand, BLACK) >= MIN_CONTRAST => BLACK,
        // Neither reaches it only in a narrow band of medium colours.
        false => WHITE,
    };
    let brand = match on_brand == WHITE {
        true => readable(brand, WHITE, BLACK, MIN_CONTRAST),
        false => brand,
    };
    let light = readable(brand, LIGHT_PAGE, BLACK, MIN_CONTRAST);
    let dark = readable(brand, DARK_CARD, WHITE, MIN_DARK_CONTRAST);
    format!(
        ":root{{--brand:{};--on-brand:{};--accent:{}}}\
         @media (prefers-color-scheme:dark){{:root{{--accent:{}}}}}\n",
        hex(brand),
        hex(on_brand),
        hex(light),
        hex(dark)
    )
}

/// The colour, mixed with as little of another one as makes it readable on a background.
fn readable(colour: Colour, background: Colour, other: Colour, min: f64) -> Colour {
    let mixed = (0..=20).map(|step| mix(colour, other, f64::from(step) / 20.0));
    let mut readable = mixed.filter(|mixed| contrast(*mixed, background) >= min);
    readable.next().unwrap_or(other)
}

fn mix(Colour(one): Colour, Colour(other): Colour, share: f64) -> Colour {
    let channel = |index: usize| {
        let (one, other) = (f64::from(one[index]), f64::from(other[index]));
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
    Colour([channel(0), channel(1), channel(2)])
}

/// From 1 for equal colours to 21 for black and white.
fn contrast(one: Colour, other: Colour) -> f64 {
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

fn luminance(Colour(channels): Colour) -> f64 {
    let [red, green, blue] = channels.map(|channel| {
        let channel = f64::from(channel) / 255.0;
        if channel <= 0.04045 {
            channel / 12.92
        } else {
            ((channel + 0.055) / 1.055).powf(2.4)
        }
    });
    0.2126 * red + 0.7152 * green + 0.0722 * blue
}

fn hex(Colour([red, green, blue]): Colour) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contrast_is_that_of_the_standard() {
        assert!((contrast(Colour([0; 3]), WHITE) - 21.0).abs() < 1e-9);
        assert!((contrast(Colour([0x77; 3]), WHITE) - 4.48).abs() < 0.01);
    }

    #[test]
    fn every_brand_is_readable_everywhere() {
        for red in (0..=255).step_by(51) {
            for green in (0..=255).step_by(51) {
                for blue in (0..=255).step_by(51) {
                    let css = variables(Colour([red, green, blue]));
                    let colours: Vec<Colour> = css
                        .split('#')
                        .skip(1)
                        .map(|rest| {
                            let byte = |at| u8::from_str_radix(&rest[at..at + 2], 16).unwrap();
                            Colour([byte(0), byte(2), byte(4)])
                        })
                        .collect();
                    let [brand, on_brand, light, dark] = colours[..] else {
                        panic!("{css}");
                    };
                    assert!(contrast(brand, on_brand) >= MIN_CONTRAST, "{css}");
                    assert!(contrast(light, LIGHT_PAGE) >= MIN_CONTRAST, "{css}");
                    assert!(contrast(dark, DARK_CARD) >= MIN_DARK_CONTRAST, "{css}");
                }
            }
        }
    }
}
