//! Scopes: what a credential may do, as the space-separated names of RFC 6749 section 3.3.

/// Allows reading users at `/admin/users`.
pub const USERS_READ: &str = "users:read";
/// Allows changing users at `/admin/users`.
pub const USERS_WRITE: &str = "users:write";
/// Allows reading the audit events of all users at `/admin/events`.
pub const EVENTS_READ: &str = "events:read";
/// Allows introspecting other users' credentials at `/introspect`.
pub const INTROSPECT: &str = "introspect";

/// The scopes that the service itself checks. The operator's apps define every other name.
pub const RESERVED: [&str; 4] = [USERS_READ, USERS_WRITE, EVENTS_READ, INTROSPECT];

/// Maximum length of the scopes of a user or credential, in bytes.
pub const MAX_LENGTH: usize = 2_000;

/// A name that RFC 6749 does not allow, or a list that is too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("scopes are names of printable ASCII without quotes and backslashes, separated by spaces")]
pub struct InvalidScope;

/// Converts scopes to the stored form: each name once, in the given order, separated by one space.
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
            // Checked inside the loop: comparing every name with all earlier ones is quadratic.
            if length > MAX_LENGTH {
                return Err(InvalidScope);
            }
            names.push(name);
        }
    }
    Ok(names.join(" "))
}

/// Whether this is the name of one scope (RFC 6749 section 3.3) of at most [`MAX_LENGTH`] bytes.
/// Only such a text may be echoed in a header.
pub const fn is_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    if bytes.is_empty() || bytes.len() > MAX_LENGTH {
        return false;
    }
    let mut position = 0;
    while position < bytes.len() {
        if !is_allowed(bytes[position]) {
            return false;
        }
        position += 1;
    }
    true
}

/// The names in a list.
pub fn names(scopes: &str) -> impl Iterator<Item = &str> {
    scopes.split_ascii_whitespace()
}

/// Whether a list contains exactly this name.
pub fn contains(scopes: &str, name: &str) -> bool {
    names(scopes).any(|held| held == name)
}

/// The first name of `required` that is not in `held`.
pub fn first_missing<'a>(held: &str, required: &'a str) -> Option<&'a str> {
    names(required).find(|name| !contains(held, name))
}

/// The names that are in both, in the order of `first`.
pub fn intersection(first: &str, second: &str) -> String {
    let both: Vec<&str> = names(first).filter(|name| contains(second, name)).collect();
    both.join(" ")
}

/// The names of `first`, followed by those of `second` that `first` lacks.
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

/// Names of scopes, and prefixes of names: `orders:*` matches every name that starts with `orders:`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScopePatterns(Vec<String>);

impl ScopePatterns {
    /// Parses the patterns of a setting, each a name or a prefix followed by `*`.
    ///
    /// # Errors
    /// [`InvalidScope`] for a pattern with a character that RFC 6749 does not allow.
    pub fn new(patterns: Vec<String>) -> Result<Self, InvalidScope> {
        match patterns
            .iter()
            .all(|pattern| pattern.bytes().all(is_allowed))
        {
            true => Ok(Self(patterns)),
            false => Err(InvalidScope),
        }
    }

    /// Whether a pattern matches this name. No pattern matches a scope in [`RESERVED`].
    pub fn matches(&self, name: &str) -> bool {
        let is_match = |pattern: &String| match pattern.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => name == pattern,
        };
        !RESERVED.contains(&name) && self.0.iter().any(is_match)
    }
}

/// Whether the name of a scope may contain this byte (RFC 6749 section 3.3).
const fn is_allowed(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x5B | 0x5D..=0x7E)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn union_and_difference_work_on_names() {
        assert_eq!(union("a b", "c b"), Ok("a b c".to_owned()));
        assert_eq!(union("", ""), Ok(String::new()));
        assert_eq!(union("a", "b\\"), Err(InvalidScope));
        assert_eq!(union(&"a".repeat(MAX_LENGTH), "b"), Err(InvalidScope));
        assert_eq!(difference("a b c", "b d"), "a c");
        assert_eq!(difference("a", "a"), "");
    }

    #[test]
    fn pattern_is_a_name_or_a_prefix() {
        let parse = |patterns: &[&str]| {
            ScopePatterns::new(patterns.iter().map(|&pattern| pattern.to_owned()).collect())
        };
        let patterns = parse(&["orders:*", "reports", "*:any*"]).unwrap();
        for name in ["orders:read", "orders:", "reports", "*:anything"] {
            assert!(patterns.matches(name), "{name}");
        }
        for name in [
            "orders",
            "Orders:read",
            "reports:read",
            "report",
            "",
            "x:any",
        ] {
            assert!(!patterns.matches(name), "{name}");
        }
        let every = parse(&["*", USERS_READ]).unwrap();
        assert!(every.matches("payments:refund"));
        assert!(RESERVED.iter().all(|name| !every.matches(name)));
        assert!(!ScopePatterns::default().matches("orders:read"));
        assert_eq!(parse(&["a b"]), Err(InvalidScope));
    }

    #[test]
    fn normalise_deduplicates_and_rejects_invalid_names() {
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
    fn is_name_accepts_exactly_one_scope() {
        for name in ["a", "items:read", "https://example.com/x"] {
            assert!(is_name(name), "{name}");
        }
        let long = "a".repeat(MAX_LENGTH + 1);
        for other in ["", "a b", "say\"so", "(not a scope)", "\u{fffd}", &long] {
            assert!(!is_name(other), "{other}");
        }
    }

    #[test]
    fn names_match_whole_and_case_sensitively() {
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
