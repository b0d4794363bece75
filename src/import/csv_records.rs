//! The records of a CSV file.

use std::io::{self, BufRead};

use csv_core::{ReadRecordResult, Reader};

use super::values::Value;

/// The maximum number of fields of a record.
const MAX_FIELDS: usize = 1_000;

/// A record of a CSV file.
pub(super) struct Record {
    /// The line on which it begins, from 1.
    pub(super) line: u64,
    /// `None` when it is too long, or has another number of fields than the header.
    pub(super) fields: Option<Vec<Value>>,
}

/// Reads the records of a CSV file (RFC 4180) one by one, within bounds. A quote that is not closed would
/// join all lines up to the next one: a malformed record ends at the end of its first line.
pub(super) struct Records<R> {
    input: R,
    /// Lines to read again.
    again: io::Cursor<Vec<u8>>,
    core: Reader,
    output: Vec<u8>,
    ends: Vec<usize>,
    /// The number of fields, once it is known.
    pub(super) width: Option<usize>,
}

impl<R: BufRead> Records<R> {
    /// Reads records of at most `max_bytes`.
    pub(super) fn new(input: R, max_bytes: usize) -> Self {
        Self {
            input,
            again: io::Cursor::default(),
            core: Reader::new(),
            output: vec![0; max_bytes],
            ends: vec![0; MAX_FIELDS],
            width: None,
        }
    }

    /// The next record; `None` after the last one.
    pub(super) fn next(&mut self) -> io::Result<Option<Record>> {
        let mut line = self.core.line();
        let (mut output, mut ends, mut raw) = (0, 0, Vec::new());
        let is_whole = loop {
            let is_again = !self.again.fill_buf()?.is_empty();
            let input = if is_again {
                self.again.fill_buf()?
            } else {
                self.input.fill_buf()?
            };
            let (result, read, written, ended) =
                self.core
                    .read_record(input, &mut self.output[output..], &mut self.ends[ends..]);
            raw.extend_from_slice(&input[..read]);
            if is_again {
                self.again.consume(read);
            } else {
                self.input.consume(read);
            }
            output += written;
            ends += ended;
            if raw.iter().all(|byte| is_line_break(*byte)) {
                line += count_lines(&raw);
                raw.clear();
            }
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull => break false,
                ReadRecordResult::End => return Ok(None),
                ReadRecordResult::Record => break true,
            }
        };
        let blank = raw.iter().take_while(|byte| is_line_break(**byte)).count();
        line += count_lines(&raw[..blank]);
        let raw = &raw[blank..];
        let first_line = raw.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
        let has_several_lines = first_line.is_some_and(|end| end < raw.len());
        let are_quotes_paired = raw.iter().filter(|byte| **byte == b'"').count() % 2 == 0;
        let is_expected = is_whole
            && self.width.is_none_or(|width| width == ends)
            && (are_quotes_paired || !has_several_lines);
        let fields = if is_expected { self.fields(ends) } else { None };
        if fields.is_none() {
            let mut lines = u64::from(first_line.is_some());
            if let Some(end) = first_line.filter(|_| has_several_lines) {
                self.read_again(&raw[end..]);
            } else if !is_whole && first_line.is_none() {
                self.skip_line()?;
                lines = 1;
            }
            self.core = Reader::new();
            self.core.set_line(line + lines);
        }
        Ok(Some(Record { line, fields }))
    }

    /// Reads these bytes before all others.
    fn read_again(&mut self, bytes: &[u8]) {
        let position = usize::try_from(self.again.position()).unwrap_or(usize::MAX);
        let rest = self.again.get_ref().get(position..).unwrap_or_default();
        self.again = io::Cursor::new([bytes, rest].concat());
    }

    /// Skips the rest of the line.
    fn skip_line(&mut self) -> io::Result<()> {
        let rest = self.again.fill_buf()?;
        let end = rest.iter().position(|byte| *byte == b'\n');
        let length = end.map_or(rest.len(), |end| end + 1);
        self.again.consume(length);
        if end.is_none() {
            self.input.skip_until(b'\n')?;
        }
        Ok(())
    }

    fn fields(&self, count: usize) -> Option<Vec<Value>> {
        let mut begin = 0;
        let fields = self.ends.get(..count)?.iter().map(|end| {
            let field = self.output.get(begin..*end)?;
            begin = *end;
            Some(Value::from_bytes(field.to_vec()))
        });
        fields.collect()
    }
}

fn is_line_break(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n')
}

fn count_lines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

#[cfg(test)]
mod tests {
    use super::{Records, Value};

    fn read(text: &[u8], max_bytes: usize) -> Vec<(u64, Option<Vec<Value>>)> {
        let mut records = Records::new(text, max_bytes);
        let mut all = Vec::new();
        while let Some(record) = records.next().unwrap() {
            let width = record.fields.as_ref().map(Vec::len);
            records.width = records.width.or(width);
            all.push((record.line, record.fields));
        }
        all
    }

    fn fields(fields: &[&str]) -> Option<Vec<Value>> {
        let fields = fields.iter().map(|field| Value::Text((*field).to_owned()));
        Some(fields.collect())
    }

    #[test]
    fn records_are_read_with_quotes_and_line_breaks() {
        let text = b"a,b\r\n\"c \"\"d\"\"\",\"e\nf\"\n\ng,\n,h";
        let expected = [
            (1, fields(&["a", "b"])),
            (2, fields(&["c \"d\"", "e\nf"])),
            (5, fields(&["g", ""])),
            (6, fields(&["", "h"])),
        ];
        assert_eq!(read(text, 100), expected);
        let windows: Vec<u8> = b"a,b\r\nc\r\nd,e\r\n".to_vec();
        let expected = [
            (1, fields(&["a", "b"])),
            (2, None),
            (3, fields(&["d", "e"])),
        ];
        assert_eq!(read(&windows, 100), expected);
    }

    #[test]
    fn long_records_are_skipped_and_binary_fields_kept() {
        let long = "x".repeat(10_000);
        let many = ",".repeat(super::MAX_FIELDS);
        let text = format!("a,b\n{long},c\nd,\"{long}\"\n{many}\ne,f\n");
        let expected = [
            (1, fields(&["a", "b"])),
            (2, None),
            (3, None),
            (4, None),
            (5, fields(&["e", "f"])),
        ];
        assert_eq!(read(text.as_bytes(), 100), expected);
        let binary = Some(vec![Value::Bytes(vec![0xff])]);
        let expected = [(1, fields(&["a"])), (2, binary), (3, fields(&["b"]))];
        assert_eq!(read(b"a\n\xff\nb\n", 100), expected);
    }

    #[test]
    fn unclosed_quote_costs_its_own_line_only() {
        let good = "1,ok\n".repeat(50);
        for bad in ["1,\"Bob", "\"1,Bob", "1,Bob,\""] {
            for after in ["", "2,\"Carol\"\n", good.as_str()] {
                let text = format!("a,b\n{bad}\n3,c\n{after}");
                let read = read(text.as_bytes(), 100);
                let found: Vec<u64> = read
                    .iter()
                    .filter(|(_, row)| row.is_none())
                    .map(|(line, _)| *line)
                    .collect();
                assert_eq!(found, [2], "{text:?}");
                assert_eq!(read[2], (3, fields(&["3", "c"])), "{text:?}");
                let lines = text.lines().count();
                assert_eq!(read.len(), lines, "{text:?}");
            }
        }
    }
}
