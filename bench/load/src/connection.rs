//! One HTTP/1.1 connection, as far as this needs it.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The longest that anyone waits for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What stands for "no answer" in the place of a status.
pub const NO_ANSWER: u16 = 0;

/// A client's connection: made when it is needed, and again when it was closed.
pub struct Connection {
    address: SocketAddr,
    stream: Option<TcpStream>,
    buffer: Vec<u8>,
}

/// What the head of an answer says.
struct Head {
    status: u16,
    /// Of the head itself, in bytes.
    length: usize,
    content_length: Option<usize>,
    closes: bool,
}

impl Connection {
    /// To that address; nothing is opened yet.
    pub const fn new(address: SocketAddr) -> Self {
        Self {
            address,
            stream: None,
            buffer: Vec::new(),
        }
    }

    /// Opens the connection ahead of the first request. That it fails shows in that request.
    pub async fn open(&mut self) {
        self.stream = connect(self.address).await.ok();
    }

    /// Sends a request and reads the whole answer; returns its status, or [`NO_ANSWER`].
    pub async fn exchange(&mut self, request: &str) -> u16 {
        // Taken out, so that a connection with half an answer on it is never used again.
        let stream = self.stream.take();
        let exchanged = timeout(PATIENCE, self.attempt(stream, request)).await;
        match exchanged {
            Ok(Ok((status, stream))) => {
                self.stream = stream;
                status
            }
            Ok(Err(_)) | Err(_) => NO_ANSWER,
        }
    }

    async fn attempt(
        &mut self,
        stream: Option<TcpStream>,
        request: &str,
    ) -> io::Result<(u16, Option<TcpStream>)> {
        let mut stream = match stream {
            Some(stream) => stream,
            None => connect(self.address).await?,
        };
        stream.write_all(request.as_bytes()).await?;
        self.buffer.clear();
        let head = self.read_head(&mut stream).await?;
        match head.content_length {
            Some(length) => {
                while self.buffer.len() < head.length + length {
                    self.read_more(&mut stream).await?;
                }
                Ok((head.status, (!head.closes).then_some(stream)))
            }
            // Without a length it ends with the connection.
            None => {
                stream.read_to_end(&mut self.buffer).await?;
                Ok((head.status, None))
            }
        }
    }

    async fn read_head(&mut self, stream: &mut TcpStream) -> io::Result<Head> {
        loop {
            self.read_more(stream).await?;
            if let Some(head) = parse(&self.buffer)? {
                return Ok(head);
            }
        }
    }

    async fn read_more(&mut self, stream: &mut TcpStream) -> io::Result<()> {
        if stream.read_buf(&mut self.buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The head, once all of it is there.
fn parse(bytes: &[u8]) -> io::Result<Option<Head>> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let parsed = response.parse(bytes).map_err(io::Error::other)?;
    let httparse::Status::Complete(length) = parsed else {
        return Ok(None);
    };
    let status = response.code.unwrap_or(NO_ANSWER);
    let value = |name: &str| {
        let found = response
            .headers
            .iter()
            .find(|header| header.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(found.value).ok()
    };
    let content_length = match status {
        204 | 304 => Some(0),
        _ => value("content-length").and_then(|text| text.parse().ok()),
    };
    Ok(Some(Head {
        status,
        length,
        content_length,
        closes: value("connection").is_some_and(|text| text.eq_ignore_ascii_case("close")),
    }))
}
