//! Ceremonies with one byte altered: none is accepted. `TOKENHOUSE_CEREMONIES` sets how many.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde_json::Value;

use super::{ask, builder, enrol, sign_in};
use crate::factors::app::access_token;
use crate::harness::{Backend, concurrently, on_both_databases, size, text};

on_both_databases!(altered_signatures_sign_nobody_in,);

/// The parts of a signature that a browser sends, all of which are compared.
const PARTS: [&[&str]; 5] = [
    &["response", "clientDataJSON"],
    &["response", "authenticatorData"],
    &["response", "signature"],
    &["response", "userHandle"],
    &["rawId"],
];

/// Alters one byte of a part, or cuts or extends it.
fn alter(credential: &mut Value) -> String {
    let path = PARTS[rand::random_range(0..PARTS.len())];
    let part = path
        .iter()
        .fold(credential, |value, member| &mut value[member]);
    let mut bytes = BASE64.decode(text(part)).unwrap();
    let at = rand::random_range(0..bytes.len());
    let what = match rand::random_range(0..8) {
        0 => {
            bytes.truncate(at);
            format!("cut at {at}")
        }
        1 => {
            bytes.insert(at, rand::random());
            format!("a byte more at {at}")
        }
        _ => {
            let bit = 1 << rand::random_range(0..8);
            bytes[at] ^= bit;
            format!("bit {bit} of byte {at}")
        }
    };
    *part = BASE64.encode(bytes).into();
    format!("{path:?}: {what}")
}

fn altered_signatures_sign_nobody_in(backend: Backend) {
    let (builder, _clock) = builder(backend, "first");
    let app = builder
        .setting("TOKENHOUSE_LIMITS", "off")
        .setting("TOKENHOUSE_SESSIONS_PER_USER", "3")
        .start();
    let times = size("TOKENHOUSE_CEREMONIES", 300);
    let ada = std::sync::Mutex::new(enrol(&app, "ada"));
    let accepted = concurrently(4, times, |_| {
        let (id, options) = ask(&app);
        let mut credential = ada.lock().unwrap().key.sign(&options);
        let what = alter(&mut credential);
        let response = sign_in(&app, &id, &credential);
        (response.status != 400).then(|| format!("{what}: {response:?}"))
    });
    assert_eq!(accepted.len(), times);
    let accepted: Vec<String> = accepted.into_iter().flatten().collect();
    assert!(accepted.is_empty(), "{accepted:#?}");
    let (id, options) = ask(&app);
    let right = ada.lock().unwrap().key.sign(&options);
    access_token(&sign_in(&app, &id, &right));
}
