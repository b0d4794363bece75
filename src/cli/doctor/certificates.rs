//! Checks of the certificate files that `DATABASE_URL` names for TLS to Postgres: a connection fails from
//! the day on which one of them ends.

use std::fs;
use std::path::Path;

use openssl::asn1::{Asn1Time, Asn1TimeRef};
use openssl::error::ErrorStack;
use openssl::x509::X509;

use super::{Finding, Level, finding};
use crate::config::Config;

/// How many days before its end a certificate is reported.
const WARNING_DAYS: i32 = 14;

/// The value of `sslrootcert` that stands for the certificates of the system.
const SYSTEM: &str = "system";

/// Whether the certificates are readable and valid.
pub(super) fn check(config: &Config) -> Vec<Finding> {
    let url = &config.database.url;
    let certificates = ["sslrootcert", "sslcert"].into_iter().filter_map(|name| {
        let file = url.postgres_parameter(name)?;
        (file != SYSTEM).then(|| judge(name, Path::new(&file)))
    });
    certificates.collect()
}

fn judge(name: &str, file: &Path) -> Finding {
    let (level, state) = match ends(file) {
        Ok(state) => state,
        Err(problem) => (Level::Problem, problem),
    };
    let message = format!("{name}={}: {state}", file.display());
    finding(level, "certificates", message)
}

/// When the first certificate of a file ends.
///
/// # Errors
/// Why the file cannot be used.
fn ends(file: &Path) -> Result<(Level, String), String> {
    let text = fs::read(file).map_err(|error| format!("cannot be read: {}", error.kind()))?;
    let unreadable = |_: ErrorStack| "is no list of certificates in PEM format".to_owned();
    let certificates = X509::stack_from_pem(&text).map_err(unreadable)?;
    let now = Asn1Time::days_from_now(0).map_err(unreadable)?;
    let mut first: Option<(i32, String)> = None;
    for certificate in &certificates {
        let days = days_between(&now, certificate.not_after()).map_err(unreadable)?;
        if first.as_ref().is_none_or(|(earlier, _)| days < *earlier) {
            first = Some((days, certificate.not_after().to_string()));
        }
        if days_between(certificate.not_before(), &now).map_err(unreadable)? < 0 {
            let begins = certificate.not_before();
            return Err(format!("is not valid before {begins}: check the clock"));
        }
    }
    match first {
        None => Err("contains no certificate".to_owned()),
        Some((days, end)) if days < 0 => Err(format!("ended at {end}: replace it")),
        Some((days, end)) if days < WARNING_DAYS => {
            Ok((Level::Warning, format!("ends at {end}: replace it")))
        }
        Some((_, end)) => Ok((Level::Ok, format!("valid until {end}"))),
    }
}

/// The days from one time to another: negative, if any part of a day, when it is earlier.
fn days_between(from: &Asn1TimeRef, to: &Asn1TimeRef) -> Result<i32, ErrorStack> {
    let difference = from.diff(to)?;
    Ok(match difference.days {
        0 if difference.secs < 0 => -1,
        days => days,
    })
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};
    use test_support::ScratchDir;

    use super::*;

    /// A certificate that is valid between two years.
    fn certificate(from: i32, until: i32) -> String {
        let mut params = CertificateParams::new(vec!["db.example.com".to_owned()]).unwrap();
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().pem()
    }

    #[test]
    fn certificate_that_cannot_be_used_is_a_problem() {
        let folder = ScratchDir::new("certificates");
        let file = folder.join("ca.pem");
        let valid = certificate(2020, 3000);
        for (content, level, expected) in [
            (valid.clone(), Level::Ok, "valid until Jan  1 00:00:00 3000"),
            (certificate(2000, 2001), Level::Problem, "ended at Jan  1"),
            (
                valid + &certificate(2000, 2001),
                Level::Problem,
                "ended at Jan  1",
            ),
            (certificate(2999, 3000), Level::Problem, "not valid before"),
            (String::new(), Level::Problem, "contains no certificate"),
        ] {
            fs::write(&file, content).unwrap();
            let found = judge("sslrootcert", &file);
            assert_eq!(found.level, level, "{found:?}");
            assert!(found.message.contains(expected), "{found:?}");
        }
        let missing = judge("sslcert", &folder.join("none.pem"));
        assert_eq!(missing.level, Level::Problem);
        assert!(missing.message.contains("cannot be read"), "{missing:?}");
    }

    #[test]
    fn certificate_that_ends_soon_is_reported() {
        let folder = ScratchDir::new("certificates");
        let file = folder.join("ca.pem");
        let mut params = CertificateParams::new(vec!["db.example.com".to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        for (days, level) in [(13, Level::Warning), (15, Level::Ok)] {
            let end = std::time::SystemTime::now() + std::time::Duration::from_secs(days * 86_400);
            params.not_after = end.into();
            fs::write(&file, params.clone().self_signed(&key).unwrap().pem()).unwrap();
            assert_eq!(judge("sslrootcert", &file).level, level, "{days}");
        }
    }
}
