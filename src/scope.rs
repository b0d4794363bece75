//! Scopes: what a credential may do, as the space-separated names of RFC 6749 section 3.3.

/// Sees users at `/admin/users`.
pub const USERS_READ: &str = "users:read";
/// Changes users at `/admin/users`.
pub const USERS_WRITE: &str = "users:write";
/// Sees everybody's audit events at `/admin/events`.
pub const EVENTS_READ: &str = "events:read";
/// Asks `/introspect` about other people's credentials.
pub const INTROSPECT: &str = "introspect";

/// The scopes that mean something to the service itself. Every other name means what the
/// operator's own apps take it for.
pub const OWN: [&str; 4] = [USERS_READ, USERS_WRITE, EVENTS_READ, INTROSPECT];

/// The most that the scopes of one user or credential may take up, in bytes.
pub const MAX_LENGTH: usize = 2_000;

/// Names that RFC 6749 does not allow, or too many of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("scopes are names of printable ASCII without quotes and backslashes, separated by spaces")]
pub struct InvalidScope;

/// Puts scopes into the form in which they are stored: each once, in the order given, one space
/// between two.
///
/// # Errors
/// [`InvalidScope`] for a character that RFC 6749 section 3.3 does not allow, and beyond
/// [`MAX_LENGTH`].
pub fn normalise(scopes: &str) -> Result<String, InvalidScope> {
    let mut names: Vec<&str> = Vec::new();
    let mut length = 0;
    for name in scopes.split(' ').filter(|name| !name.is_empty()) {
        if !is_name(name) {
            return Err(InvalidScope);
        }
        if !names.contains(&name) {
            length += name.len() + usize::from(!names.is_empty());
            // At once: comparing each of many names with all before it takes long.
            if length > MAX_LENGTH {
                return Err(InvalidScope);
            }
            names.push(name);
        }
    }
    Ok(names.join(" "))
}

/// Whether this is the name of one scope, by RFC 6749 section 3.3, and no longer than a list of
/// them may be. Only such a text may be repeated in a header.
pub fn is_name(text: &str) -> bool {
    let is_allowed = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5B | 0x5D..=0x7E);
    (1..=MAX_LENGTH).contains(&text.len()) && text.bytes().all(is_allowed)
}

/// The names in a list.
pub fn names(scopes: &str) -> impl Iterator<Item = &str> {
    scopes.split_ascii_whitespace()
}

/// Whether a list holds this name, exactly as it is written.
pub fn contains(scopes: &str, name: &str) -> bool {
    names(scopes).any(|held| held == name)
}

/// The first name of `wanted` that is not in `held`.
pub fn first_missing<'a>(held: &str, wanted: &'a str) -> Option<&'a str> {
    names(wanted).find(|name| !contains(held, name))
}

/// The names that are in both, in the order of `first`.
pub fn intersection(first: &str, second: &str) -> String {
    let both: Vec<&str> = names(first).filter(|name| contains(second, name)).collect();
    both.join(" ")
}

/// The names of `first`, then those of `second` that are not among them.
///
/// # Errors
/// [`InvalidScope`] as [`normalise`].
pub fn union(first: &str, second: &str) -> Result<String, InvalidScope> {
    normalise(&format!("{first} {second}"))
}

/// The names of `first` that are not in `second`.
pub fn difference(first: &str, second: &str) -> String {
    let left: Vec<&str> = names(first)
        .filter(|name| !contains(second, name))
        .collect();
    left.join(" ")
}

/// Names of scopes, and beginnings of names: `orders:*` stands for every name that begins with
/// `orders:`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScopePatterns(Vec<String>);

impl ScopePatterns {
    /// Patterns as in a setting, each a name or the beginning of one with `*` at its end.
    ///
    /// # Errors
    /// [`InvalidScope`] for one that holds a character that no name has.
    pub fn new(patterns: Vec<String>) -> Result<Self, InvalidScope> {
        match patterns
            .iter()
            .all(|pattern| pattern.bytes().all(is_allowed))
        {
            true => Ok(Self(patterns)),
            false => Err(InvalidScope),
        }
    }

    /// Whether one of them stands for this name. None stands for a scope in [`OWN`].
    pub fn include(&self, name: &str) -> bool {
        let is_meant = |pattern: &String| match pattern.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => name == pattern,
        };
        !OWN.contains(&name) && self.0.iter().any(is_meant)
    }
}

/// Whether a name of a scope may hold this byte (RFC 6749 section 3.3).
fn is_allowed(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x5B | 0x5D..=0x7E)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_of_names_are_joined_and_subtracted() {
        assert_eq!(union("a b", "c b"), Ok("a b c".to_owned()));
        assert_eq!(union("", ""), Ok(String::new()));
        assert_eq!(union("a", "b\\"), Err(InvalidScope));
        assert_eq!(union(&"a".repeat(MAX_LENGTH), "b"), Err(InvalidScope));
        assert_eq!(difference("a b c", "b d"), "a c");
        assert_eq!(difference("a", "a"), "");
    }

    #[test]
    fn a_pattern_is_a_name_or_the_beginning_of_one() {
        let of = |patterns: &[&str]| {
            ScopePatterns::new(patterns.iter().map(|&pattern| pattern.to_owned()).collect())
        };
        let patterns = of(&["orders:*", "reports", "*:any*"]).unwrap();
        for name in ["orders:read", "orders:", "reports", "*:anything"] {
            assert!(patterns.include(name), "{name}");
        }
        for name in [
            "orders",
            "Orders:read",
            "reports:read",
            "report",
            "",
            "x:any",
        ] {
            assert!(!patterns.include(name), "{name}");
        }
        let every = of(&["*", USERS_READ]).unwrap();
        assert!(every.include("payments:refund"));
        assert!(OWN.iter().all(|name| !every.include(name)));
        assert!(!ScopePatterns::default().include("orders:read"));
        assert_eq!(of(&["a b"]), Err(InvalidScope));
    }

    #[test]
    fn scopes_are_normalised_and_bad_ones_refused() {
        for (given, stored) in [
            ("", Ok("")),
            ("   ", Ok("")),
            ("a", Ok("a")),
            (" b  a b ", Ok("b a")),
            (
                "items:read https://example.com/x [~!#",
                Ok("items:read https://example.com/x [~!#"),
            ),
            ("a\tb", Err(InvalidScope)),
            ("a\nb", Err(InvalidScope)),
            ("say\"so", Err(InvalidScope)),
            ("back\\slash", Err(InvalidScope)),
            ("caf\u{e9}", Err(InvalidScope)),
            ("nul\0", Err(InvalidScope)),
        ] {
            assert_eq!(normalise(given), stored.map(str::to_owned), "{given:?}");
        }
        assert_eq!(normalise(&"a".repeat(MAX_LENGTH + 1)), Err(InvalidScope));
        let many: Vec<String> = (0..MAX_LENGTH).map(|number| number.to_string()).collect();
        assert_eq!(normalise(&many.join(" ")), Err(InvalidScope));
        assert_eq!(normalise(&"a ".repeat(MAX_LENGTH)), Ok("a".to_owned()));
        let longest = "a".repeat(MAX_LENGTH);
        assert_eq!(normalise(&longest), Ok(longest));
    }

    #[test]
    fn a_name_is_one_scope() {
        for name in ["a", "items:read", "https://example.com/x"] {
            assert!(is_name(name), "{name}");
        }
        let long = "a".repeat(MAX_LENGTH + 1);
        for other in ["", "a b", "say\"so", "(not a scope)", "\u{fffd}", &long] {
            assert!(!is_name(other), "{other}");
        }
    }

    #[test]
    fn names_are_compared_whole_and_in_their_case() {
        assert!(contains("users:read events:read", "events:read"));
        for other in [
            "users",
            "users:rea",
            "Users:read",
            "",
            "users:read events:read",
        ] {
            assert!(!contains("users:read events:read", other), "{other}");
        }
        assert_eq!(first_missing("a b", "b a"), None);
        assert_eq!(first_missing("a b", "a c d"), Some("c"));
        assert_eq!(first_missing("", ""), None);
        assert_eq!(intersection("c a b", "b c d"), "c b");
        assert_eq!(intersection("a", ""), "");
    }
}
