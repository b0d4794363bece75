//! HTTP responses, parsed as RFC 9112 defines them.

use std::io::{self, BufRead, Read};

use serde_json::Value;

/// A complete response.
#[derive(Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Names and values in the order received; bytes above 127 as in Latin-1.
    pub headers: Vec<(String, String)>,
    /// The body without its transfer coding.
    pub body: Vec<u8>,
}

impl Response {
    /// The value of a header, whatever its case. Several values are joined by commas (RFC 9110
    /// section 5.2).
    pub fn header(&self, name: &str) -> Option<String> {
        let values = self
            .headers
            .iter()
            .filter(|(other, _)| other.eq_ignore_ascii_case(name));
        let values: Vec<&str> = values.map(|(_, value)| value.as_str()).collect();
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
    /// When it is not JSON or has another content type.
    pub fn json(&self) -> Value {
        assert_eq!(
            self.header("content-type").as_deref(),
            Some("application/json"),
            "{self:?}"
        );
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    /// A member of a JSON object in the body, if the body is one.
    pub fn member(&self, name: &str) -> Option<Value> {
        let mut body: Value = serde_json::from_slice(&self.body).ok()?;
        body.get_mut(name).map(Value::take)
    }

    /// Whether the server closes the connection after this response.
    pub fn closes(&self) -> bool {
        self.header("connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }

    /// Reads a response to its end. The response to `HEAD` has no body, whatever its headers say.
    ///
    /// # Errors
    /// When the connection ends early, or the bytes are no response.
    pub fn read(from: &mut impl BufRead, to_head: bool) -> io::Result<Self> {
        let mut response = Self::read_head(from)?;
        while response.status < 200 {
            response = Self::read_head(from)?;
        }
        if !to_head && !matches!(response.status, 204 | 304) {
            response.body = response.read_body(from)?;
        }
        Ok(response)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_are_read_to_their_end_and_no_further() {
        let mut wire: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n\
            HTTP/1.1 200 OK\r\nA: 1\r\na: \xe9\r\nContent-Length: 3\r\n\r\nabc\
            HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n\
            HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n\
            HTTP/1.1 204 No Content\r\n\r\n\
            HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\nto the end";
        let mut next = |to_head| Response::read(&mut wire, to_head).unwrap();
        let first = next(false);
        assert_eq!((first.status, first.text()), (200, "abc"));
        assert_eq!(first.header("A").as_deref(), Some("1, \u{e9}"));
        assert_eq!(next(false).text(), "abc0123456789");
        assert_eq!(next(true).text(), "");
        assert_eq!(next(false).status, 204);
        let last = next(false);
        assert_eq!((last.text(), last.closes()), ("to the end", true));
        assert!(Response::read(&mut wire, false).is_err());
    }

    #[test]
    fn half_a_response_is_an_error() {
        let mut wire: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx";
        assert!(Response::read(&mut wire, false).is_err());
    }
}
