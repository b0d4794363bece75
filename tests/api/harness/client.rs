//! A client that sends what it is told, byte for byte, however wrong that is.

use std::io::{self, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use serde::Serialize;
use socket2::{Domain, Socket, Type};

use super::answer::Answer;

/// No answer takes longer, not even of a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(10);

/// A client of one server.
#[derive(Clone, Copy)]
pub struct Client {
    address: SocketAddr,
    source: Option<IpAddr>,
}

impl Client {
    pub fn of(address: SocketAddr) -> Self {
        Self {
            address,
            source: None,
        }
    }

    /// The same, calling from an address of its own: all of 127.0.0.0/8 is this machine.
    pub fn from(&self, source: [u8; 4]) -> Self {
        let source = Some(Ipv4Addr::from(source).into());
        Self { source, ..*self }
    }

    /// Where the server listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn get(&self, path: &str) -> Request {
        self.request("GET", path)
    }

    pub fn post(&self, path: &str) -> Request {
        self.request("POST", path)
    }

    /// A request with any bytes for method and path.
    pub fn request(&self, method: impl AsRef<[u8]>, path: impl AsRef<[u8]>) -> Request {
        Request {
            client: *self,
            method: method.as_ref().to_owned(),
            path: path.as_ref().to_owned(),
            host: self.address.to_string(),
            headers: Vec::new(),
            body: None,
        }
    }

    /// A connection that stays open from one request to the next.
    pub fn connect(&self) -> io::Result<Connection> {
        let stream = Socket::new(Domain::for_address(self.address), Type::STREAM, None)?;
        if let Some(source) = self.source {
            stream.bind(&SocketAddr::new(source, 0).into())?;
        }
        stream.connect_timeout(&self.address.into(), PATIENCE)?;
        let stream = TcpStream::from(stream);
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Connection(BufReader::new(stream)))
    }
}

/// A request under construction.
pub struct Request {
    client: Client,
    method: Vec<u8>,
    path: Vec<u8>,
    host: String,
    headers: Vec<u8>,
    body: Option<Vec<u8>>,
}

impl Request {
    /// Adds a header; a second one of the same name is sent too.
    pub fn header(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        for bytes in [name.as_ref(), b": ", value.as_ref(), b"\r\n"] {
            self.headers.extend_from_slice(bytes);
        }
        self
    }

    /// Calls the server by another name.
    pub fn host(mut self, host: &str) -> Self {
        host.clone_into(&mut self.host);
        self
    }

    /// Shows a credential as `Authorization: Bearer`.
    pub fn bearer(self, token: &str) -> Self {
        self.header("Authorization", format!("Bearer {token}"))
    }

    /// Sets the body and its `Content-Length`.
    pub fn body(self, body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        self.header("Content-Length", body.len().to_string())
            .raw_body(body)
    }

    /// Sets what follows the head, whatever the head says of it.
    pub fn raw_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Sets a body of JSON.
    pub fn json(self, value: &impl Serialize) -> Self {
        let body = serde_json::to_vec(value).expect("the value has a JSON form");
        self.header("Content-Type", "application/json").body(body)
    }

    /// Sets a body of form fields.
    pub fn form<T: AsRef<str>>(self, fields: &[(T, T)]) -> Self {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        self.header("Content-Type", "application/x-www-form-urlencoded")
            .body(body)
    }

    /// Sends the request on a connection of its own and waits for the answer.
    ///
    /// # Panics
    /// When no answer comes.
    pub fn send(self) -> Answer {
        let what = self.target();
        self.try_send()
            .unwrap_or_else(|error| panic!("{what}: no answer: {error}"))
    }

    /// Method and path.
    pub fn target(&self) -> String {
        format!(
            "{} {}",
            self.method.escape_ascii(),
            self.path.escape_ascii()
        )
    }

    /// Like [`Self::send`], for servers that may not answer.
    pub fn try_send(self) -> io::Result<Answer> {
        let mut connection = self.client.connect()?;
        connection.send(&self.header("Connection", "close"))
    }

    fn to_bytes(&self) -> Vec<u8> {
        let head: [&[u8]; 8] = [
            &self.method,
            b" ",
            &self.path,
            b" HTTP/1.1\r\nHost: ",
            self.host.as_bytes(),
            b"\r\n",
            &self.headers,
            b"\r\n",
        ];
        [head.concat(), self.body.clone().unwrap_or_default()].concat()
    }
}

/// A connection to the server.
pub struct Connection(BufReader<TcpStream>);

impl Connection {
    /// Sends a request and waits for its answer.
    pub fn send(&mut self, request: &Request) -> io::Result<Answer> {
        match self.0.get_mut().write_all(&request.to_bytes()) {
            // A server that has read enough answers and closes without reading the rest.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
            written => written?,
        }
        Answer::read(&mut self.0, request.method == b"HEAD")
    }
}
