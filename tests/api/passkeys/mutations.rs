//! Ceremonies with one byte altered: none is accepted that says something else. `TOKENHOUSE_CEREMONIES` sets how many.

use std::sync::Mutex;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

use super::authenticator::{Authenticator, USER_PRESENT, USER_VERIFIED};
use super::{RP_ID, ask, begin, builder, confirm, enrol, sign_in};
use crate::factors::app::access_token;
use crate::harness::{Backend, Response, TestApp, concurrently, on_both_databases, size, text};

on_both_databases!(
    altered_signatures_sign_nobody_in,
    altered_registrations_add_no_other_key,
);

/// How many clients send at the same time.
const CLIENTS: usize = 4;

/// A kind of ceremony.
struct Ceremony {
    /// The parts of what a browser sends that are altered.
    parts: &'static [&'static [&'static str]],
    /// What the parts say. Nothing signs a new key, so that a space in its JSON, for example, changes nothing.
    meaning: fn(&Value) -> Value,
}

const SIGNATURE: Ceremony = Ceremony {
    parts: &[
        &["response", "clientDataJSON"],
        &["response", "authenticatorData"],
        &["response", "signature"],
        &["response", "userHandle"],
        &["rawId"],
    ],
    meaning: Value::clone,
};

const REGISTRATION: Ceremony = Ceremony {
    parts: &[
        &["response", "clientDataJSON"],
        &["response", "attestationObject"],
        &["rawId"],
    ],
    meaning: meaning_of_registration,
};

/// Where the statement begins in an attestation object, after `fmt` and the name of the member.
const STATEMENT: usize = 18;

/// What is set in the first byte of a text, and not in that of a byte string (RFC 8949 section 3.1).
const CBOR_TEXT: u8 = 0b0010_0000;

/// The first byte of a tag without the lowest bits, which are its number (RFC 8949 section 3.4).
const CBOR_TAG: u8 = 0b1100_0000;

/// The members of the JSON that are compared, and the bytes of the key.
fn meaning_of_registration(credential: &Value) -> Value {
    let bytes = |part: &Value| BASE64.decode(text(part)).unwrap();
    let response = &credential["response"];
    let said: Value =
        serde_json::from_slice(&bytes(&response["clientDataJSON"])).unwrap_or_default();
    // The name of a host is the same in capitals.
    let origin = said["origin"].as_str().unwrap_or_default();
    let object = masked(bytes(&response["attestationObject"]));
    json!([
        [said["type"], said["challenge"], origin.to_lowercase()],
        said["crossOrigin"] == true,
        BASE64.encode(object),
        credential["id"],
        credential["rawId"],
    ])
}

/// An attestation object without what an authenticator may say of itself: all flags but those that the user was
/// present and verified, the counter and the model; and without what makes no difference: the statement, which the
/// format `none` has not, tags, and whether names are texts or bytes.
fn masked(object: Vec<u8>) -> Vec<u8> {
    let hash = digest(&SHA256, RP_ID.as_bytes());
    let at = object
        .windows(32)
        .position(|window| window == hash.as_ref());
    let Some((names, data)) = at.map(|at| object.split_at(at)) else {
        return object;
    };
    let (mut names, mut data) = (names.to_vec(), data.to_vec());
    names.retain(|byte| byte & 0b1110_0000 != CBOR_TAG);
    if let Some(statement) = names.get_mut(STATEMENT) {
        *statement = 0;
    }
    for byte in &mut names {
        *byte &= !CBOR_TEXT;
    }
    if let Some([flags, rest @ ..]) = data.get_mut(32..53) {
        *flags &= USER_PRESENT | USER_VERIFIED;
        rest.fill(0);
    }
    [names, data].concat()
}

/// Alters one byte of a part, or cuts or extends it.
fn alter(credential: &mut Value, parts: &[&[&str]]) -> String {
    let path = parts[rand::random_range(0..parts.len())];
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

/// Sends altered answers. `take_part` is called with the number of the client: it makes an answer, calls the function
/// that it gets with it, and sends what that has altered.
fn check(ceremony: &Ceremony, take_part: impl Fn(usize, &dyn Fn(&mut Value)) -> Response + Sync) {
    let times = size("TOKENHOUSE_CEREMONIES", 300);
    let accepted = concurrently(CLIENTS, times, |n| {
        let altered = Mutex::new((String::new(), false));
        let response = take_part(n % CLIENTS, &|credential| {
            let before = (ceremony.meaning)(credential);
            let what = alter(credential, ceremony.parts);
            let says_the_same = (ceremony.meaning)(credential) == before;
            *altered.lock().unwrap() = (what, says_the_same);
        });
        let (what, says_the_same) = altered.into_inner().unwrap();
        let is_right = response.status == 400 || (says_the_same && response.status == 200);
        (!is_right).then(|| format!("{what}: {response:?}"))
    });
    assert_eq!(accepted.len(), times);
    let accepted: Vec<String> = accepted.into_iter().flatten().collect();
    assert!(accepted.is_empty(), "{accepted:#?}");
}

fn start(backend: Backend) -> TestApp {
    let (builder, _clock) = builder(backend, "first");
    builder
        .setting("TOKENHOUSE_LIMITS", "off")
        .setting("TOKENHOUSE_SESSIONS_PER_USER", "3")
        .start()
}

fn altered_signatures_sign_nobody_in(backend: Backend) {
    let app = start(backend);
    let ada = Mutex::new(enrol(&app, "ada"));
    check(&SIGNATURE, |_client, alter| {
        let (id, options) = ask(&app);
        let mut credential = ada.lock().unwrap().key.sign(&options);
        alter(&mut credential);
        sign_in(&app, &id, &credential)
    });
    let (id, options) = ask(&app);
    let right = ada.lock().unwrap().key.sign(&options);
    access_token(&sign_in(&app, &id, &right));
}

fn altered_registrations_add_no_other_key(backend: Backend) {
    let app = start(backend);
    // A user has ten factors at most.
    let owners = ["ada", "bob", "eve", "zoe"].map(|name| enrol(&app, name));
    assert_eq!(owners.len(), CLIENTS);
    check(&REGISTRATION, |client, alter| {
        let token = &owners[client].token;
        let (id, options) = begin(&app, token);
        let (_, mut credential) = Authenticator::make(&options);
        alter(&mut credential);
        let response = confirm(&app, token, id, &credential);
        super::forget(&app, token, id);
        response
    });
    assert_eq!(app.database().count("passkeys"), 4);
}
