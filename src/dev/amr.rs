//! How a user has signed in, as a test claims it.

use serde::Deserialize;

use crate::auth::BY_PASSWORD;

/// The values of RFC 8176 section 2.
const METHODS: [&str; 21] = [
    "face", "fpt", "geo", "hwk", "iris", "kba", "mca", "mfa", "otp", "pin", "pop", "pwd", "rba",
    "retina", "sc", "sms", "swk", "tel", "user", "vbm", "wia",
];

/// Methods of RFC 8176, at least one, in order and each once. A password by default.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Vec<String>")]
pub(super) struct Amr(String);

impl Amr {
    /// The methods with spaces between them.
    pub(super) fn as_text(&self) -> &str {
        &self.0
    }
}

impl Default for Amr {
    fn default() -> Self {
        Self(BY_PASSWORD.to_owned())
    }
}

impl TryFrom<Vec<String>> for Amr {
    type Error = String;

    fn try_from(claimed: Vec<String>) -> Result<Self, String> {
        let mut methods: Vec<&str> = Vec::new();
        for name in &claimed {
            let known = METHODS.iter().find(|method| *method == name);
            methods.push(known.ok_or_else(expected)?);
        }
        methods.sort_unstable();
        methods.dedup();
        if methods.is_empty() {
            return Err(expected());
        }
        Ok(Self(methods.join(" ")))
    }
}

fn expected() -> String {
    format!("amr is a list of one or more of {}", METHODS.join(", "))
}
