//! The syntax of a `.env` file: that of the crate `dotenvy`, except that `$` is literal, so that a secret
//! with a `$` stays unchanged.
//!
//! A line is `NAME=value` or `export NAME=value`. `#` starts a comment at the beginning of a line and
//! after a blank. A value ends at a blank unless it is quoted. Between single quotes all characters are
//! literal; otherwise `\` escapes `\`, `'`, `"`, `$` and a blank, and `\n` is a line break. A quoted value
//! may have several lines.

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
const UNKNOWN_ESCAPE: &str = "write a backslash as \\\\, or between single quotes";
const TEXT_AFTER_VALUE: &str = "put a value with blanks between quotes";
const NUL: &str = "U+0000 cannot be part of a value";

/// Parses all lines, including those after a malformed one.
pub(super) fn parse(text: &str) -> (Vec<Assignment>, Vec<BadLine>) {
    let mut cursor = Cursor {
        rest: text.strip_prefix('\u{feff}').unwrap_or(text),
        line: 1,
    };
    let (mut assignments, mut bad) = (Vec::new(), Vec::new());
    while cursor.find_text() {
        let line = cursor.line;
        match cursor.assignment() {
            Ok((name, value)) => assignments.push(Assignment { name, value, line }),
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

impl Cursor<'_> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.rest = &self.rest[next.len_utf8()..];
        self.line += usize::from(next == '\n');
        Some(next)
    }

    /// Skips blanks. Returns whether there were any.
    fn skip_blanks(&mut self) -> bool {
        let before = self.rest.len();
        while matches!(self.peek(), Some(' ' | '\t')) {
            self.next();
        }
        self.rest.len() < before
    }

    /// Advances to the next text that is not a comment. Returns whether there is any.
    fn find_text(&mut self) -> bool {
        while let Some(next) = self.peek() {
            match next {
                ' ' | '\t' | '\r' | '\n' => drop(self.next()),
                '#' => self.skip_line(),
                _ => return true,
            }
        }
        false
    }

    fn skip_line(&mut self) {
        while self.peek().is_some_and(|next| next != '\n') {
            self.next();
        }
    }

    fn is_at_line_end(&self) -> bool {
        let rest = self.rest.strip_prefix('\r').unwrap_or(self.rest);
        rest.is_empty() || rest.starts_with('\n')
    }

    fn assignment(&mut self) -> Result<(String, String), &'static str> {
        let mut name = self.name()?;
        if name == "export" && self.peek() != Some('=') {
            name = self.name()?;
        }
        if self.peek() != Some('=') {
            return Err(NO_ASSIGNMENT);
        }
        self.next();
        let value = self.value()?;
        if value.contains('\0') {
            return Err(NUL);
        }
        Ok((name, value))
    }

    /// A name, and the blanks after it.
    fn name(&mut self) -> Result<String, &'static str> {
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
        let end = self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        if !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
            return Err(NO_ASSIGNMENT);
        }
        self.rest = rest;
        self.skip_blanks();
        Ok(name.to_owned())
    }

    fn value(&mut self) -> Result<String, &'static str> {
        let mut value = String::new();
        if self.skip_blanks() && self.peek() == Some('#') {
            return Ok(value);
        }
        while !self.is_at_line_end() {
            if self.skip_blanks() {
                if self.is_at_line_end() || self.peek() == Some('#') {
                    break;
                }
                return Err(TEXT_AFTER_VALUE);
            }
            match self.next() {
                Some('\'') => self.single_quoted(&mut value)?,
                Some('"') => self.double_quoted(&mut value)?,
                Some('\\') => value.push(self.escaped()?),
                Some(plain) => value.push(plain),
                None => break,
            }
        }
        Ok(value)
    }

    fn single_quoted(&mut self, value: &mut String) -> Result<(), &'static str> {
        loop {
            match self.next().ok_or(OPEN_QUOTE)? {
                '\'' => return Ok(()),
                plain => value.push(plain),
            }
        }
    }

    fn double_quoted(&mut self, value: &mut String) -> Result<(), &'static str> {
        loop {
            match self.next().ok_or(OPEN_QUOTE)? {
                '"' => return Ok(()),
                '\\' => value.push(self.escaped()?),
                plain => value.push(plain),
            }
        }
    }

    /// The character that an escape stands for.
    fn escaped(&mut self) -> Result<char, &'static str> {
        match self.peek() {
            Some('n') => {
                self.next();
                Ok('\n')
            }
            Some(plain @ ('\\' | '\'' | '"' | '$' | ' ')) => {
                self.next();
                Ok(plain)
            }
            _ => Err(UNKNOWN_ESCAPE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(String, String, usize)> {
        let (assignments, bad) = parse(text);
        assert_eq!(bad, [], "{text}");
        let read = assignments.into_iter();
        read.map(|Assignment { name, value, line }| (name, value, line))
            .collect()
    }

    #[test]
    fn values_are_parsed_like_dotenvy_except_dollars() {
        for (line, value) in [
            ("K=v", "v"),
            ("  K  =  v  ", "v"),
            ("export K=v", "v"),
            ("export\tK =v", "v"),
            ("K=", ""),
            ("K=   ", ""),
            ("K=   # comment", ""),
            ("K=v # comment", "v"),
            ("K=v\t#comment", "v"),
            ("K=v#no-comment", "v#no-comment"),
            ("K=#no-comment", "#no-comment"),
            ("K='fo ur'", "fo ur"),
            ("K=\"fi ve\" # comment", "fi ve"),
            ("K=s\\ ix", "s ix"),
            ("K=a'b c'\"d\"e", "ab cde"),
            ("K='' # comment", ""),
            ("K=a=b", "a=b"),
            ("K=abc$def", "abc$def"),
            ("K=${HOME}$HOME$", "${HOME}$HOME$"),
            ("K=\"${HOME}$HOME$\"", "${HOME}$HOME$"),
            ("K='${HOME}$HOME$'", "${HOME}$HOME$"),
            ("K=\\$HOME", "$HOME"),
            ("K=\"\\$\\\\\\\"\\'\\ \\n\"", "$\\\"' \n"),
            ("K='\\n \"#'", "\\n \"#"),
            ("K='a\nb'", "a\nb"),
            ("K=\"a\n#b\"", "a\n#b"),
            ("K=v\r", "v"),
            ("\u{feff}K=v", "v"),
        ] {
            let read = read(line);
            assert_eq!(read.len(), 1, "{line}");
            assert_eq!(
                (read[0].0.as_str(), read[0].1.as_str()),
                ("K", value),
                "{line}"
            );
        }
    }

    #[test]
    fn dotenvy_agrees_on_lines_without_dollars() {
        for line in [
            "K=v",
            " K = v",
            "export K=v",
            "K=",
            "K=  # c",
            "K=v # c",
            "K=v#c",
            "K='a b'",
            "K=\"a b\" #c",
            "K=s\\ ix",
            "K=a'b c'\"d\"e",
            "K=a=b",
            "K='\\n \"#'",
            "K='a\nb'",
            "K.1_b=v",
            "export=v",
        ] {
            let theirs = dotenvy::from_read_iter(line.as_bytes());
            let theirs: Vec<_> = theirs.map(Result::unwrap).collect();
            let ours: Vec<_> = read(line).into_iter().map(|(k, v, _)| (k, v)).collect();
            assert_eq!(ours, theirs, "{line}");
        }
    }

    #[test]
    fn malformed_lines_are_reported_by_number() {
        let text = "A=1\n=2\nB=b\\x\n\n# comment\nC=c d\n1D=x\nE='e\ne'\nF\nG=g\nH='open\nI=i\n";
        let (assignments, bad) = parse(text);
        let names: Vec<_> = assignments
            .iter()
            .map(|a| (a.name.as_str(), a.line))
            .collect();
        assert_eq!(names, [("A", 1), ("E", 8), ("G", 11)]);
        let lines: Vec<_> = bad.iter().map(|bad| (bad.line, bad.problem)).collect();
        assert_eq!(
            lines,
            [
                (2, NO_ASSIGNMENT),
                (3, UNKNOWN_ESCAPE),
                (6, TEXT_AFTER_VALUE),
                (7, NO_ASSIGNMENT),
                (10, NO_ASSIGNMENT),
                (12, OPEN_QUOTE),
            ]
        );
        assert_eq!(parse("K=a\0b").1[0].problem, NUL);
        assert_eq!(parse("K=a\\").1[0].problem, UNKNOWN_ESCAPE);
    }
}
