//! Lists: aligned columns with a header at a terminal, fields separated by tabs in a pipe, and
//! newline-delimited JSON with `--json`.

use chrono::{NaiveDateTime, Utc};
use serde::Serialize;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::output::{Output, Tone, note};
use crate::printable::printable;

/// Spaces between two columns.
const GAP: usize = 2;

/// The width below which a column is not cut, in cells of the terminal.
const MIN_WIDTH: usize = 12;

/// The end of a cell that was cut.
const CUT: char = '…';

/// A column of a list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    header: &'static str,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Is cut when the terminal is narrow.
    Text,
    /// Is cut before others are.
    Rest,
    /// Is never cut.
    Whole,
    /// A number: aligned to the right, never cut.
    Number,
    /// The last column: continues on the next line instead of being cut.
    Wrapped,
    /// Is left out when the terminal is narrow, the last one first.
    Optional,
    /// Is printed in a pipe only.
    Hidden,
}

impl Column {
    /// A column that is cut when the terminal is narrow.
    pub(super) const fn text(header: &'static str) -> Self {
        Self::new(header, Kind::Text)
    }

    /// A column that is cut before others are.
    pub(super) const fn rest(header: &'static str) -> Self {
        Self::new(header, Kind::Rest)
    }

    /// A column that is never cut, such as a time or a state.
    pub(super) const fn whole(header: &'static str) -> Self {
        Self::new(header, Kind::Whole)
    }

    /// A column of numbers.
    pub(super) const fn number(header: &'static str) -> Self {
        Self::new(header, Kind::Number)
    }

    /// A last column of sentences, which continue on the next line.
    pub(super) const fn wrapped(header: &'static str) -> Self {
        Self::new(header, Kind::Wrapped)
    }

    /// A column that is left out when the terminal is narrow.
    pub(super) const fn optional(header: &'static str) -> Self {
        Self::new(header, Kind::Optional)
    }

    /// A column that is printed in a pipe only.
    pub(super) const fn hidden(header: &'static str) -> Self {
        Self::new(header, Kind::Hidden)
    }

    const fn new(header: &'static str, kind: Kind) -> Self {
        Self { header, kind }
    }
}

/// A field of a row.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    /// The text in a pipe.
    text: String,
    /// The text at a terminal, if it is another one.
    shown: Option<String>,
    tone: Tone,
}

impl Cell {
    /// A text.
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            shown: None,
            tone: Tone::Plain,
        }
    }

    /// A time in UTC: relative to now at a terminal, and `text`, its exact form, in a pipe.
    pub(super) fn time(text: impl Into<String>, at: NaiveDateTime) -> Self {
        Self::new(text).shown_as(relative(at, Utc::now().naive_utc()))
    }

    /// Shows another text at a terminal.
    pub(super) fn shown_as(self, text: impl Into<String>) -> Self {
        Self {
            shown: Some(text.into()),
            ..self
        }
    }

    /// Colours the text.
    pub(super) fn tone(self, tone: Tone) -> Self {
        Self { tone, ..self }
    }
}

/// A list that is being printed. At a terminal, rows are printed by [`Self::end`] or
/// [`Self::flush`], which know the widths of the columns.
pub(super) struct Table {
    output: Output,
    /// What the rows are, in the plural.
    noun: &'static str,
    columns: &'static [Column],
    rows: Vec<Vec<Cell>>,
    /// The width of the widest cell of each column so far.
    widest: Vec<usize>,
    has_header: bool,
}

impl Table {
    pub(super) fn new(output: Output, noun: &'static str, columns: &'static [Column]) -> Self {
        Self {
            output,
            noun,
            columns,
            rows: Vec::new(),
            widest: vec![0; columns.len()],
            has_header: false,
        }
    }

    /// Adds a row: `value` with `--json`, otherwise a cell for each column.
    pub(super) fn row(&mut self, value: &impl Serialize, cells: Vec<Cell>) {
        if self.output.is_json() {
            self.output.print_json(value);
        } else if self.output.width().is_none() {
            let paint = |cell: &Cell| self.output.paint(cell.tone, &printable(&cell.text));
            let fields: Vec<String> = cells.iter().map(paint).collect();
            self.output.write(&fields.join("\t"));
        } else {
            self.rows.push(cells);
        }
    }

    /// Prints the rows so far. The columns of later rows are at least as wide.
    pub(super) fn flush(&mut self) {
        let Some(terminal) = self.output.width() else {
            return;
        };
        let rows: Vec<Vec<Cell>> = std::mem::take(&mut self.rows)
            .iter()
            .map(|cells| cells.iter().map(printable_cell).collect())
            .collect();
        for row in &rows {
            for (widest, cell) in self.widest.iter_mut().zip(row) {
                *widest = cell.text.width().max(*widest);
            }
        }
        if rows.is_empty() {
            return;
        }
        let widths = layout(self.columns, &self.widest, terminal);
        if !self.has_header {
            self.has_header = true;
            let header = |column: &Column| Cell::new(column.header).tone(Tone::Header);
            let headers: Vec<Cell> = self.columns.iter().map(header).collect();
            print_row(self.output, self.columns, &widths, &headers);
        }
        for row in &rows {
            print_row(self.output, self.columns, &widths, row);
        }
    }

    /// Ends the list. A terminal also shows that there are no rows.
    pub(super) fn end(mut self) {
        self.flush();
        if self.output.is_for_people() && !self.has_header {
            note(&format!("no {}", self.noun));
        }
    }
}

fn printable_cell(cell: &Cell) -> Cell {
    let text = cell.shown.as_deref().unwrap_or(&cell.text);
    Cell {
        text: printable(text),
        shown: None,
        tone: cell.tone,
    }
}

/// The widths of the columns in cells of the terminal; 0 for a column that is left out. `widest` has the
/// width of the widest cell of each.
fn layout(columns: &[Column], widest: &[usize], terminal: usize) -> Vec<usize> {
    let mut widths: Vec<usize> = columns
        .iter()
        .zip(widest)
        .map(|(column, &widest)| match column.kind {
            Kind::Hidden => 0,
            // An empty column says nothing.
            Kind::Optional if widest == 0 => 0,
            _ => widest.max(column.header.width()),
        })
        .collect();
    let excess = |widths: &[usize]| {
        let shown = widths.iter().filter(|width| **width > 0);
        let total: usize = shown.clone().sum::<usize>() + GAP * shown.count().saturating_sub(1);
        total.saturating_sub(terminal)
    };
    loop {
        let excess_now = excess(&widths);
        if excess_now == 0 {
            return widths;
        }
        let widest_of = |kinds: &[Kind]| {
            let all = widths.iter().zip(columns).enumerate();
            let flexible = all
                .filter(|(_, (width, column))| kinds.contains(&column.kind) && **width > MIN_WIDTH);
            flexible.map(|(at, (width, _))| (*width, at)).max()
        };
        let to_shrink =
            widest_of(&[Kind::Rest]).or_else(|| widest_of(&[Kind::Text, Kind::Wrapped]));
        if let Some((_, at)) = to_shrink {
            widths[at] -= 1;
            continue;
        }
        let optional = widths
            .iter()
            .zip(columns)
            .rposition(|(width, column)| column.kind == Kind::Optional && *width > 0);
        match optional {
            // The others may be wider again.
            Some(at) => {
                let mut shown = columns.to_vec();
                shown[at].kind = Kind::Hidden;
                return layout(&shown, widest, terminal);
            }
            // Narrower than any table: the terminal wraps the lines.
            None => return widths,
        }
    }
}

fn print_row(output: Output, columns: &[Column], widths: &[usize], cells: &[Cell]) {
    let mut line = String::new();
    let mut column_start = 0;
    let shown = columns.iter().zip(widths).zip(cells);
    for ((column, &width), cell) in shown.filter(|((_, width), _)| **width > 0) {
        if column_start > 0 {
            line.push_str(&" ".repeat(GAP));
        }
        let mut rest = Vec::new();
        let text = match column.kind {
            Kind::Text | Kind::Rest => cut(&cell.text, width),
            Kind::Wrapped => {
                rest = wrap(&cell.text, width);
                rest.remove(0)
            }
            _ => cell.text.clone(),
        };
        let padding = " ".repeat(width.saturating_sub(text.width()));
        let painted = output.paint(cell.tone, &text);
        match column.kind {
            Kind::Number => line.push_str(&format!("{padding}{painted}")),
            _ => line.push_str(&format!("{painted}{padding}")),
        }
        for text in rest {
            line.truncate(line.trim_end().len());
            let indent = " ".repeat(column_start);
            line.push_str(&format!("\n{indent}{}", output.paint(cell.tone, &text)));
        }
        column_start += width + GAP;
    }
    output.write(line.trim_end());
}

/// Cuts a text to a width.
fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut left = width.saturating_sub(1);
    let mut short: String = text
        .chars()
        .take_while(|character| {
            let taken = character.width().unwrap_or(0);
            let fits = taken <= left;
            left = left.saturating_sub(taken);
            fits
        })
        .collect();
    short.push(CUT);
    short
}

/// Breaks a text into lines of a width, at least one. A longer word stays whole, so that it can be
/// copied.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let is_full = lines
            .last()
            .is_some_and(|line| !line.is_empty() && line.width() + 1 + word.width() > width);
        if is_full {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

/// A time as people say it: `3 minutes ago`, `in 2 days`.
pub(super) fn relative(at: NaiveDateTime, now: NaiveDateTime) -> String {
    let seconds = (at - now).num_seconds();
    let (distance, is_past) = (seconds.unsigned_abs(), seconds < 0);
    // Rounds to the unit, and moves to the next one when the number is not smaller than its limit.
    let units = [
        ("second", 1.0, 60),
        ("minute", 60.0, 60),
        ("hour", 3_600.0, 48),
        ("day", 86_400.0, 60),
        ("month", 2_629_800.0, 24),
        ("year", 31_557_600.0, u64::MAX),
    ];
    let counts = units.map(|(unit, length, limit)| {
        let count = (distance as f64 / length).round() as u64;
        (unit, count, limit)
    });
    let fitting = counts.into_iter().find(|(_, count, limit)| count < limit);
    let (unit, count, _) = fitting.unwrap_or(("year", u64::MAX, u64::MAX));
    let plural = if count == 1 { "" } else { "s" };
    match (count, is_past) {
        (0, _) => "just now".to_owned(),
        (_, true) => format!("{count} {unit}{plural} ago"),
        (_, false) => format!("in {count} {unit}{plural}"),
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    const COLUMNS: [Column; 5] = [
        Column::number("ID"),
        Column::text("ADDRESS"),
        Column::text("NAME"),
        Column::whole("STATE"),
        Column::optional("SCOPES"),
    ];

    #[test]
    fn columns_fit_the_terminal_until_nothing_can_be_cut() {
        let at = |width| layout(&COLUMNS, &[2, 33, 12, 7, 3], width);
        assert_eq!(at(80), [2, 33, 12, 7, 6]);
        assert_eq!(at(67), [2, 32, 12, 7, 6]);
        assert_eq!(at(47), [2, 12, 12, 7, 6]);
        assert_eq!(at(46), [2, 19, 12, 7, 0], "the optional column is left out");
        assert_eq!(at(10), [2, 12, 12, 7, 0], "nothing else can be cut");
        assert_eq!(layout(&COLUMNS, &[1, 1, 1, 1, 0], 80), [2, 7, 4, 5, 0]);
        let with_rest = [Column::text("A"), Column::rest("B")];
        assert_eq!(layout(&with_rest, &[30, 40], 60), [30, 28]);
        assert_eq!(layout(&with_rest, &[30, 40], 40), [26, 12]);
    }

    #[test]
    fn texts_are_cut_and_wrapped_by_display_width() {
        assert_eq!(cut("ada", 3), "ada");
        assert_eq!(cut("adam", 3), "ad…");
        assert_eq!(cut("王芳王芳", 8), "王芳王芳");
        assert_eq!(cut("王芳王芳", 7), "王芳王…");
        assert_eq!(cut("王芳王芳", 6), "王芳…");
        assert_eq!(cut("e\u{301}e\u{301}e\u{301}", 2), "e\u{301}…");
        assert_eq!(wrap("", 5), [""]);
        assert_eq!(
            wrap("a bc def longer-than-that g", 6),
            ["a bc", "def", "longer-than-that", "g"]
        );
    }

    #[test]
    fn times_are_relative_in_the_largest_unit_that_says_enough() {
        let now = NaiveDateTime::default();
        let shown = |seconds| relative(now + TimeDelta::seconds(seconds), now);
        for (seconds, expected) in [
            (0, "just now"),
            (-1, "1 second ago"),
            (59, "in 59 seconds"),
            (-180, "3 minutes ago"),
            (3_590, "in 1 hour"),
            (-47 * 3_600, "47 hours ago"),
            (2 * 86_400 - 5, "in 2 days"),
            (59 * 86_400, "in 59 days"),
            (-90 * 86_400, "3 months ago"),
            (366 * 86_400, "in 12 months"),
            (-20 * 365 * 86_400, "20 years ago"),
        ] {
            assert_eq!(shown(seconds), expected);
        }
    }
}
