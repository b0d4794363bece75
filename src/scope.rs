//! Scopes: what a credential may do, as the space-separated names of RFC 6749 section 3.3.

/// The part of `granted` that `requested` asks for; all of it when nothing is asked for.
///
/// A sign-in may ask for less than the user holds and is never given more. Names that the user
/// does not hold are passed over, as the tutorial passes over the whole parameter; the answer says
/// which scopes the token has (RFC 6749 section 5.1).
pub fn narrow(granted: &str, requested: Option<&str>) -> String {
    let wanted: Option<Vec<&str>> = requested
        .map(|names| names.split_ascii_whitespace().collect())
        .filter(|names: &Vec<&str>| !names.is_empty());
    granted
        .split_ascii_whitespace()
        .filter(|name| wanted.as_ref().is_none_or(|wanted| wanted.contains(name)))
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::narrow;

    #[test]
    fn a_request_narrows_and_never_widens() {
        for (granted, requested, given) in [
            ("", None, ""),
            ("", Some("items:read openid"), ""),
            ("a b c", None, "a b c"),
            ("a b c", Some(""), "a b c"),
            ("a b c", Some("  "), "a b c"),
            ("a b c", Some("c a"), "a c"),
            ("a b c", Some("a d"), "a"),
            ("a b", Some("A"), ""),
        ] {
            assert_eq!(
                narrow(granted, requested),
                given,
                "{granted:?} {requested:?}"
            );
        }
    }
}
