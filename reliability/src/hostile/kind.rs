//! The ways in which a client holds a connection without getting on.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

/// How long it may take until a connection stands.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// What a slow reader takes into its socket unasked, in bytes.
pub const READER_BUFFER: usize = 4_096;

/// What is done on a connection, and then gone on with byte by byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing at all.
    Idle,
    /// The head of a request that does not end.
    SlowHead,
    /// The same after a request that was answered.
    SlowSecondHead,
    /// A body that does not end.
    SlowBody,
    /// A large answer that is hardly read.
    SlowReader,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Idle,
        Self::SlowHead,
        Self::SlowSecondHead,
        Self::SlowBody,
        Self::SlowReader,
    ];

    /// For people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::SlowHead => "slow head",
            Self::SlowSecondHead => "slow second head",
            Self::SlowBody => "slow body",
            Self::SlowReader => "slow reader",
        }
    }

    /// What is sent first.
    #[must_use]
    pub fn first(self) -> &'static str {
        match self {
            Self::Idle => "",
            Self::SlowHead => "GET /users/me HTTP/1.1\r\nHost: a\r\nX: ",
            Self::SlowSecondHead => "GET /livez HTTP/1.1\r\nHost: a\r\n\r\n",
            Self::SlowBody => {
                "POST /token HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\
                 Content-Type: application/x-www-form-urlencoded\r\n\r\n"
            }
            Self::SlowReader => "GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: a\r\n\r\n",
        }
    }
}

/// A connection that is held.
pub(super) struct Held {
    pub(super) kind: Kind,
    opened: Instant,
    /// `None` once the server has ended it.
    stream: Option<TcpStream>,
}

impl Held {
    /// Connects from an address of the loopback net, all of which is this machine.
    pub(super) fn open(kind: Kind, server: SocketAddr, number: usize) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        if kind == Kind::SlowReader {
            socket.set_recv_buffer_size(READER_BUFFER)?;
        }
        let host = u8::try_from(number % 200).unwrap_or_default() + 2;
        socket.bind(&SocketAddr::from((Ipv4Addr::new(127, 0, 1, host), 0)).into())?;
        socket.connect_timeout(&server.into(), CONNECT_WITHIN)?;
        let mut stream = TcpStream::from(socket);
        stream.write_all(kind.first().as_bytes())?;
        stream.set_nonblocking(true)?;
        Ok(Self {
            kind,
            opened: Instant::now(),
            stream: Some(stream),
        })
    }

    /// Sends or takes a byte. Returns how long the server has let it go on, when that is over.
    pub(super) fn go_on(&mut self) -> Option<Duration> {
        let stream = self.stream.as_mut()?;
        let is_cut = match self.kind {
            // Sees an end only when it has read all that stands before it.
            Kind::SlowReader => matches!(stream.read(&mut [0]), Ok(0)),
            Kind::Idle => has_ended(stream),
            Kind::SlowHead | Kind::SlowSecondHead | Kind::SlowBody => {
                has_ended(stream) || stream.write(b"a").is_err()
            }
        };
        is_cut.then(|| self.end())
    }

    fn end(&mut self) -> Duration {
        self.stream = None;
        self.opened.elapsed()
    }
}

/// Whether all is read and the other side has closed.
pub fn has_ended(stream: &mut TcpStream) -> bool {
    let mut part = [0; 16_384];
    loop {
        match stream.read(&mut part) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != ErrorKind::WouldBlock,
        }
    }
}
