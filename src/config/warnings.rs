//! Warnings about valid settings. `serve` logs the urgent ones; `config check` and `doctor` report all.

use super::{Config, MailTransport, PagesMode, Registration};

impl Config {
    /// Urgent warnings for the operator, one sentence each.
    pub fn warnings(&self) -> Vec<String> {
        let server = &self.server;
        let is_exposed = !server.bind.ip().is_loopback() && server.trusted_proxies.is_empty();
        let keys = &self.auth.static_keys;
        let public_url = server.public_url.as_ref();
        let is_plain_http = public_url.is_some_and(|url| !url.is_https() && !url.is_loopback());
        let transport = self.mail.as_ref().map(|mail| &mail.transport);
        select(&[
            (
                matches!(transport, Some(MailTransport::Smtp(server)) if server.exposes_password()),
                "TOKENHOUSE_SMTP_URL: tls=none sends the password of the mail server in the clear; use \
                 smtps or STARTTLS, and tls-host if the certificate has another name",
            ),
            (
                matches!(transport, Some(MailTransport::Memory)),
                "TOKENHOUSE_MAIL: memory is for tokenhouse dev; here, mails reach nobody",
            ),
            (
                matches!(
                    transport,
                    Some(MailTransport::Log | MailTransport::Folder(_))
                ),
                "TOKENHOUSE_MAIL: mails are not sent but written with their links to the log or a folder, \
                 where every reader can use them; set smtp outside development",
            ),
            (
                keys.any_shorter_than(16),
                "API_KEY_TOKEN: shorter than 16 characters, so it can be guessed",
            ),
            (
                keys.any_in_quotes(),
                "API_KEY_TOKEN: begins and ends with a quote, which clients must send too; docker run \
                 --env-file, for example, does not remove quotes",
            ),
            (
                u32::from(self.auth.cost) < 10,
                "TOKENHOUSE_BCRYPT_COST: below 10, stolen hashes are cheap to crack",
            ),
            (
                is_exposed,
                "TOKENHOUSE_BIND: reachable from other machines without TLS, so passwords can be read in \
                 the network; list the proxy that terminates TLS in TOKENHOUSE_TRUSTED_PROXIES",
            ),
            (
                server.pages.mode != PagesMode::Off && is_plain_http,
                "TOKENHOUSE_PUBLIC_URL: begins with http and is not this machine, so browsers cannot \
                 sign in on the pages; they need https",
            ),
            (
                matches!(self.auth.registration, Registration::Domains(_)) && self.mail.is_none(),
                "TOKENHOUSE_REGISTRATION: without TOKENHOUSE_MAIL, domains compares addresses but \
                 verifies nothing, so every client can register any address in these domains",
            ),
        ])
    }

    /// All warnings: the urgent ones, and those about choices that are usual in development.
    pub fn all_warnings(&self) -> Vec<String> {
        let is_local = self.server.bind.ip().is_loopback();
        let auth = &self.auth;
        let mut warnings = self.warnings();
        warnings.extend(select(&[
            (
                !auth.limits.on,
                "TOKENHOUSE_LIMITS: off, so passwords can be guessed without limit; set it to on",
            ),
            (
                !is_local && auth.registration == Registration::Open,
                "TOKENHOUSE_REGISTRATION: every client that can reach the service can register users; \
                 closed leaves it to administrators",
            ),
            (
                auth.audit_key.is_none(),
                "TOKENHOUSE_AUDIT_KEY: not set, so an attacker with access to the database can rewrite \
                 the audit trail; stop every process, set 32 random characters that are stored elsewhere, \
                 and run tokenhouse audit adopt-key",
            ),
            (
                auth.password_policy.min_length < 8,
                "TOKENHOUSE_PASSWORD_MIN_LENGTH: below 8, passwords can be guessed",
            ),
        ]));
        warnings
    }
}

/// The warnings that apply.
fn select(possible: &[(bool, &str)]) -> Vec<String> {
    let found = possible.iter().filter(|(applies, _)| *applies);
    found.map(|(_, warning)| (*warning).to_owned()).collect()
}
