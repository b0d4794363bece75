//! The brand's colour in the shades that are readable (WCAG 2.2, success criterion 1.4.3).

use crate::config::Colour;

/// The least contrast of text.
const MIN_CONTRAST: f64 = 4.5;

/// The same for links on dark pages, which look dim below this.
const MIN_DARK_CONTRAST: f64 = 7.0;

/// The backgrounds of text in the colour: the page, light and dark. Those of `style.css`.
const LIGHT_PAGE: Colour = Colour([0xf6, 0xf6, 0xf3]);
const DARK_CARD: Colour = Colour([0x1b, 0x20, 0x23]);

/// The variables of the stylesheet that depend on the brand, for light and dark.
pub(super) fn variables(brand: Colour) -> String {
    let (brand, on_brand) = brand.button();
    let light = brand.readable(LIGHT_PAGE, Colour::BLACK, MIN_CONTRAST);
    let dark = brand.readable(DARK_CARD, Colour::WHITE, MIN_DARK_CONTRAST);
    format!(
        ":root{{--brand:{brand};--on-brand:{on_brand};--accent:{light}}}\
         @media (prefers-color-scheme:dark){{:root{{--accent:{dark}}}}}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

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
                    assert!(brand.contrast(on_brand) >= MIN_CONTRAST, "{css}");
                    assert!(light.contrast(LIGHT_PAGE) >= MIN_CONTRAST, "{css}");
                    assert!(dark.contrast(DARK_CARD) >= MIN_DARK_CONTRAST, "{css}");
                }
            }
        }
    }
}
