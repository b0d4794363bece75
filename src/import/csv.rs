//! Records of a CSV file (RFC 4180), each within bounds.

use std::io::{self, BufRead};

use csv_core::{ReadRecordResult, Reader};

/// Fields of a record at most.
const MAX_FIELDS: usize = 1_000;

/// A record.
pub(super) struct Record {
    /// The line it begins on, from 1.
    pub(super) line: u64,
    /// `None` when it is too long or is not UTF-8.
    pub(super) fields: Option<Vec<String>>,
}

/// Reads one record after the other, and holds no more than one. What a record has beyond the bound
/// is skipped.
pub(super) struct Records<R> {
    input: R,
    core: Reader,
    output: Vec<u8>,
    ends: Vec<usize>,
}

impl<R: BufRead> Records<R> {
    /// Records of `max_bytes` at most.
    pub(super) fn new(input: R, max_bytes: usize) -> Self {
        Self {
            input,
            core: Reader::new(),
            output: vec![0; max_bytes],
            ends: vec![0; MAX_FIELDS],
        }
    }

    /// The next record; `None` after the last one.
    pub(super) fn next(&mut self) -> io::Result<Option<Record>> {
        let line = self.core.line();
        let (mut output, mut ends, mut is_too_long) = (0, 0, false);
        loop {
            let input = self.input.fill_buf()?;
            let (result, read, written, ended) =
                self.core
                    .read_record(input, &mut self.output[output..], &mut self.ends[ends..]);
            self.input.consume(read);
            output += written;
            ends += ended;
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull => {
                    // Written over with the rest of the record, of which nothing is kept.
                    (output, ends, is_too_long) = (0, 0, true);
                }
                ReadRecordResult::End => return Ok(None),
                ReadRecordResult::Record => break,
            }
        }
        let fields = if is_too_long { None } else { self.fields(ends) };
        Ok(Some(Record { line, fields }))
    }

    fn fields(&self, count: usize) -> Option<Vec<String>> {
        let mut begin = 0;
        let fields = self.ends.get(..count)?.iter().map(|end| {
            let field = self.output.get(begin..*end)?;
            begin = *end;
            str::from_utf8(field).ok().map(str::to_owned)
        });
        fields.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Records;

    fn read(text: &[u8], max_bytes: usize) -> Vec<(u64, Option<Vec<String>>)> {
        let mut records = Records::new(text, max_bytes);
        let mut all = Vec::new();
        while let Some(record) = records.next().unwrap() {
            all.push((record.line, record.fields));
        }
        all
    }

    fn fields(fields: &[&str]) -> Option<Vec<String>> {
        Some(fields.iter().map(|field| (*field).to_owned()).collect())
    }

    #[test]
    fn records_are_read_as_programs_write_them() {
        let text = b"\xef\xbb\xbfa,b\r\n\"c \"\"d\"\"\",\"e\nf\"\n\ng,\n,h";
        let read: Vec<_> = read(text, 100)
            .into_iter()
            .map(|(_, fields)| fields)
            .collect();
        let expected = [&["a", "b"], &["c \"d\"", "e\nf"], &["g", ""], &["", "h"]];
        assert_eq!(read, expected.map(|expected| fields(expected)));
    }

    #[test]
    fn what_is_too_long_or_no_text_is_skipped_alone() {
        let long = "x".repeat(10_000);
        let many = ",".repeat(super::MAX_FIELDS);
        let text = format!("a,b\n{long},c\nd,\"{long}\n{long}\"\n{many}\ne,f\n");
        let expected = [
            (1, fields(&["a", "b"])),
            (2, None),
            (3, None),
            (5, None),
            (6, fields(&["e", "f"])),
        ];
        assert_eq!(read(text.as_bytes(), 100), expected);
        assert_eq!(
            read(b"a\n\xff\nb\n", 100),
            [(1, fields(&["a"])), (2, None), (3, fields(&["b"]))]
        );
    }
}
