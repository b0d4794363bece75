//! The syntax of a `.env` file: that of `python-dotenv` 1.2 without interpolation, so that `$` is literal
//! and a secret with a `$` stays unchanged.
//!
//! A line is `NAME=value` or `export NAME=value`. An unquoted value is literal and ends at the end of the
//! line, or at a `#` after a blank. A quoted value may have several lines. Between single quotes, `\`
//! escapes `\` and `'`; between double quotes, also `"` and the letters of [`control_character`]. Other
//! backslashes are literal.
//!
//! A line that `python-dotenv` skips with a warning is an error here.

/// A setting of the file.
pub(super) struct Assignment {
    pub(super) name: String,
    pub(super) value: String,
    /// The line on which it begins, from 1.
    pub(super) line: usize,
}

/// A malformed line. Does not contain its text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadLine {
    /// The line on which it begins, from 1.
    pub(super) line: usize,
    pub(super) problem: &'static str,
}

const NO_ASSIGNMENT: &str = "expected NAME=value";
const OPEN_QUOTE: &str = "the quote is not closed";
const TEXT_AFTER_QUOTE: &str =
    "there is text after the closing quote; write a quote in the value as \\\" or \\'";
const NUL: &str = "U+0000 cannot be part of a value";

/// Parses all lines, including those after a malformed one.
pub(super) fn parse(text: &str) -> (Vec<Assignment>, Vec<BadLine>) {
    // As Python reads text files, also inside quotes.
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut cursor = Cursor {
        rest: text.strip_prefix('\u{feff}').unwrap_or(&text),
        line: 1,
    };
    let (mut assignments, mut bad) = (Vec::new(), Vec::new());
    while cursor.find_text() {
        let line = cursor.line;
        match cursor.assignment() {
            Ok(Some((name, value))) => assignments.push(Assignment { name, value, line }),
            Ok(None) => {}
            Err(problem) => bad.push(BadLine { line, problem }),
        }
        cursor.skip_line();
    }
    (assignments, bad)
}

struct Cursor<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Cursor<'a> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.take(next.len_utf8());
        Some(next)
    }

    /// Removes as many bytes from the beginning of the rest, and returns them.
    fn take(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(length);
        self.rest = rest;
        self.line += taken.bytes().filter(|byte| *byte == b'\n').count();
        taken
    }

    /// Removes the characters up to the first one of this kind.
    fn take_until(&mut self, is_end: impl Fn(char) -> bool) -> &'a str {
        self.take(self.rest.find(is_end).unwrap_or(self.rest.len()))
    }

    /// Skips blanks of the line. Returns whether there were any.
    fn skip_blanks(&mut self) -> bool {
        !self.take_until(|c| c == '\n' || !is_blank(c)).is_empty()
    }

    /// Advances to the next text that is not a comment. Returns whether there is any.
    fn find_text(&mut self) -> bool {
        loop {
            self.take_until(|c| !is_blank(c));
            match self.peek() {
                None => return false,
                Some('#') => self.skip_line(),
                Some(_) => return true,
            }
        }
    }

    fn skip_line(&mut self) {
        self.take_until(|c| c == '\n');
    }

    /// A name and its value; `None` for `export NAME`, which changes no value.
    fn assignment(&mut self) -> Result<Option<(String, String)>, &'static str> {
        let is_export = self
            .rest
            .strip_prefix("export")
            .is_some_and(|rest| rest.starts_with(|c| c != '\n' && is_blank(c)));
        if is_export {
            self.take("export".len());
            self.skip_blanks();
        }
        let name = self.name()?;
        self.skip_blanks();
        if self.peek() != Some('=') {
            let is_end = self.peek().is_none_or(|next| next == '\n' || next == '#');
            return (is_export && is_end).then_some(None).ok_or(NO_ASSIGNMENT);
        }
        self.next();
        let value = self.value()?;
        if value.contains('\0') {
            return Err(NUL);
        }
        Ok(Some((name.to_owned(), value)))
    }

    fn name(&mut self) -> Result<&'a str, &'static str> {
        let quoted = self.peek() == Some('\'');
        let name = if quoted {
            let rest = &self.rest[1..];
            let end = rest.find('\'').ok_or(OPEN_QUOTE)?;
            self.take(end + 2);
            &rest[..end]
        } else {
            self.take_until(|c| c == '=' || c == '#' || is_blank(c))
        };
        Some(name)
            .filter(|name| !name.is_empty())
            .ok_or(NO_ASSIGNMENT)
    }

    fn value(&mut self) -> Result<String, &'static str> {
        let blanks = self.skip_blanks();
        let quote = match self.peek() {
            Some('#') if blanks => return Ok(String::new()),
            Some(quote @ ('\'' | '"')) => quote,
            _ => return Ok(self.unquoted()),
        };
        let mut inside = Self {
            rest: &self.rest[1..],
            line: self.line,
        };
        let value = inside.quoted(quote).ok_or(OPEN_QUOTE)?;
        *self = inside;
        self.skip_blanks();
        match self.peek() {
            None | Some('\n' | '#') => Ok(value),
            Some(_) => Err(TEXT_AFTER_QUOTE),
        }
    }

    fn unquoted(&mut self) -> String {
        let line = self.take_until(|c| c == '\n');
        let comment = line
            .match_indices('#')
            .find(|(start, _)| line[..*start].ends_with(is_blank));
        let value = comment.map_or(line, |(start, _)| &line[..start]);
        value.trim_end_matches(is_blank).to_owned()
    }

    /// The text up to the closing quote; `None` if there is none.
    fn quoted(&mut self, quote: char) -> Option<String> {
        let mut value = String::new();
        loop {
            let next = self.next()?;
            if next == quote {
                return Some(value);
            }
            if next != '\\' {
                value.push(next);
                continue;
            }
            let escaped = self.next()?;
            match (quote, escaped) {
                (_, '\\' | '\'') | ('"', '"') => value.push(escaped),
                ('"', letter) => match control_character(letter) {
                    Some(control) => value.push(control),
                    None => value.extend(['\\', letter]),
                },
                _ => value.extend(['\\', escaped]),
            }
        }
    }
}

/// The character that a letter after a backslash stands for.
fn control_character(letter: char) -> Option<char> {
    Some(match letter {
        'a' => '\u{7}',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{b}',
        _ => return None,
    })
}

/// What `\s` matches in Python, and `str.rstrip` removes.
fn is_blank(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A text, and the names and values that `python-dotenv` 1.2.4 reads from it without interpolation.
    type Row = (&'static str, &'static [(&'static str, &'static str)]);

    #[rustfmt::skip]
    const READ_BY_PYTHON: &[Row] = &[
        ("K=v", &[("K", "v")]),
        ("  K  =  v  ", &[("K", "v")]),
        ("export K=v", &[("K", "v")]),
        ("export\tK =v", &[("K", "v")]),
        ("export=v", &[("export", "v")]),
        ("K=", &[("K", "")]),
        ("K=   ", &[("K", "")]),
        ("K=   # comment", &[("K", "")]),
        ("K= #c", &[("K", "")]),
        ("K=#c", &[("K", "#c")]),
        ("K=v # comment", &[("K", "v")]),
        ("K=v\t#comment", &[("K", "v")]),
        ("K=v#no", &[("K", "v#no")]),
        ("K=two words", &[("K", "two words")]),
        ("K=two words # c", &[("K", "two words")]),
        ("K='fo ur'", &[("K", "fo ur")]),
        ("K=\"fi ve\" # c", &[("K", "fi ve")]),
        ("K=\"fi ve\"#c", &[("K", "fi ve")]),
        ("K=s\\ ix", &[("K", "s\\ ix")]),
        ("K=a'b c'\"d\"e", &[("K", "a'b c'\"d\"e")]),
        ("K=a=b", &[("K", "a=b")]),
        ("K=abc$def", &[("K", "abc$def")]),
        ("K=${HOME}$HOME$", &[("K", "${HOME}$HOME$")]),
        ("K=\"${HOME}$HOME$\"", &[("K", "${HOME}$HOME$")]),
        ("K=\\$HOME", &[("K", "\\$HOME")]),
        ("K=\"\\$\\\\\\\"\\'\\ \\n\"", &[("K", "\\$\\\"'\\ \n")]),
        ("K='\\n \"#'", &[("K", "\\n \"#")]),
        ("K='it\\'s'", &[("K", "it's")]),
        ("K='a\\\\b'", &[("K", "a\\b")]),
        ("K='a\nb'", &[("K", "a\nb")]),
        ("K=\"a\n#b\"", &[("K", "a\n#b")]),
        ("K=v\r", &[("K", "v")]),
        ("K=v\r\nL=w\r\n", &[("K", "v"), ("L", "w")]),
        ("K=\"a\r\nb\"\r\nL=1", &[("K", "a\nb"), ("L", "1")]),
        ("K=\"a\\tb\\rc\\0d\\x41\"", &[("K", "a\tb\rc\\0d\\x41")]),
        ("K=\"\\a\\b\\f\\v\"", &[("K", "\u{7}\u{8}\u{c}\u{b}")]),
        ("K-1=v", &[("K-1", "v")]),
        ("1D=v", &[("1D", "v")]),
        ("K.x=v", &[("K.x", "v")]),
        ("'K q'=v", &[("K q", "v")]),
        ("K=\\n", &[("K", "\\n")]),
        ("K=a\\", &[("K", "a\\")]),
        ("K=\"a\\\\\"\nL=\"b\"", &[("K", "a\\"), ("L", "b")]),
        ("K==v", &[("K", "=v")]),
        ("K=\u{a0}v\u{a0}", &[("K", "v")]),
        ("K=\u{e9}\u{20ac}", &[("K", "\u{e9}\u{20ac}")]),
        ("# c\nK=v", &[("K", "v")]),
        ("K=`a b`", &[("K", "`a b`")]),
        ("K=v;w", &[("K", "v;w")]),
        ("K= 'q' ", &[("K", "q")]),
        ("K=a \"b\" c", &[("K", "a \"b\" c")]),
        ("export 'K'=v", &[("K", "v")]),
        ("K=\"\"", &[("K", "")]),
        ("K=''", &[("K", "")]),
        ("K=v   #", &[("K", "v")]),
        ("K= a  b   # c # d", &[("K", "a  b")]),
        ("K=a#b #c", &[("K", "a#b")]),
        ("K=\"a\\\nb\"", &[("K", "a\\\nb")]),
        ("K='a\\\nb'", &[("K", "a\\\nb")]),
        ("K=1\nK=2", &[("K", "1"), ("K", "2")]),
        ("K = \"x\"#y\nL=z", &[("K", "x"), ("L", "z")]),
        ("K='\u{2028}'", &[("K", "\u{2028}")]),
        ("K=a\u{2028}b", &[("K", "a\u{2028}b")]),
        ("K=\u{b}v", &[("K", "v")]),
        ("\u{b}K=v", &[("K", "v")]),
        ("K\u{e9}Y=1", &[("K\u{e9}Y", "1")]),
        ("K=a\rL=b", &[("K", "a"), ("L", "b")]),
    ];

    #[test]
    fn values_are_those_of_python_dotenv() {
        for (text, expected) in READ_BY_PYTHON {
            let (assignments, bad) = parse(text);
            assert_eq!(bad, [], "{text}");
            let read: Vec<_> = assignments
                .iter()
                .map(|a| (a.name.as_str(), a.value.as_str()))
                .collect();
            assert_eq!(read, *expected, "{text}");
        }
        assert_eq!(parse("\u{feff}K=v").0[0].name, "K");
    }

    #[test]
    fn malformed_lines_are_reported_by_number() {
        let text = "A=1\n=2\r\nB='b'x\n\n# comment\nC d=c\nexport D\nE='e\ne'\nF\nG=g\n\
                    H=\"h\" h\nI='open\nJ=\"j\nj\" j\nK=k\n";
        let (assignments, bad) = parse(text);
        let names: Vec<_> = assignments
            .iter()
            .map(|a| (a.name.as_str(), a.line))
            .collect();
        assert_eq!(names, [("A", 1), ("E", 8), ("G", 11), ("K", 16)]);
        let lines: Vec<_> = bad.iter().map(|bad| (bad.line, bad.problem)).collect();
        assert_eq!(
            lines,
            [
                (2, NO_ASSIGNMENT),
                (3, TEXT_AFTER_QUOTE),
                (6, NO_ASSIGNMENT),
                (10, NO_ASSIGNMENT),
                (12, TEXT_AFTER_QUOTE),
                (13, OPEN_QUOTE),
                (14, TEXT_AFTER_QUOTE),
            ]
        );
        assert_eq!(parse("K=a\0b").1[0].problem, NUL);
        assert_eq!(parse("'K=a").1[0].problem, OPEN_QUOTE);
    }
}
