//! `tokenhouse mail …`

use clap::{Args, Subcommand};
use serde::Serialize;

use super::common::Failure;
use super::mail_queue::{MailArgs, QueueArgs, delete, list, retry};
use super::output::Output;
use crate::clock::Clock;
use crate::config::{Config, MailTransport, SmtpTls};
use crate::mail::{Kind, Mailer, Outcome};

/// The commands for mails.
#[derive(Debug, Subcommand)]
pub(super) enum MailCommand {
    /// Send a short mail to an address, and print how it was delivered or why it was not.
    Test(TestArgs),
    /// List the mails that wait or have failed: id, state, address, kind, tries, when the last try failed or
    /// the next one is due, and the last words of the mail server.
    Queue(QueueArgs),
    /// Send a failed mail again.
    Retry(MailArgs),
    /// Delete a failed mail.
    Drop(MailArgs),
}

#[derive(Debug, Args)]
pub(super) struct TestArgs {
    /// The address of the recipient
    address: String,
    /// Send this mail with sample data, such as reset-password or invitation
    #[arg(long, value_name = "KIND", value_parser = parse_kind)]
    template: Option<Kind>,
    /// Its language, such as de
    #[arg(long, default_value = "en", requires = "template")]
    locale: String,
    /// The name of the recipient
    #[arg(long, default_value = "")]
    name: String,
}

fn parse_kind(text: &str) -> Result<Kind, String> {
    let names = || Kind::ALL.map(Kind::name).join(", ");
    Kind::of_name(text).ok_or_else(|| format!("expected one of {}", names()))
}

/// How a mail was delivered.
#[derive(Serialize)]
struct Tested<'a> {
    to: &'a str,
    from: String,
    /// Without the user and the password.
    server: Option<String>,
    encryption: Option<&'static str>,
    /// How the server was told who sends.
    mechanism: Option<&'a str>,
    /// The last words of the server.
    reply: &'a str,
}

pub(super) fn run(config: &Config, command: &MailCommand, output: Output) -> Result<(), Failure> {
    match command {
        MailCommand::Test(args) => test(config, args, output),
        MailCommand::Queue(args) => list(config, args, output),
        MailCommand::Retry(args) => retry(config, args, output),
        MailCommand::Drop(args) => delete(config, args, output),
    }
}

fn test(config: &Config, args: &TestArgs, output: Output) -> Result<(), Failure> {
    let mailer = Mailer::new(config);
    let mailer = mailer.map_err(|error| Failure::bad_input(error.to_string()))?;
    let off = || Failure::bad_input("TOKENHOUSE_MAIL: off, so no mail is sent; see docs/mail.md");
    let mailer = mailer.ok_or_else(off)?;
    let address = args.address.as_str();
    let sample = args.template.map(|kind| (kind, args.locale.as_str()));
    let now = Clock::system().now().and_utc();
    let delivery = mailer.send_test(address, &args.name, sample, now);
    let server = match &mailer.config().transport {
        MailTransport::Smtp(server) => Some(server),
        _ => None,
    };
    let encryption = match (delivery.encrypted, server.map(|server| server.tls)) {
        (None, _) => None,
        (Some(false), _) => Some("none"),
        (Some(true), Some(SmtpTls::Implicit)) => Some("TLS"),
        (Some(true), _) => Some("STARTTLS"),
    };
    let tested = Tested {
        to: address,
        from: mailer.config().from.to_string(),
        server: server.map(ToString::to_string),
        encryption,
        mechanism: delivery.mechanism.as_deref(),
        reply: delivery.outcome.reply(),
    };
    let lines = [
        ("server", tested.server.as_deref()),
        ("encryption", encryption),
        (
            "authentication",
            tested.mechanism.or(encryption.map(|_| "none")),
        ),
        ("from", Some(&*tested.from)),
        ("to", Some(address)),
        ("reply", Some(tested.reply)),
    ];
    let lines = lines
        .into_iter()
        .filter_map(|(name, value)| Some(format!("{name:<15}{}", value?)));
    match &delivery.outcome {
        Outcome::Accepted(_) => {
            output.print_lines(&tested, &lines.collect::<Vec<_>>());
            Ok(())
        }
        Outcome::Temporary(reply) => Err(refused(&tested, reply, "; a mail would be tried again")),
        Outcome::Permanent(reply) => Err(refused(&tested, reply, "")),
        Outcome::Unknown(reply) => Err(refused(&tested, reply, "; the mail may have arrived")),
    }
}

/// Names the server and how far the connection came.
fn refused(tested: &Tested, reply: &str, consequence: &str) -> Failure {
    let server = tested.server.clone();
    let encryption = tested
        .encryption
        .map(|encryption| format!("encryption {encryption}"));
    let mechanism = tested
        .mechanism
        .map(|mechanism| format!("AUTH {mechanism}"));
    let steps: Vec<String> = [server, encryption, mechanism]
        .into_iter()
        .flatten()
        .collect();
    Failure::from(format!("{}: {reply}{consequence}", steps.join(", ")))
}
