//! A mail as it is sent (RFC 5322, RFC 2046).

use std::time::SystemTime;

use chrono::{DateTime, Utc};
use lettre::message::header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue};
use lettre::message::{Body, Mailbox, Message, MultiPart, SinglePart};
use lettre::{Address, address::AddressError};
use url::Host;

use super::isolate;
use super::letter::{Letter, Rendered};
use crate::config::{MailAddress, MailConfig};
use crate::printable::printable;

/// The longest subject, in characters.
const MAX_SUBJECT: usize = 200;

/// A mail with a text and an HTML part.
///
/// # Errors
/// When the address of the recipient cannot be written in a header.
pub(super) fn build(
    config: &MailConfig,
    letter: &Letter,
    text: &Rendered,
    date: DateTime<Utc>,
) -> Result<Message, String> {
    let unusable = |error: AddressError| format!("the address cannot be used: {error}");
    let mut builder = Message::builder()
        .from(mailbox(&config.from).map_err(unusable)?)
        .to(recipient(letter.to, letter.name)?)
        .subject(one_line(&text.subject))
        .date(SystemTime::from(date))
        .message_id(Some(format!("<{}>", letter.message_id)));
    if let Some(reply_to) = &config.reply_to {
        builder = builder.reply_to(mailbox(reply_to).map_err(unusable)?);
    }
    for (name, value) in [
        // RFC 3834 section 5: no vacation notices.
        ("Auto-Submitted", "auto-generated"),
        // The same for Exchange.
        ("X-Auto-Response-Suppress", "All"),
        ("Content-Language", &text.locale),
    ] {
        let name =
            HeaderName::new_from_ascii(name.to_owned()).map_err(|error| error.to_string())?;
        builder = builder.raw_header(HeaderValue::new(name, value.to_owned()));
    }
    let parts = MultiPart::alternative()
        .singlepart(part(ContentType::TEXT_PLAIN, &text.text)?)
        .singlepart(part(ContentType::TEXT_HTML, &text.html)?);
    builder.multipart(parts).map_err(|error| error.to_string())
}

/// The address of a recipient with the name as users see it, without what reorders the text around it.
fn recipient(address: &str, name: &str) -> Result<Mailbox, String> {
    let (local, domain) = address.rsplit_once('@').unwrap_or_default();
    // The form for DNS, which every server understands; a local part needs SMTPUTF8 (RFC 6531).
    let domain = match Host::parse(domain) {
        Ok(Host::Domain(domain)) => domain,
        _ => return Err("the domain of the address is no host".to_owned()),
    };
    let name = printable(&isolate::plain(name));
    let name = Some(name.trim().to_owned()).filter(|name| !name.is_empty());
    let address = Address::new(local, domain);
    let address = address.map_err(|error| format!("the address cannot be used: {error}"))?;
    Ok(Mailbox::new(name, address))
}

fn mailbox(address: &MailAddress) -> Result<Mailbox, AddressError> {
    let MailAddress {
        name,
        local,
        domain,
    } = address;
    Ok(Mailbox::new(name.clone(), Address::new(local, domain)?))
}

fn one_line(subject: &str) -> String {
    let line = subject
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c });
    let mut line: String = line.take(MAX_SUBJECT).collect();
    let count = |c| line.chars().filter(|other| *other == c).count();
    if count(isolate::BEGIN) > count(isolate::END) {
        // Cut within a text of a user.
        line.push(isolate::END);
    }
    line
}

/// A part in quoted-printable, which every server takes and whose source is readable.
fn part(media_type: ContentType, text: &str) -> Result<SinglePart, String> {
    let encoding = ContentTransferEncoding::QuotedPrintable;
    let text = text.replace('\n', "\r\n");
    let body = Body::new_with_encoding(text, encoding);
    let body = body.map_err(|_text| "the text cannot be encoded".to_owned())?;
    Ok(SinglePart::builder().header(media_type).body(body))
}
