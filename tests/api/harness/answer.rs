//! What a server answers, read off the wire as RFC 9112 has it.

use std::io::{self, BufRead, Read};

use serde_json::Value;

/// An answer, whole.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// Names and values in the order sent; bytes above 127 as in Latin-1.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    /// The header of that name, in any case. Several are joined by commas (RFC 9110 section 5.2).
    pub fn header(&self, name: &str) -> Option<String> {
        let of_name = self
            .headers
            .iter()
            .filter(|(other, _)| other.eq_ignore_ascii_case(name));
        let values: Vec<&str> = of_name.map(|(_, value)| value.as_str()).collect();
        (!values.is_empty()).then(|| values.join(", "))
    }

    /// The body as text.
    ///
    /// # Panics
    /// When it is not UTF-8.
    pub fn text(&self) -> &str {
        str::from_utf8(&self.body).unwrap_or_else(|_| panic!("not text: {self:?}"))
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is not, or is not labelled so.
    pub fn json(&self) -> Value {
        assert_eq!(
            self.header("content-type").as_deref(),
            Some("application/json"),
            "{self:?}"
        );
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    /// Reads an answer up to its end; one to `HEAD` has no body whatever its headers say.
    pub fn read(from: &mut impl BufRead, to_head: bool) -> io::Result<Self> {
        let mut answer = Self::read_head(from)?;
        while answer.status < 200 {
            answer = Self::read_head(from)?;
        }
        if !to_head && !matches!(answer.status, 204 | 304) {
            answer.body = answer.read_body(from)?;
        }
        Ok(answer)
    }

    fn read_head(from: &mut impl BufRead) -> io::Result<Self> {
        let line = read_line(from)?;
        let status = line
            .strip_prefix("HTTP/1.1 ")
            .and_then(|rest| rest.get(..3)?.parse().ok());
        let status = status.ok_or_else(|| malformed(&line))?;
        let mut headers = Vec::new();
        loop {
            let line = read_line(from)?;
            if line.is_empty() {
                return Ok(Self {
                    status,
                    headers,
                    body: Vec::new(),
                });
            }
            let (name, value) = line.split_once(':').ok_or_else(|| malformed(&line))?;
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
    }

    fn read_body(&self, from: &mut impl BufRead) -> io::Result<Vec<u8>> {
        if self
            .header("transfer-encoding")
            .is_some_and(|coding| coding == "chunked")
        {
            return read_chunks(from);
        }
        let mut body = Vec::new();
        match self.header("content-length") {
            Some(length) => {
                body.resize(
                    length.parse().map_err(|_not_a_number| malformed(&length))?,
                    0,
                );
                from.read_exact(&mut body)?;
            }
            None => _ = from.read_to_end(&mut body)?,
        }
        Ok(body)
    }
}

fn read_chunks(from: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = read_line(from)?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = u64::from_str_radix(size, 16).map_err(|_not_a_number| malformed(&line))?;
        if size == 0 {
            while !read_line(from)?.is_empty() {}
            return Ok(body);
        }
        from.take(size).read_to_end(&mut body)?;
        let rest = read_line(from)?;
        if !rest.is_empty() {
            return Err(malformed(&rest));
        }
    }
}

/// A line without its end, each byte a character.
fn read_line(from: &mut impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    from.read_until(b'\n', &mut line)?;
    let line = line
        .strip_suffix(b"\r\n")
        .ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok(line.iter().copied().map(char::from).collect())
}

fn malformed(line: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("malformed: {line:?}"))
}

#[test]
fn answers_are_read_up_to_their_end_and_no_further() {
    let mut wire: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n\
        HTTP/1.1 200 OK\r\nA: 1\r\na: \xe9\r\nContent-Length: 3\r\n\r\nabc\
        HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n\
        HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n\
        HTTP/1.1 204 No Content\r\n\r\n\
        HTTP/1.1 404 Not Found\r\n\r\nto the end";
    let mut next = |to_head| Answer::read(&mut wire, to_head).unwrap();
    let first = next(false);
    assert_eq!((first.status, first.text()), (200, "abc"));
    assert_eq!(first.header("A").as_deref(), Some("1, \u{e9}"));
    assert_eq!(next(false).text(), "abc0123456789");
    assert_eq!(next(true).text(), "");
    assert_eq!(next(false).status, 204);
    assert_eq!(next(false).text(), "to the end");
    assert!(Answer::read(&mut wire, false).is_err());
}
