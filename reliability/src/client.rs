//! A small HTTP client: one connection, kept from one request to the next.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// The longest answer that is read, in bytes.
const ANSWER_MAX: u64 = 1 << 20;

/// An answer, whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

/// A request: all the bytes of it.
#[derive(Clone, Debug)]
pub(crate) struct Request(Vec<u8>);

impl Request {
    pub(crate) fn get(path: &str, token: &str) -> Self {
        Self::new("GET", path, Some(token), None)
    }

    pub(crate) fn post(path: &str, token: &str) -> Self {
        Self::new("POST", path, Some(token), None)
    }

    /// A request with a body of the given media type.
    pub(crate) fn with_body(path: &str, media_type: &str, body: &str) -> Self {
        Self::new("POST", path, None, Some((media_type, body)))
    }

    /// Any request: with a credential or without, and with a body and its media type or without.
    pub(crate) fn new(
        method: &str,
        path: &str,
        token: Option<&str>,
        content: Option<(&str, &str)>,
    ) -> Self {
        let bearer = token.map(|token| format!("Bearer {token}"));
        let authorization = bearer.as_ref().map(|bearer| ("Authorization", &bearer[..]));
        Self::with_headers(method, path, authorization.as_slice(), content)
    }

    /// The same with any headers; those without a value are left out.
    pub(crate) fn with_headers(
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        content: Option<(&str, &str)>,
    ) -> Self {
        let (media_type, body) = content.unwrap_or_default();
        let length = body.len().to_string();
        let length = if method == "GET" { "" } else { &length };
        let of_content = [("Content-Type", media_type), ("Content-Length", length)];
        let mut text = format!("{method} {path} HTTP/1.1\r\nHost: tokenhouse\r\n");
        for (name, value) in headers.iter().chain(&of_content) {
            if !value.is_empty() {
                text += &format!("{name}: {value}\r\n");
            }
        }
        Self(format!("{text}\r\n{body}").into_bytes())
    }
}

/// A connection to one process.
pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
    /// Whether the server will take another request on it.
    open: bool,
}

impl Connection {
    /// Connects. No write, and no wait for more of an answer, takes longer than `patience`.
    pub(crate) fn open(address: SocketAddr, patience: Duration) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, patience)?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream: BufReader::new(stream),
            open: true,
        })
    }

    pub(crate) fn is_open(&self) -> bool {
        self.open
    }

    /// Sends a request and reads the answer to its end. After an error the connection is of no
    /// more use, and nobody knows what became of the request.
    pub(crate) fn send(&mut self, request: &Request) -> io::Result<Answer> {
        let answer = self.exchange(request);
        self.open &= answer.is_ok();
        answer
    }

    fn exchange(&mut self, request: &Request) -> io::Result<Answer> {
        self.stream.get_mut().write_all(&request.0)?;
        let mut stream = (&mut self.stream).take(ANSWER_MAX);
        let status_line = read_line(&mut stream)?;
        let status = status_line
            .strip_prefix("HTTP/1.1 ")
            .and_then(|rest| rest.get(..3)?.parse().ok())
            .ok_or(io::ErrorKind::InvalidData)?;
        let mut length = None;
        loop {
            let line = read_line(&mut stream)?.to_ascii_lowercase();
            match line.split_once(':') {
                Some(("content-length", value)) => length = value.trim().parse().ok(),
                Some(("connection", value)) if value.trim() == "close" => self.open = false,
                _ if line.is_empty() => break,
                _ => {}
            }
        }
        let length = match (status, length) {
            (204, _) => 0,
            // The service tells the length of all that these clients ask for.
            (_, length) => length.ok_or(io::ErrorKind::InvalidData)?,
        };
        let mut body = Vec::new();
        stream.take(length).read_to_end(&mut body)?;
        if body.len() as u64 != length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Answer { status, body })
    }
}

fn read_line(from: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    from.read_line(&mut line)?;
    match line.strip_suffix("\r\n") {
        Some(line) => Ok(line.to_owned()),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread::{self, JoinHandle};

    use super::*;

    const PATIENCE: Duration = Duration::from_millis(200);

    /// Answers the first connection with these bytes, whatever is asked, and returns what was.
    fn serve(answers: &'static [&'static str]) -> (SocketAddr, JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let thread = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let ask = |answer: &&str| {
                let mut asked = [0; 1000];
                let read = stream.read(&mut asked).unwrap();
                stream.write_all(answer.as_bytes()).unwrap();
                String::from_utf8_lossy(&asked[..read]).into_owned()
            };
            answers.iter().map(ask).collect()
        });
        (address, thread)
    }

    #[test]
    fn answers_are_read_to_their_end_on_one_connection() {
        let (address, server) = serve(&[
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
            "HTTP/1.1 204 No Content\r\n\r\n",
            "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx",
        ]);
        let mut connection = Connection::open(address, PATIENCE).unwrap();
        let first = connection.send(&Request::get("/users/me", "abc")).unwrap();
        assert_eq!((first.status, &first.body[..]), (200, &b"{}"[..]));
        let second = connection.send(&Request::post("/logout", "abc")).unwrap();
        assert_eq!(second.status, 204);
        assert!(connection.is_open());
        let form = Request::with_body("/token", "application/x-www-form-urlencoded", "a=b");
        assert_eq!(connection.send(&form).unwrap().status, 503);
        assert!(!connection.is_open());

        let asked = server.join().unwrap();
        assert!(asked[0].starts_with("GET /users/me HTTP/1.1\r\n"));
        assert!(asked[0].ends_with("Authorization: Bearer abc\r\n\r\n"));
        assert!(asked[1].ends_with("Content-Length: 0\r\n\r\n"));
        assert!(asked[2].ends_with("Content-Length: 3\r\n\r\na=b"));
    }

    #[test]
    fn half_an_answer_and_none_at_all_are_errors() {
        let (address, server) = serve(&["HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"]);
        let mut connection = Connection::open(address, PATIENCE).unwrap();
        assert!(connection.send(&Request::get("/", "")).is_err());
        assert!(!connection.is_open());
        server.join().unwrap();

        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut connection = Connection::open(listener.local_addr().unwrap(), PATIENCE).unwrap();
        let error = connection.send(&Request::get("/", "")).err().unwrap();
        assert!(matches!(
            error.kind(),
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
        ));
    }
}
