//! The languages of the pages.

/// A language of the pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    English,
    German,
    Spanish,
    French,
}

impl Language {
    /// All of them, in the order of the columns of the texts. The first one is the default.
    pub(crate) const ALL: [Self; 4] = [Self::English, Self::German, Self::Spanish, Self::French];

    /// The code, as in the attribute `lang` (BCP 47).
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
            Self::Spanish => "es",
            Self::French => "fr",
        }
    }

    /// What its speakers call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::English => "English",
            Self::German => "Deutsch",
            Self::Spanish => "Español",
            Self::French => "Français",
        }
    }

    /// The language of a code, with or without a region: `de`, `de-AT`.
    pub(crate) fn of_code(code: &str) -> Option<Self> {
        let primary = code.split('-').next().unwrap_or_default();
        let is_named = |language: &Self| language.code().eq_ignore_ascii_case(primary);
        Self::ALL.into_iter().find(is_named)
    }

    /// The language that a client prefers by its header `Accept-Language` (RFC 9110 section 12.5.4).
    pub(crate) fn preferred(accepted: &str) -> Self {
        let ranges = accepted.split(',').take(20).filter_map(|range| {
            let mut parts = range.split(';').map(str::trim);
            let language = Self::of_code(parts.next()?)?;
            let weight = parts.find_map(|part| part.strip_prefix("q="));
            let weight = weight.map_or(Some(1.0), |weight| weight.parse().ok());
            let weight: f32 = weight.filter(|weight| (0.0..=1.0).contains(weight))?;
            (weight > 0.0).then_some((language, weight))
        });
        // Of equal ones, the first.
        let best = ranges.reduce(|best, next| if next.1 > best.1 { next } else { best });
        best.map_or(Self::English, |(language, _)| language)
    }

    /// The place among [`Self::ALL`].
    pub(super) fn column(self) -> usize {
        self as usize
    }

    /// The form of a text for a number: texts have the forms for one and for several, separated by `|`,
    /// and `{n}` stands for the number. In French, 0 takes the form for one (CLDR).
    pub(crate) fn count(self, text: &str, number: u64) -> String {
        let is_one = match self {
            Self::French => number < 2,
            Self::English | Self::German | Self::Spanish => number == 1,
        };
        let (one, several) = text.split_once('|').unwrap_or((text, text));
        fill(if is_one { one } else { several }, "n", &number.to_string())
    }
}

/// Replaces `{name}` in a text.
pub(crate) fn fill(text: &str, name: &str, value: &str) -> String {
    text.replace(&format!("{{{name}}}"), value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browser_gets_the_language_that_it_prefers() {
        for (accepted, code) in [
            ("", "en"),
            ("de", "de"),
            ("de-AT,de;q=0.9,en;q=0.8", "de"),
            ("nl, fr;q=0.5, es;q=0.7", "es"),
            ("en;q=0.3,FR-ca;q=0.3", "en"),
            ("de;q=0, fr;q=0.1", "fr"),
            ("de;q=x, fr;q=2", "en"),
            ("*", "en"),
            ("zh-Hant, ja", "en"),
        ] {
            assert_eq!(Language::preferred(accepted).code(), code, "{accepted}");
        }
    }

    #[test]
    fn numbers_take_the_plural_of_the_language() {
        let forms = |language: Language| {
            [0, 1, 2].map(|number| language.count("{n} session|{n} sessions", number))
        };
        assert_eq!(
            forms(Language::English),
            ["0 sessions", "1 session", "2 sessions"]
        );
        assert_eq!(
            forms(Language::French),
            ["0 session", "1 session", "2 sessions"]
        );
    }
}
