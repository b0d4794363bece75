//! The clients: an HTTP/1.1 connection, requests at a steady rate, and a flood alongside them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until, timeout};

use crate::{Event, Log, Paced, Plan};

/// Maximum wait for a response.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);

/// Stands for "no response" instead of a status code.
const NO_RESPONSE: u16 = 0;

/// A client's connection, opened on demand and reopened after it was closed.
struct Connection {
    address: SocketAddr,
    stream: Option<TcpStream>,
    buffer: Vec<u8>,
}

/// The parsed head of a response.
struct Head {
    status: u16,
    /// Length of the head in bytes.
    length: usize,
    content_length: Option<usize>,
    closes: bool,
}

impl Connection {
    /// Creates a connection that is not open yet.
    const fn new(address: SocketAddr) -> Self {
        Self {
            address,
            stream: None,
            buffer: Vec::new(),
        }
    }

    /// Opens the connection before the first request, which reports a failure.
    async fn open(&mut self) {
        self.stream = connect(self.address).await.ok();
    }

    /// Sends a request, reads the whole response and returns its status, or [`NO_RESPONSE`].
    async fn exchange(&mut self, request: &str) -> u16 {
        // Taken out, so that a connection with half a response on it is never reused.
        let stream = self.stream.take();
        let exchanged = timeout(RESPONSE_TIMEOUT, self.attempt(stream, request)).await;
        match exchanged {
            Ok(Ok((status, stream))) => {
                self.stream = stream;
                status
            }
            Ok(Err(_)) | Err(_) => NO_RESPONSE,
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
            // Without a length, the response ends with the connection.
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

/// Returns the head once it is complete.
fn parse(bytes: &[u8]) -> io::Result<Option<Head>> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let parsed = response.parse(bytes).map_err(io::Error::other)?;
    let httparse::Status::Complete(length) = parsed else {
        return Ok(None);
    };
    let status = response.code.unwrap_or(NO_RESPONSE);
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

/// Shared by the connections of one load: each takes the next ticket, and waits until it is due.
struct Tickets {
    start: Instant,
    rate: f64,
    total: u64,
    next: AtomicU64,
    released: Semaphore,
}

impl Tickets {
    /// When a ticket is due, relative to the start of the clock.
    fn due(&self, ticket: u64) -> Duration {
        // Exact below 2^53.
        Duration::from_secs_f64(ticket as f64 / self.rate)
    }

    /// Releases each ticket when it is due. Runs on its own thread, because the runtime's timers
    /// have a resolution of a millisecond.
    fn release(&self) {
        let mut released = 0;
        while released < self.total {
            let wait = (self.start + self.due(released)).saturating_duration_since(Instant::now());
            thread::sleep(wait);
            let elapsed = self.start.elapsed();
            let before = released;
            while released < self.total && self.due(released) <= elapsed {
                released += 1;
            }
            self.released.add_permits((released - before) as usize);
        }
    }

    /// Waits for the next ticket; `None` when there are no more.
    async fn draw(&self) -> Option<u64> {
        let ticket = self.next.fetch_add(1, Ordering::Relaxed);
        if ticket >= self.total {
            return None;
        }
        self.released.acquire().await.ok()?.forget();
        Some(ticket)
    }
}

/// Starts a load at a constant rate. Requests that cannot be sent in time wait, and their latency
/// counts from when they were due.
pub fn spawn_paced(clients: &mut JoinSet<Log>, plan: &Arc<Plan>, load: &Paced, start: Instant) {
    let [_, _, end] = plan.ends();
    let tickets = Arc::new(Tickets {
        start,
        rate: load.rate,
        total: (load.rate * end.as_secs_f64()) as u64,
        next: AtomicU64::new(0),
        released: Semaphore::new(0),
    });
    let load = Arc::new(load.clone());
    for _ in 0..load.connections {
        let client = run_paced(Arc::clone(plan), Arc::clone(&load), Arc::clone(&tickets));
        clients.spawn(client);
    }
    thread::spawn(move || tickets.release());
}

async fn run_paced(plan: Arc<Plan>, load: Arc<Paced>, tickets: Arc<Tickets>) -> Log {
    let mut connection = Connection::new(plan.address());
    connection.open().await;
    let mut log = Log::new(&load.name);
    while let Some(ticket) = tickets.draw().await {
        let index = (ticket % load.requests.len() as u64) as usize;
        let at = tickets.due(ticket);
        let status = connection.exchange(&load.requests[index]).await;
        log.push(Event {
            at,
            latency: tickets.start.elapsed().saturating_sub(at),
            status,
        });
    }
    log
}

/// Keeps clients that cannot connect from spinning.
const NO_RESPONSE_DELAY: Duration = Duration::from_millis(10);

/// Starts the clients of the flood, which begin with the second phase.
pub fn spawn_flood(clients: &mut JoinSet<Log>, plan: &Arc<Plan>, start: Instant) {
    for number in 0..plan.flood.clients {
        clients.spawn(run_flood(Arc::clone(plan), number, start));
    }
}

async fn run_flood(plan: Arc<Plan>, number: usize, start: Instant) -> Log {
    let flood = &plan.flood;
    let [begin, end, _] = plan.ends();
    let mut connection = Connection::new(plan.address());
    let mut log = Log::new(&flood.name);
    sleep_until((start + begin).into()).await;
    for turn in 0_usize.. {
        let at = start.elapsed();
        if at >= end {
            break;
        }
        let request = &flood.requests[(number + turn * flood.clients) % flood.requests.len()];
        let status = connection.exchange(request).await;
        log.push(Event {
            at,
            latency: start.elapsed() - at,
            status,
        });
        let pause = Duration::from_millis(flood.pause_ms);
        match status {
            NO_RESPONSE => sleep(pause.max(NO_RESPONSE_DELAY)).await,
            429 | 503 if !pause.is_zero() => sleep(pause).await,
            _ => {}
        }
    }
    log
}
