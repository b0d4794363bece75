//! An HTTP server that records the requests it gets, byte for byte.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The request line and the headers.
    pub head: String,
    /// Everything after the head, as it arrived, with chunk sizes and trailers.
    pub body: Vec<u8>,
}

impl Recorded {
    /// Method and target.
    pub fn line(&self) -> &str {
        let line = self.head.lines().next().unwrap_or_default();
        line.trim_end_matches(" HTTP/1.1")
    }

    /// Names and values of the headers, in the order sent.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        let lines = self.head.lines().skip(1);
        lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name, value.trim()))
    }

    /// The value of the one header of this name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers();
        headers
            .find(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// Whether this text is anywhere in the request.
    pub fn contains(&self, text: &str) -> bool {
        self.head.contains(text) || String::from_utf8_lossy(&self.body).contains(text)
    }

    fn read(from: &mut impl BufRead) -> io::Result<Self> {
        let mut request = Self {
            head: String::new(),
            body: Vec::new(),
        };
        while !request.head.ends_with("\r\n\r\n") {
            let mut line = Vec::new();
            if from.read_until(b'\n', &mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            request.head.extend(line.into_iter().map(char::from));
        }
        if let Some(length) = request.header("content-length") {
            let length: u64 = length.parse().map_err(io::Error::other)?;
            from.take(length).read_to_end(&mut request.body)?;
        } else if request.header("transfer-encoding").is_some() {
            while !request.body.ends_with(b"\r\n0\r\n") && request.body != b"0\r\n" {
                from.read_until(b'\n', &mut request.body)?;
            }
            while !request.body.ends_with(b"\r\n\r\n") {
                from.read_until(b'\n', &mut request.body)?;
            }
        }
        Ok(request)
    }
}

/// Returns the bytes of the response. Bytes without a complete head close the connection.
type Respond = dyn Fn(&Recorded) -> Vec<u8> + Send + Sync;

/// The server. Dropping it stops it.
pub struct Recorder {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    requests: Mutex<Vec<Recorded>>,
    connections: AtomicUsize,
    ended: AtomicBool,
    respond: Box<Respond>,
}

impl Recorder {
    /// A server on a free port that responds with this function.
    pub fn start(respond: impl Fn(&Recorded) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::new(Shared {
            requests: Mutex::default(),
            connections: AtomicUsize::new(0),
            ended: AtomicBool::new(false),
            respond: Box::new(respond),
        });
        let of_thread = Arc::clone(&shared);
        thread::spawn(move || of_thread.accept(&listener));
        Self { address, shared }
    }

    /// A server that returns every request as the body of its response.
    pub fn echo() -> Self {
        Self::start(|request| {
            let body = [request.head.as_bytes(), &request.body].concat();
            let head = format!(
                "HTTP/1.1 200 OK\r\nX-Upstream: reached\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            match request.line().starts_with("HEAD ") {
                true => head.into_bytes(),
                false => [head.into_bytes(), body].concat(),
            }
        })
    }

    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The requests since the last call.
    pub fn take(&self) -> Vec<Recorded> {
        std::mem::take(&mut self.shared.requests.lock().expect("no thread panics"))
    }

    /// The number of connections that clients have opened.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for the next connection.
        drop(TcpStream::connect(self.address));
    }
}

impl Shared {
    fn accept(self: Arc<Self>, listener: &TcpListener) {
        for stream in listener.incoming() {
            if self.ended.load(Ordering::SeqCst) {
                return;
            }
            let Ok(stream) = stream else { return };
            self.connections.fetch_add(1, Ordering::SeqCst);
            let of_thread = Arc::clone(&self);
            // Ends with an error when the other side closes.
            thread::spawn(move || of_thread.serve(stream));
        }
    }

    fn serve(&self, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut stream = BufReader::new(stream);
        loop {
            let request = Recorded::read(&mut stream)?;
            let response = (self.respond)(&request);
            self.requests
                .lock()
                .expect("no thread panics")
                .push(request);
            stream.get_mut().write_all(&response)?;
            if !response.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
                return Ok(());
            }
        }
    }
}
