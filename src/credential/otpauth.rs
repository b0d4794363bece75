//! What an authenticator app reads: the URI of a seed, and the same as a QR code.

use std::fmt::Write;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use qrcodegen::{QrCode, QrCodeEcc};

use crate::credential::totp::Seed;

/// Everything but the unreserved characters of RFC 3986: apps show a `+` for a blank.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// White modules around a code: ISO/IEC 18004 wants four, and many scanners need them.
const QUIET_ZONE: i32 = 4;

/// The URI of a seed, as Google's apps define it. Issuer and account have no colon, which would end the
/// issuer in the label. All parameters have the values that every app assumes, so none is named.
pub(crate) fn otpauth_uri(issuer: &str, account: &str, seed: &Seed) -> String {
    let encode = |text: &str| {
        let text: String = text.chars().filter(|c| *c != ':').collect();
        utf8_percent_encode(text.trim(), RESERVED).to_string()
    };
    let (issuer, account) = (encode(issuer), encode(account));
    let secret = seed.to_base32();
    format!(
        "otpauth://totp/{issuer}:{account}?secret={}&issuer={issuer}",
        secret.as_str()
    )
}

/// A text as a QR code in SVG, black on white with its own background, so that it can be read on a dark page;
/// `None` if the text is too long for one.
pub(crate) fn qr_svg(text: &str) -> Option<String> {
    let code = QrCode::encode_text(text, QrCodeEcc::Low).ok()?;
    let size = code.size() + 2 * QUIET_ZONE;
    let mut path = String::new();
    for y in 0..code.size() {
        for x in (0..code.size()).filter(|x| code.get_module(*x, y)) {
            // Writing to a `String` does not fail.
            let _ = write!(path, "M{},{}h1v1h-1z", x + QUIET_ZONE, y + QUIET_ZONE);
        }
    }
    Some(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {size} {size}\" \
         shape-rendering=\"crispEdges\"><path fill=\"#fff\" d=\"M0,0h{size}v{size}H0z\"/>\
         <path fill=\"#000\" d=\"{path}\"/></svg>"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strictest_app_reads_the_uri() {
        let seed = Seed::from_bytes(b"12345678901234567890").unwrap();
        assert_eq!(
            otpauth_uri("Müller & Co: Test", "user+tag@example.com", &seed),
            "otpauth://totp/M%C3%BCller%20%26%20Co%20Test:user%2Btag%40example.com?\
             secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=M%C3%BCller%20%26%20Co%20Test"
        );
    }

    #[test]
    fn code_has_a_background_and_a_quiet_zone() {
        let svg = qr_svg("otpauth://totp/a:b?secret=GEZDGNBV&issuer=a").unwrap();
        let (_, size) = svg.split_once("viewBox=\"0 0 ").unwrap();
        let size: i32 = size.split_once(' ').unwrap().0.parse().unwrap();
        assert!(svg.contains(&format!("fill=\"#fff\" d=\"M0,0h{size}v{size}H0z\"")));
        // The finder pattern begins after the quiet zone.
        assert!(svg.contains("M4,4h1v1h-1z"));
        assert!(!svg.contains("M3,") && !svg.contains(",3h1"));
        assert!(qr_svg(&"a".repeat(4_000)).is_none());
    }
}
