//! The templates in the program.

/// Around the text of every mail.
pub(super) const TEXT_LAYOUT: &str = "layout.txt";

/// Around the HTML of every mail.
pub(super) const HTML_LAYOUT: &str = "layout.html";

macro_rules! in_language {
    ($language:literal: $($kind:literal)*) => {
        [$((
            concat!($kind, ".", $language, ".txt"),
            include_str!(concat!("templates/", $kind, ".", $language, ".txt")),
        ),)*]
    };
}

macro_rules! in_all_languages {
    ($($kind:literal)*) => {
        [
            in_language!("en": $($kind)*),
            in_language!("de": $($kind)*),
            in_language!("es": $($kind)*),
            in_language!("fr": $($kind)*),
        ]
    };
}

/// The kinds of mails in each language, by the names of their files.
const KINDS: [[(&str, &str); 16]; 4] = in_all_languages!(
    "reset-password" "verify-address" "confirm-change" "address-taken" "unknown-account" "invitation"
    "password-changed" "address-changed" "key-created" "new-device" "refresh-reuse"
    "factor-added" "factor-removed" "recovery-codes-made" "recovery-code-used" "passkey-copied"
);

/// All templates: the names of their files, and their texts.
pub(super) fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    let layouts = [
        (TEXT_LAYOUT, include_str!("templates/layout.txt")),
        (HTML_LAYOUT, include_str!("templates/layout.html")),
    ];
    KINDS.as_flattened().iter().copied().chain(layouts)
}
