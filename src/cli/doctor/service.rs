//! Checks of what the service needs to stay usable: a running process, an administrator, and keys that
//! do not end by surprise.

use std::io::ErrorKind;

use super::{Finding, Level, finding};
use crate::auth::{Auth, time_left};
use crate::cli::healthcheck::{query, reachable};
use crate::config::{Config, MfaMode};
use crate::error::Error;

/// The maximum number of keys to list.
const MAX_KEYS: i64 = 20;

/// Whether a service answers at the configured address; `None` if that has no fixed port.
pub(super) fn check_running(config: &Config) -> Option<Finding> {
    let address = reachable(config.server.bind);
    if address.port() == 0 {
        return None;
    }
    let subject = "service";
    Some(match query(address) {
        Ok(status) if status == "200" => finding(Level::Ok, subject, format!("ready at {address}")),
        Ok(status) => {
            let message = format!(
                "{address} answers /health/ready with {status}: read the log of what listens there"
            );
            finding(Level::Warning, subject, message)
        }
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            let message = format!("none runs at {address} (TOKENHOUSE_BIND)");
            finding(Level::Ok, subject, message)
        }
        Err(error) => {
            let message = format!(
                "{address} (TOKENHOUSE_BIND) does not answer: {}",
                error.kind()
            );
            finding(Level::Warning, subject, message)
        }
    })
}

/// Whether there is an administrator.
pub(super) async fn check_administrators(auth: &Auth) -> Result<Finding, Error> {
    let subject = "administrators";
    Ok(match auth.has_administrator().await? {
        true => finding(Level::Ok, subject, "at least one can sign in"),
        false => finding(
            Level::Warning,
            subject,
            "no user can administer others: tokenhouse user grant ADDRESS users:read users:write \
             events:read",
        ),
    })
}

/// The keys that end within 14 days.
pub(super) async fn check_keys(auth: &Auth) -> Result<Vec<Finding>, Error> {
    let subject = "keys";
    let keys = auth.list_expiring_keys(MAX_KEYS + 1).await?;
    if keys.is_empty() {
        return Ok(vec![finding(
            Level::Ok,
            subject,
            "none ends within 14 days",
        )]);
    }
    let now = auth.clock().now();
    let shown = keys.iter().take(MAX_KEYS as usize).map(|(key, owner)| {
        let message = match owner.is_app {
            true => format!(
                "key {} of {} ends {}: tokenhouse app add-key {} creates another",
                key.id,
                owner.name,
                time_left(key, now),
                owner.name
            ),
            false => format!(
                "key {} of {} ends {}",
                key.id,
                owner.email,
                time_left(key, now)
            ),
        };
        finding(Level::Warning, subject, message)
    });
    let mut findings: Vec<Finding> = shown.collect();
    if keys.len() > findings.len() {
        findings.push(finding(
            Level::Warning,
            subject,
            "more keys end within 14 days: see the metrics tokenhouse_user_keys_expiring and \
             tokenhouse_app_keys_expiring",
        ));
    }
    Ok(findings)
}

/// Whether users can have second factors, and the settings have the key to those that they have.
pub(super) async fn check_factors(auth: &Auth) -> Result<Finding, Error> {
    let subject = "second factors";
    let factors = &auth.config().factors;
    let opens = auth.can_open_seeds().await?;
    Ok(match (opens, &factors.keys) {
        (Some(false), _) => finding(
            Level::Problem,
            subject,
            "TOKENHOUSE_SECRET_KEY is not the key that sealed the authenticator apps, so their users can sign \
             in with recovery codes only: set the earlier key back, or as TOKENHOUSE_SECRET_KEY_PREVIOUS",
        ),
        _ if factors.mode == MfaMode::Off => finding(Level::Ok, subject, "off"),
        (_, None) => finding(
            Level::Ok,
            subject,
            "not offered: users can add authenticator apps once TOKENHOUSE_SECRET_KEY is set",
        ),
        (_, Some(_)) => {
            let offer = match factors.mode {
                MfaMode::Required => "required of every user",
                _ => "offered",
            };
            let state = match opens {
                Some(_) => "the key opens them",
                None => "no user has one",
            };
            finding(Level::Ok, subject, format!("{offer}, and {state}"))
        }
    })
}

/// Whether users can use the passkeys that they have; `None` where passkeys are off.
pub(super) async fn check_passkeys(auth: &Auth) -> Result<Option<Finding>, Error> {
    let subject = "passkeys";
    let Some(passkeys) = &auth.config().factors.passkeys else {
        return Ok(None);
    };
    let domain = &passkeys.rp_id;
    let (all, orphaned) = auth.count_orphaned_passkeys().await?;
    Ok(Some(match orphaned {
        0 => finding(Level::Ok, subject, format!("{all} for {domain}")),
        _ => finding(
            Level::Problem,
            subject,
            format!(
                "{orphaned} of {all} are made for another domain than {domain}, so nobody can use them: set \
                 TOKENHOUSE_PASSKEY_RP_ID to the earlier one"
            ),
        ),
    }))
}
