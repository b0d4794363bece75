//! Why a mail was not delivered, for the operator and for the next try.

use std::error::Error as StdError;
use std::io;

use lettre::transport::smtp::Error;
use rustls::CertificateError;

use crate::config::SmtpServer;
use crate::mail::letter::Outcome;
use crate::mail::one_line;

/// Replies to a sender that needs AUTH or STARTTLS first (RFC 4954 section 6, RFC 3207 section 4): an operator
/// can correct the settings, and then the mail is delivered.
const SENDER_UNKNOWN: [u16; 2] = [530, 538];

/// A failure before the server knows what it is to deliver: never the fault of the mail.
pub(super) fn before_the_mail(error: &Error, server: &SmtpServer) -> Outcome {
    let problem = match certificate_error(error) {
        Some(problem) => describe(problem, server),
        None => sentence(error),
    };
    Outcome::Temporary(one_line(&problem))
}

/// A failure to take this mail.
pub(super) fn of_the_mail(error: &Error) -> Outcome {
    let code = error.status().map(u16::from);
    let is_settings = code.is_some_and(|code| SENDER_UNKNOWN.contains(&code));
    match error.is_permanent() && !is_settings {
        true => Outcome::Permanent(sentence(error)),
        false => Outcome::Temporary(sentence(error)),
    }
}

/// The words of the server, or what is wrong with the connection.
pub(super) fn sentence(error: &Error) -> String {
    let source = error.source().map(ToString::to_string).unwrap_or_default();
    let text = match error.status() {
        Some(code) => format!("{code} {source}"),
        None if is_timeout(error) => "the server did not answer in time".to_owned(),
        None if source.is_empty() => error.to_string(),
        None => source,
    };
    one_line(&text)
}

/// A timeout is `WouldBlock` on Unix.
fn is_timeout(error: &Error) -> bool {
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(error) = inner.downcast_ref::<io::Error>() {
            let kind = error.kind();
            return matches!(kind, io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock);
        }
        source = inner.source();
    }
    false
}

/// What is wrong with the certificate, if that is the cause.
fn certificate_error(error: &Error) -> Option<&CertificateError> {
    let mut source = error.source();
    while let Some(inner) = source {
        // An `io::Error` does not name the error in it as its source.
        let own = inner
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        let tls = match own {
            Some(own) => own.downcast_ref::<rustls::Error>(),
            None => inner.downcast_ref::<rustls::Error>(),
        };
        if let Some(rustls::Error::InvalidCertificate(problem)) = tls {
            return Some(problem);
        }
        source = inner.source();
    }
    None
}

fn describe(problem: &CertificateError, server: &SmtpServer) -> String {
    let wanted = server.certificate_host.as_ref().unwrap_or(&server.host);
    match problem {
        CertificateError::NotValidForNameContext { presented, .. } => {
            // As in `DnsName("mail.example.com")`.
            let names = presented.iter().map(|name| name.split('"').nth(1).unwrap_or(name));
            let names: Vec<&str> = names.collect();
            let first = names.first().copied().unwrap_or("NAME");
            format!(
                "the certificate is for {}, not for {wanted}; if that is the right server, add \
                 tls-host={first} to TOKENHOUSE_SMTP_URL",
                names.join(", ")
            )
        }
        CertificateError::NotValidForName => format!("the certificate is not for {wanted}"),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the certificate has expired".to_owned()
        }
        CertificateError::UnknownIssuer => {
            "the certificate is from an issuer that this system does not trust; add the issuer to the \
             system's certificates, or set SSL_CERT_FILE"
                .to_owned()
        }
        other => format!("the certificate is not valid: {other}"),
    }
}
