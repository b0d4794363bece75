//! A mail server (RFC 5321) that does what a test tells it to.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::Mail;

/// What the server does with a mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    Accept,
    /// 450, as with greylisting.
    RefuseForNow,
    /// 550, as for an address that does not exist.
    Refuse,
    /// Takes the mail and closes the connection without an answer.
    CutOff,
    /// Takes the mail and answers nothing.
    Stall,
}

/// Decides by the recipient, and by how many times this one was tried before.
type Decide = dyn Fn(&str, usize) -> Behaviour + Send + Sync;

/// A running mail server. Its thread ends with the process.
pub struct SmtpServer {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// The recipients of all tries.
    tries: Vec<String>,
    /// The mails that have arrived, also those without an answer.
    arrived: Vec<Mail>,
}

impl SmtpServer {
    pub fn start(decide: impl Fn(&str, usize) -> Behaviour + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener
            .local_addr()
            .expect("a bound socket has an address");
        let state: Arc<Mutex<State>> = Arc::default();
        let (decide, shared): (Arc<Decide>, _) = (Arc::new(decide), Arc::clone(&state));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (decide, state) = (Arc::clone(&decide), Arc::clone(&shared));
                // A client that goes away ends its session only.
                thread::spawn(move || drop(serve(stream, &*decide, &state)));
            }
        });
        Self { address, state }
    }

    /// The value of `TOKENHOUSE_SMTP_URL`.
    pub fn url(&self) -> String {
        format!("smtp://{}?tls=none", self.address)
    }

    pub fn arrived(&self) -> Vec<Mail> {
        self.state.lock().unwrap().arrived.clone()
    }

    pub fn tries(&self) -> usize {
        self.state.lock().unwrap().tries.len()
    }

    /// Waits until this many mails have arrived.
    pub fn wait_for(&self, count: usize) -> Vec<Mail> {
        let start = Instant::now();
        while self.arrived().len() < count {
            let arrived = self.arrived().len();
            assert!(start.elapsed() < Duration::from_secs(30), "only {arrived}");
            thread::sleep(Duration::from_millis(20));
        }
        self.arrived()
    }

    /// Waits until there were this many tries.
    pub fn wait_for_tries(&self, count: usize) {
        let start = Instant::now();
        while self.tries() < count {
            let tries = self.tries();
            assert!(start.elapsed() < Duration::from_secs(30), "only {tries}");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

fn serve(stream: TcpStream, decide: &Decide, state: &Mutex<State>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    let mut behaviour = Behaviour::Accept;
    writer.write_all(b"220 test\r\n")?;
    let mut line = String::new();
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let upper = line.to_ascii_uppercase();
        let reply: &[u8] = match upper.get(..4).unwrap_or_default() {
            "EHLO" => b"250-test\r\n250 8BITMIME\r\n",
            "RCPT" => {
                let to = line.split(['<', '>']).nth(1).unwrap_or_default();
                let mut state = state.lock().unwrap();
                let before = state.tries.iter().filter(|other| *other == to).count();
                state.tries.push(to.to_owned());
                behaviour = decide(to, before);
                match behaviour {
                    Behaviour::RefuseForNow => b"450 4.7.1 come back later\r\n",
                    Behaviour::Refuse => b"550 5.1.1 no such address\r\n",
                    _ => b"250 ok\r\n",
                }
            }
            "DATA" => {
                writer.write_all(b"354 go on\r\n")?;
                let message = read_message(&mut reader)?;
                let mail = Mail::parse("", &message);
                state.lock().unwrap().arrived.push(mail);
                match behaviour {
                    Behaviour::CutOff => return Ok(()),
                    Behaviour::Stall => {
                        thread::sleep(Duration::from_secs(60));
                        return Ok(());
                    }
                    _ => b"250 2.0.0 queued\r\n",
                }
            }
            "QUIT" => {
                writer.write_all(b"221 bye\r\n")?;
                return Ok(());
            }
            _ => b"250 ok\r\n",
        };
        writer.write_all(reply)?;
    }
}

/// Reads up to the line with only a dot, and removes the dots that the client has added.
fn read_message(reader: &mut impl BufRead) -> std::io::Result<String> {
    let mut message = String::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line == ".\r\n" {
            return Ok(message);
        }
        message.push_str(line.strip_prefix('.').unwrap_or(&line));
    }
}
