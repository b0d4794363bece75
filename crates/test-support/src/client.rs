//! An HTTP client that sends exactly the bytes it is given, valid or not.

use std::io::{self, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use serde::Serialize;
use socket2::{Domain, Socket, Type};

use crate::response::Response;

/// The default timeout: long enough for a machine that is busy with other tests.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// A client of one server.
#[derive(Clone, Copy, Debug)]
pub struct Client {
    address: SocketAddr,
    source: Option<IpAddr>,
    timeout: Duration,
}

impl Client {
    /// A client of the server at this address.
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            source: None,
            timeout: DEFAULT_TIMEOUT,
        }
    }

    /// The same client with another source address: all of 127.0.0.0/8 is this machine.
    pub fn from(&self, source: [u8; 4]) -> Self {
        let source = Some(Ipv4Addr::from(source).into());
        Self { source, ..*self }
    }

    /// The same client with another limit for connecting and for every read and write.
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// The address of the server.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A `GET` request to this server.
    pub fn get(&self, path: &str) -> Request {
        self.request("GET", path)
    }

    /// A `POST` request to this server.
    pub fn post(&self, path: &str) -> Request {
        self.request("POST", path)
    }

    /// A request to this server with any bytes as method and path.
    pub fn request(&self, method: impl AsRef<[u8]>, path: impl AsRef<[u8]>) -> Request {
        let mut request = Request::new(method, path).host(&self.address.to_string());
        request.client = Some(*self);
        request
    }

    /// Opens a connection that stays open from one request to the next.
    ///
    /// # Errors
    /// When the server does not accept it.
    pub fn connect(&self) -> io::Result<Connection> {
        let stream = Socket::new(Domain::for_address(self.address), Type::STREAM, None)?;
        if let Some(source) = self.source {
            stream.bind(&SocketAddr::new(source, 0).into())?;
        }
        stream.connect_timeout(&self.address.into(), self.timeout)?;
        let stream = TcpStream::from(stream);
        stream.set_read_timeout(Some(self.timeout))?;
        stream.set_write_timeout(Some(self.timeout))?;
        stream.set_nodelay(true)?;
        Ok(Connection {
            stream: BufReader::new(stream),
            is_open: true,
        })
    }

    /// Sends a request on a new connection and waits for the response.
    ///
    /// # Errors
    /// When no response arrives.
    pub fn send(&self, request: Request) -> io::Result<Response> {
        self.connect()?.send(&request.header("Connection", "close"))
    }
}

/// A request under construction.
#[derive(Clone, Debug)]
pub struct Request {
    client: Option<Client>,
    method: Vec<u8>,
    path: Vec<u8>,
    host: String,
    headers: Vec<u8>,
    body: Option<Vec<u8>>,
}

impl Request {
    /// A request for any server, with any bytes as method and path.
    pub fn new(method: impl AsRef<[u8]>, path: impl AsRef<[u8]>) -> Self {
        Self {
            client: None,
            method: method.as_ref().to_owned(),
            path: path.as_ref().to_owned(),
            host: "tokenhouse".to_owned(),
            headers: Vec::new(),
            body: None,
        }
    }

    /// A `GET` request for any server.
    pub fn get(path: &str) -> Self {
        Self::new("GET", path)
    }

    /// A `POST` request for any server.
    pub fn post(path: &str) -> Self {
        Self::new("POST", path)
    }

    /// Adds a header. A second header of the same name is sent as well.
    pub fn header(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        for bytes in [name.as_ref(), b": ", value.as_ref(), b"\r\n"] {
            self.headers.extend_from_slice(bytes);
        }
        self
    }

    /// Sets the `Host` header.
    pub fn host(mut self, host: &str) -> Self {
        host.clone_into(&mut self.host);
        self
    }

    /// Adds a credential as `Authorization: Bearer`.
    pub fn bearer(self, token: &str) -> Self {
        self.header("Authorization", format!("Bearer {token}"))
    }

    /// Sets the body and its `Content-Length`.
    pub fn body(self, body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        self.header("Content-Length", body.len().to_string())
            .raw_body(body)
    }

    /// Sets the bytes after the head, whatever the head says about them.
    pub fn raw_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Sets a JSON body.
    ///
    /// # Panics
    /// When the value has no JSON form.
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

    /// Sends a request that was made by a [`Client`], on a new connection.
    ///
    /// # Panics
    /// When no response arrives.
    pub fn send(self) -> Response {
        let target = self.target();
        self.try_send()
            .unwrap_or_else(|error| panic!("{target}: no response: {error}"))
    }

    /// Like [`Self::send`], for servers that may not respond.
    ///
    /// # Errors
    /// When no response arrives.
    ///
    /// # Panics
    /// When no client made the request.
    pub fn try_send(self) -> io::Result<Response> {
        let client = self.client.expect("a client made the request");
        client.send(self)
    }

    /// Method and path.
    pub fn target(&self) -> String {
        format!(
            "{} {}",
            self.method.escape_ascii(),
            self.path.escape_ascii()
        )
    }

    fn to_bytes(&self) -> Vec<u8> {
        let parts: [&[u8]; 9] = [
            &self.method,
            b" ",
            &self.path,
            b" HTTP/1.1\r\nHost: ",
            self.host.as_bytes(),
            b"\r\n",
            &self.headers,
            b"\r\n",
            self.body.as_deref().unwrap_or_default(),
        ];
        parts.concat()
    }
}

/// A connection to a server.
#[derive(Debug)]
pub struct Connection {
    stream: BufReader<TcpStream>,
    is_open: bool,
}

impl Connection {
    /// Sends a request and waits for its response. After an error the outcome of the request is
    /// unknown, and the connection is closed.
    ///
    /// # Errors
    /// When no response arrives.
    pub fn send(&mut self, request: &Request) -> io::Result<Response> {
        let response = self.exchange(request);
        self.is_open = response.as_ref().is_ok_and(|response| !response.closes());
        response
    }

    /// Whether the server accepts another request on this connection.
    pub fn is_open(&self) -> bool {
        self.is_open
    }

    fn exchange(&mut self, request: &Request) -> io::Result<Response> {
        match self.stream.get_mut().write_all(&request.to_bytes()) {
            // A server that responds and closes without reading the rest.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
            written => written?,
        }
        Response::read(&mut self.stream, request.method == b"HEAD")
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpListener;
    use std::thread::{self, JoinHandle};

    use super::*;

    /// Responds on the first connection with these bytes, one after the other, and returns the
    /// requests.
    fn serve(responses: &'static [&'static str]) -> (Client, JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = Client::new(listener.local_addr().unwrap());
        let thread = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let exchange = |response: &&str| {
                let mut request = [0; 1000];
                let read = stream.read(&mut request).unwrap();
                stream.write_all(response.as_bytes()).unwrap();
                String::from_utf8_lossy(&request[..read]).into_owned()
            };
            responses.iter().map(exchange).collect()
        });
        (client, thread)
    }

    #[test]
    fn requests_of_one_connection_get_their_responses() {
        let (client, server) = serve(&[
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
            "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx",
        ]);
        let mut connection = client.connect().unwrap();
        let first = connection.send(&Request::get("/users/me").bearer("abc"));
        assert_eq!(first.unwrap().text(), "{}");
        assert!(connection.is_open());
        let form = Request::post("/token").form(&[("a", "b c")]);
        assert_eq!(connection.send(&form).unwrap().status, 503);
        assert!(!connection.is_open());

        let requests = server.join().unwrap();
        let first =
            "GET /users/me HTTP/1.1\r\nHost: tokenhouse\r\nAuthorization: Bearer abc\r\n\r\n";
        assert_eq!(requests[0], first);
        assert!(requests[1].ends_with("Content-Length: 5\r\n\r\na=b+c"));
    }

    #[test]
    fn silent_server_is_an_error_after_the_timeout() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = Client::new(listener.local_addr().unwrap());
        let client = client.timeout(Duration::from_millis(200));
        let mut connection = client.connect().unwrap();
        let error = connection.send(&Request::get("/")).unwrap_err();
        assert!(matches!(
            error.kind(),
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
        ));
        assert!(!connection.is_open());
    }
}
