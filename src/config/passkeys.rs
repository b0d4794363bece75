//! The settings of passkeys: for which domain they are made, and on which pages they work.

use url::{Host, Url};

use super::factors::MfaMode;
use super::pages::brand_name;
use super::public_suffix::{can_claim, is_public_suffix};
use super::values::Values;
use super::{ConfigError, origins};

const MODE: &str = "TOKENHOUSE_PASSKEYS";
const RP_ID: &str = "TOKENHOUSE_PASSKEY_RP_ID";
const ORIGINS: &str = "TOKENHOUSE_PASSKEY_ORIGINS";

/// The settings of passkeys.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PasskeyConfig {
    /// `TOKENHOUSE_PASSKEYS=first`: whether a passkey may stand alone, without a password.
    pub stands_alone: bool,
    /// `TOKENHOUSE_PASSKEY_RP_ID`: the domain that passkeys are made for, in Punycode (section 5.1.3 of
    /// `WebAuthn`). With another one, every passkey is worthless.
    pub rp_id: String,
    /// The origins of the pages on which they work: that of `TOKENHOUSE_PUBLIC_URL`, and those of
    /// `TOKENHOUSE_PASSKEY_ORIGINS`.
    pub origins: Vec<String>,
    /// `TOKENHOUSE_BRAND_NAME`: what browsers call the service.
    pub name: String,
}

impl PasskeyConfig {
    /// `None` where passkeys are off.
    pub(super) fn from_values(
        values: &Values,
        mfa: MfaMode,
        has_key: bool,
    ) -> Result<Option<Self>, ConfigError> {
        let stands_alone = match values.text(MODE).as_str() {
            "off" => return Ok(None),
            "second" => false,
            "first" => true,
            _ => return Err(ConfigError::new(MODE, "expected off, second or first")),
        };
        if !cfg!(feature = "passkeys") {
            let problem =
                "this program was built without passkeys; build it with --features passkeys";
            return Err(ConfigError::new(MODE, problem));
        }
        if mfa == MfaMode::Off || !has_key {
            let problem = "needs TOKENHOUSE_SECRET_KEY, and TOKENHOUSE_MFA that is not off";
            return Err(ConfigError::new(MODE, problem));
        }
        let Some(url) = values.public_url()? else {
            let problem = "needs TOKENHOUSE_PUBLIC_URL: a passkey is made for its domain";
            return Err(ConfigError::new(MODE, problem));
        };
        let host = domain_of(url.origin()).map_err(|problem| {
            ConfigError::new(MODE, format!("with this TOKENHOUSE_PUBLIC_URL: {problem}"))
        })?;
        let rp_id = match values.text(RP_ID) {
            text if text.is_empty() => host,
            text => {
                chosen_domain(&text, &host).map_err(|problem| ConfigError::new(RP_ID, problem))?
            }
        };
        let mut all = vec![url.origin().to_owned()];
        let listed = values.list(ORIGINS);
        let listed =
            origins::parse(&listed).map_err(|problem| ConfigError::new(ORIGINS, problem))?;
        for (number, origin) in (1..).zip(listed) {
            check_origin(&origin, &rp_id).map_err(|problem| {
                ConfigError::new(ORIGINS, format!("entry {number}: {problem}"))
            })?;
            if !all.contains(&origin) {
                all.push(origin);
            }
        }
        Ok(Some(Self {
            stands_alone,
            rp_id,
            origins: all,
            name: brand_name(values)?,
        }))
    }

    /// The origins beside that of the public URL (section 5.11 of `WebAuthn`).
    #[cfg(feature = "server")]
    pub(crate) fn related_origins(&self) -> &[String] {
        self.origins.get(1..).unwrap_or_default()
    }
}

/// The domain of an origin on which browsers allow passkeys.
///
/// # Errors
/// Why they do not.
fn domain_of(origin: &str) -> Result<String, &'static str> {
    let url = Url::parse(origin).ok();
    let url = url.as_ref();
    match (url.map(Url::scheme), url.and_then(Url::host)) {
        (Some("http" | "https"), Some(Host::Domain("localhost"))) => Ok("localhost".to_owned()),
        (Some("https"), Some(Host::Domain(name))) => without_dot(name),
        (Some("http" | "https"), Some(Host::Ipv4(_) | Host::Ipv6(_))) => {
            Err("browsers make passkeys for a domain, not for an IP address")
        }
        (Some("http"), Some(_)) => Err("browsers allow passkeys with https only"),
        _ => Err("expected an origin such as https://app.example"),
    }
}

/// The chosen domain, if the pages of the host can claim it.
fn chosen_domain(text: &str, host: &str) -> Result<String, &'static str> {
    let expected = "expected a domain such as example.com, without scheme and port";
    if text.contains(['/', ':', '@', '?', '#']) {
        return Err(expected);
    }
    let url = Url::parse(&format!("https://{text}")).map_err(|_error| expected)?;
    let name = match url.host() {
        Some(Host::Domain(name)) => without_dot(name)?,
        Some(Host::Ipv4(_)) => {
            return Err("browsers make passkeys for a domain, not for an IP address");
        }
        _ => return Err(expected),
    };
    if can_claim(host, &name) {
        return Ok(name);
    }
    match is_public_suffix(&name) {
        true => Err("this is a public suffix, under which anyone can register domains"),
        false => Err("expected the domain of TOKENHOUSE_PUBLIC_URL, or one above it"),
    }
}

/// Refuses origins where browsers make no passkey for this domain. At a host of another domain they ignore
/// those without a registrable one (section 5.11.1 of `WebAuthn`).
fn check_origin(origin: &str, rp_id: &str) -> Result<(), &'static str> {
    let host = domain_of(origin)?;
    match can_claim(&host, rp_id) || !is_public_suffix(&host) {
        true => Ok(()),
        false => {
            Err("browsers allow no passkeys of another domain at localhost or a public suffix")
        }
    }
}

/// Refuses the dot that ends absolute names, which no other setting has.
fn without_dot(name: &str) -> Result<String, &'static str> {
    match name.ends_with('.') {
        true => Err("remove the dot at the end of the domain"),
        false => Ok(name.to_owned()),
    }
}

#[cfg(all(test, feature = "passkeys"))]
mod tests {
    use crate::config::Config;

    /// The settings of passkeys with this public URL and further settings, or the error.
    fn passkeys(url: &str, more: &[(&str, &str)]) -> Result<(String, Vec<String>), String> {
        let mut settings = vec![
            ("TOKENHOUSE_PASSKEYS", "second"),
            ("TOKENHOUSE_PUBLIC_URL", url),
            (
                "TOKENHOUSE_SECRET_KEY",
                "a key that seals, of 32 characters or more",
            ),
        ];
        settings.extend_from_slice(more);
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        match Config::from_vars(settings.into_iter().map(owned)) {
            Ok(config) => {
                let passkeys = config.auth.factors.passkeys;
                let shown = passkeys.map(|passkeys| (passkeys.rp_id, passkeys.origins));
                shown.ok_or_else(|| "off".to_owned())
            }
            Err(errors) => Err(errors.to_string()),
        }
    }

    #[test]
    fn domain_is_that_of_the_public_url() {
        for (url, domain, origin) in [
            (
                "https://auth.example",
                "auth.example",
                "https://auth.example",
            ),
            (
                "https://Auth.Example:8443/x",
                "auth.example",
                "https://auth.example:8443",
            ),
            (
                "http://localhost:8000",
                "localhost",
                "http://localhost:8000",
            ),
            (
                "https://b\u{fc}cher.example",
                "xn--bcher-kva.example",
                "https://xn--bcher-kva.example",
            ),
            ("https://host.lan", "host.lan", "https://host.lan"),
            ("https://intranet", "intranet", "https://intranet"),
        ] {
            let expected = (domain.to_owned(), vec![origin.to_owned()]);
            assert_eq!(passkeys(url, &[]), Ok(expected), "{url}");
        }
        for (url, chosen, domain) in [
            ("https://auth.example.com", "Example.COM", "example.com"),
            (
                "https://auth.corp.internal",
                "corp.internal",
                "corp.internal",
            ),
            ("https://auth.me.github.io", "me.github.io", "me.github.io"),
            ("http://localhost:8000", "localhost", "localhost"),
        ] {
            let chosen = [("TOKENHOUSE_PASSKEY_RP_ID", chosen)];
            assert_eq!(passkeys(url, &chosen).unwrap().0, domain);
        }
    }

    #[test]
    fn addresses_without_passkeys_are_refused_in_one_line() {
        for url in [
            "https://192.0.2.1",
            "https://[2001:db8::1]",
            "https://auth.example.",
            "http://auth.example",
            "http://127.0.0.1:8000",
        ] {
            let error = passkeys(url, &[]).unwrap_err();
            assert!(error.starts_with("TOKENHOUSE_PASSKEYS: "), "{url}: {error}");
            assert_eq!(error.lines().count(), 1, "{url}: {error}");
        }
        for id in [
            "com",
            "co.uk",
            "localhost",
            "other.example",
            "uth.example.com",
            "sub.auth.example.com",
            "192.0.2.1",
            "https://auth.example.com",
            "auth.example.com:443",
            "example.com.",
            "*.example.com",
        ] {
            let setting = [("TOKENHOUSE_PASSKEY_RP_ID", id)];
            let error = passkeys("https://auth.example.com", &setting).unwrap_err();
            assert!(
                error.starts_with("TOKENHOUSE_PASSKEY_RP_ID: "),
                "{id}: {error}"
            );
            assert_eq!(error.lines().count(), 1, "{id}: {error}");
        }
    }

    #[test]
    fn public_suffix_is_named_as_the_reason() {
        for (url, id) in [
            ("https://auth.example.co.uk", "co.uk"),
            ("https://me.github.io", "github.io"),
            ("https://host.lan", "lan"),
        ] {
            let error = passkeys(url, &[("TOKENHOUSE_PASSKEY_RP_ID", id)]).unwrap_err();
            assert!(error.contains("public suffix"), "{id}: {error}");
        }
    }

    #[test]
    fn passkeys_need_what_they_are_made_of() {
        let with = |name: &str| passkeys("https://auth.example", &[(name, "")]).unwrap_err();
        assert!(with("TOKENHOUSE_PUBLIC_URL").contains("needs TOKENHOUSE_PUBLIC_URL"));
        let off = [("TOKENHOUSE_MFA", "off")];
        let error = passkeys("https://auth.example", &off).unwrap_err();
        assert!(error.contains("TOKENHOUSE_MFA"), "{error}");
        let origins = [(
            "TOKENHOUSE_PASSKEY_ORIGINS",
            "https://app.example, https://auth.example, https://b.auth.example",
        )];
        let (_, origins) = passkeys("https://auth.example", &origins).unwrap();
        let expected = [
            "https://auth.example",
            "https://app.example",
            "https://b.auth.example",
        ];
        assert_eq!(origins, expected);
        for other in [
            "http://app.example",
            "http://localhost:3000",
            "https://github.io",
            "https://intranet",
        ] {
            let listed = format!("https://app.example,{other}");
            let bad = [("TOKENHOUSE_PASSKEY_ORIGINS", listed.as_str())];
            let error = passkeys("https://auth.example", &bad).unwrap_err();
            assert!(error.contains("ORIGINS: entry 2: "), "{other}: {error}");
        }
        let port = [("TOKENHOUSE_PASSKEY_ORIGINS", "http://localhost:3000")];
        let (_, origins) = passkeys("http://localhost:8000", &port).unwrap();
        assert_eq!(origins, ["http://localhost:8000", "http://localhost:3000"]);
    }
}
