//! A mail server (RFC 5321).

mod failure;

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use lettre::Message;
use lettre::address::Envelope;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{SmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailParameter};
use lettre::transport::smtp::response::Response;
use secrecy::ExposeSecret;
use url::{Host, Url};

use super::letter::Outcome;
use super::{MailError, one_line};
use crate::config::{PublicUrl, SmtpServer, SmtpTls};

use failure::{before_the_mail, of_the_mail, sentence};

/// How long a mail may take in all.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How long the connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the answer to the last command may take, when the mail has been taken already.
const QUIT_TIMEOUT: Duration = Duration::from_secs(1);

/// The mechanisms, in the order of preference.
const MECHANISMS: [Mechanism; 2] = [Mechanism::Plain, Mechanism::Login];

/// A mail server.
pub(super) struct Smtp(Arc<Inner>);

struct Inner {
    server: SmtpServer,
    /// What EHLO says.
    client: ClientId,
    /// `None` if the connection is never encrypted.
    tls: Option<TlsParameters>,
}

/// How a mail was delivered, for operators.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// How it ended.
    pub outcome: Outcome,
    /// Whether the connection was encrypted; `None` if there was none.
    pub encrypted: Option<bool>,
    /// How the server was told who sends: `PLAIN`, `LOGIN`, or not at all.
    pub mechanism: Option<String>,
}

impl From<Outcome> for Delivery {
    fn from(outcome: Outcome) -> Self {
        Self {
            outcome,
            encrypted: None,
            mechanism: None,
        }
    }
}

impl Smtp {
    pub(super) fn new(server: SmtpServer, public_url: &PublicUrl) -> Result<Self, MailError> {
        let name = server.certificate_host.as_ref().unwrap_or(&server.host);
        // With the cryptography of the process, or ring if no one has chosen any.
        let tls = match server.tls {
            SmtpTls::Off => None,
            _ => Some(
                TlsParameters::new(name.clone())
                    .map_err(|error| MailError::new("TOKENHOUSE_SMTP_URL", sentence(&error)))?,
            ),
        };
        let client = client_id(public_url);
        Ok(Self(Arc::new(Inner {
            server,
            client,
            tls,
        })))
    }

    /// Sends a mail over a connection of its own. Returns within 30 s: a server that does not answer by then
    /// keeps a thread until its own time is over, but gets no further command.
    pub(super) fn send(&self, message: &Message) -> Delivery {
        let (envelope, bytes) = (message.envelope().clone(), message.formatted());
        let (inner, phase) = (Arc::clone(&self.0), Arc::new(Phase::default()));
        let (sender, receiver) = mpsc::channel();
        let own_phase = Arc::clone(&phase);
        let run = move || {
            let mut delivery = Delivery::from(Outcome::Temporary(String::new()));
            delivery.outcome = match inner.deliver(&envelope, &bytes, &own_phase, &mut delivery) {
                Ok(reply) => Outcome::Accepted(reply),
                Err(outcome) => outcome,
            };
            // The receiver has gone if the time is over.
            let _ = sender.send(delivery);
        };
        if let Err(error) = thread::Builder::new().name("smtp".to_owned()).spawn(run) {
            let problem = format!("no thread for the connection: {}", error.kind());
            return Outcome::Temporary(problem).into();
        }
        receiver.recv_timeout(TIMEOUT).unwrap_or_else(|_late| {
            let problem = format!("no answer within {} s", TIMEOUT.as_secs());
            match phase.abandon() {
                true => Outcome::Temporary(problem).into(),
                false => Outcome::Unknown(problem).into(),
            }
        })
    }
}

/// How far a mail has come, which two threads must agree on.
#[derive(Default)]
struct Phase(AtomicU8);

impl Phase {
    const BEFORE_MESSAGE: u8 = 0;
    const MESSAGE: u8 = 1;
    const ABANDONED: u8 = 2;

    /// Whether the message may be sent. From then on it may have arrived.
    fn begin_message(&self) -> bool {
        self.change_to(Self::MESSAGE)
    }

    /// Whether the message has not been sent. From then on it will not be.
    fn abandon(&self) -> bool {
        self.change_to(Self::ABANDONED)
    }

    fn change_to(&self, next: u8) -> bool {
        let (from, order) = (Self::BEFORE_MESSAGE, Ordering::AcqRel);
        let changed = self
            .0
            .compare_exchange(from, next, order, Ordering::Acquire);
        changed.is_ok()
    }
}

impl Inner {
    /// Sends a mail; returns the reply of the server.
    fn deliver(
        &self,
        envelope: &Envelope,
        message: &[u8],
        phase: &Phase,
        report: &mut Delivery,
    ) -> Result<String, Outcome> {
        let deadline = Instant::now() + TIMEOUT;
        let mut connection = self
            .connect()
            .map_err(|error| before_the_mail(&error, &self.server))?;
        report.encrypted = Some(connection.is_encrypted());
        self.secure(&mut connection)?;
        report.encrypted = Some(connection.is_encrypted());
        limit(&mut connection, deadline);
        report.mechanism = self.authenticate(&mut connection)?;
        let parameters = mail_parameters(&connection, envelope)?;
        let mail = Mail::new(envelope.from().cloned(), parameters);
        limit(&mut connection, deadline);
        connection
            .command(mail)
            .map_err(|error| of_the_mail(&error))?;
        for to in envelope.to() {
            limit(&mut connection, deadline);
            let rcpt = Rcpt::new(to.clone(), Vec::new());
            connection
                .command(rcpt)
                .map_err(|error| of_the_mail(&error))?;
        }
        limit(&mut connection, deadline);
        connection
            .command(Data)
            .map_err(|error| of_the_mail(&error))?;
        limit(&mut connection, deadline);
        if !phase.begin_message() {
            return Err(Outcome::Temporary("the time is over".to_owned()));
        }
        let reply = connection.message(message).map_err(|error| {
            match error.is_transient() || error.is_permanent() {
                true => of_the_mail(&error),
                // The server may have taken the message before the connection ended.
                false => Outcome::Unknown(sentence(&error)),
            }
        })?;
        // The mail is delivered, whatever follows.
        let _ = connection.set_timeout(Some(QUIT_TIMEOUT));
        let _ = connection.quit();
        Ok(words(&reply))
    }

    fn connect(&self) -> Result<SmtpConnection, Error> {
        let server = (self.server.host.as_str(), self.server.port);
        let is_implicit = self.server.tls == SmtpTls::Implicit;
        let tls = self.tls.as_ref().filter(|_| is_implicit);
        SmtpConnection::connect(server, Some(CONNECT_TIMEOUT), &self.client, tls, None)
    }

    /// Encrypts the connection as configured.
    fn secure(&self, connection: &mut SmtpConnection) -> Result<(), Outcome> {
        let is_required = match self.server.tls {
            SmtpTls::Implicit | SmtpTls::Off => return Ok(()),
            SmtpTls::Required => true,
            SmtpTls::Opportunistic => self.server.credentials.is_some(),
        };
        match (&self.tls, connection.can_starttls()) {
            (Some(tls), true) => connection
                .starttls(tls, &self.client)
                .map_err(|error| before_the_mail(&error, &self.server)),
            _ if is_required => Err(Outcome::Temporary(
                "the server offers no STARTTLS, so nothing was sent".to_owned(),
            )),
            _ => Ok(()),
        }
    }

    /// Tells the server who sends, if there are credentials; returns how.
    fn authenticate(&self, connection: &mut SmtpConnection) -> Result<Option<String>, Outcome> {
        let Some((user, password)) = &self.server.credentials else {
            return Ok(None);
        };
        let mechanism = connection.server_info().get_auth_mechanism(&MECHANISMS);
        let mechanism = mechanism.ok_or_else(|| {
            let problem = "the server offers neither AUTH PLAIN nor AUTH LOGIN";
            Outcome::Temporary(problem.to_owned())
        })?;
        let credentials = Credentials::new(user.clone(), password.expose_secret().to_owned());
        let refused = |error| {
            let problem = format!("AUTH {mechanism} is refused: {}", sentence(&error));
            // An operator can correct the password, and then the mail is delivered.
            Outcome::Temporary(one_line(&problem))
        };
        connection
            .auth(&[mechanism], &credentials)
            .map_err(refused)?;
        Ok(Some(mechanism.to_string()))
    }
}

/// SMTPUTF8 (RFC 6531) if an address needs it.
fn mail_parameters(
    connection: &SmtpConnection,
    envelope: &Envelope,
) -> Result<Vec<MailParameter>, Outcome> {
    let mut addresses = envelope.to().iter().chain(envelope.from());
    if addresses.all(|address| address.user().is_ascii()) {
        return Ok(Vec::new());
    }
    if connection
        .server_info()
        .supports_feature(Extension::SmtpUtfEight)
    {
        return Ok(vec![MailParameter::SmtpUtfEight]);
    }
    let problem = "the server does not take addresses with letters beyond ASCII (SMTPUTF8)";
    Err(Outcome::Permanent(problem.to_owned()))
}

/// The host of the public URL, because many servers refuse a name that is not in DNS.
fn client_id(public_url: &PublicUrl) -> ClientId {
    let url = Url::parse(public_url.origin()).ok();
    match url.as_ref().and_then(Url::host) {
        Some(Host::Domain(name)) => ClientId::Domain(name.to_owned()),
        Some(Host::Ipv4(address)) => ClientId::Ipv4(address),
        Some(Host::Ipv6(address)) => ClientId::Ipv6(address),
        None => ClientId::default(),
    }
}

/// Limits each read and write to the time that is left.
fn limit(connection: &mut SmtpConnection, deadline: Instant) {
    let left = deadline.saturating_duration_since(Instant::now());
    // Zero would mean no limit. An error means that the connection is closed, which the next command finds.
    let _ = connection.set_timeout(Some(left.max(Duration::from_millis(1))));
}

/// The reply of a server.
fn words(reply: &Response) -> String {
    let lines: Vec<&str> = reply.message().collect();
    one_line(&format!("{} {}", reply.code(), lines.join(" ")))
}
