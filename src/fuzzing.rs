//! The fuzz targets: each parses any bytes as the service does, and panics when an invariant is violated.
//! `fuzz/` runs them guided by coverage, `tests/fuzz.rs` with mutated seeds.

use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use passlib::{Cost, needs_rehash, needs_update, verify_password_limited};
use pydantic_email::{EmailAddress, fold};

use crate::config::TrustedProxies;
use crate::credential::api_key;
use crate::credential::{CredentialDigest, CredentialKind};
use crate::http::fuzzing as http;

/// The forms of `/token`, `/revoke` and `/introspect`: a line that is the content type, and a body.
pub fn form(input: &[u8]) {
    http::form(input);
}

/// The JSON bodies of all routes.
pub fn json(input: &[u8]) {
    http::json(input);
}

/// The headers that may hold a credential: one per line, `name: value`.
pub fn credential(input: &[u8]) {
    http::credential(input);
}

/// The target of a request, with its query.
pub fn target(input: &[u8]) {
    http::target(input);
}

/// `X-Forwarded-For`: a line that is the peer's address, and a line for each header.
pub fn forwarded(input: &[u8]) {
    let trusted = ["10.0.0.0/8", "2001:db8::/32"].map(str::to_owned);
    let Ok(proxies) = TrustedProxies::parse(&trusted) else {
        return;
    };
    let mut lines = input.split(|byte| *byte == b'\n');
    let peer = lines.next().and_then(|line| str::from_utf8(line).ok());
    let peer = peer.and_then(|peer| peer.parse::<IpAddr>().ok());
    let peer = peer.unwrap_or_else(|| [10, 0, 0, 1].into());
    let headers: Vec<&[u8]> = lines.collect();

    let client = proxies.client(peer, headers.iter().copied());
    assert_eq!(client, client.to_canonical());
    if !proxies.contains(peer) {
        assert_eq!(client, peer.to_canonical(), "an untrusted peer was trusted");
    }
    // An address added on the left does not change the client, once it is found.
    if !proxies.contains(client) {
        let longer = [b"192.0.2.1".as_slice()]
            .into_iter()
            .chain(headers.iter().copied());
        let longer: Vec<&[u8]> = longer.collect();
        assert_eq!(
            client,
            proxies.client(peer, longer.into_iter()),
            "the leftmost address counts"
        );
    }
}

/// A hash with its password.
const GENUINE: (&[u8], &str) = (
    b"correct horse battery staple",
    "$2b$04$abcdefghijklmnopqrstuu7EJV7kdjBBQxyb0HjTh9KS7.Lah/6CG",
);

/// A stored hash: none accepts a wrong password, and only encodings of the genuine salt and digest accept
/// the right one.
pub fn hash(input: &[u8]) {
    let stored = String::from_utf8_lossy(input);
    let _ = (
        needs_update(&stored, Cost::MIN..),
        needs_rehash(&stored, Cost::MIN),
    );
    let (password, genuine) = GENUINE;
    if verify_password_limited(password, &stored, Cost::MIN) == Ok(true) {
        // A salt has four bits to spare at its end and a digest two, in characters 28 and 59.
        let significant = |hash: &str| {
            [
                &hash[hash.len() - 53..][..21],
                &hash[hash.len() - 31..][..30],
            ]
            .concat()
        };
        assert!(stored.is_ascii(), "{stored}");
        assert_eq!(significant(&stored), significant(genuine));
    } else if input.len().is_multiple_of(8) {
        let wrong = b"correct horse battery stapl";
        assert_ne!(
            verify_password_limited(wrong, &stored, Cost::MIN),
            Ok(true),
            "{stored}"
        );
    }
}

/// An API key: 32 bytes for a valid one, and how to alter it. CRC-32 detects every change of adjacent bytes,
/// and keys have one length.
pub fn api_key(input: &[u8]) {
    if api_key::is_well_formed(input) {
        let kind = CredentialDigest::parse(input).map(|credential| credential.kind);
        assert_eq!(kind, Some(CredentialKind::ApiKey));
        assert!(input.is_ascii() && input.len() == 53);
    }
    let Some((random, [place, put @ ..])) = input.split_first_chunk::<32>() else {
        return;
    };
    let good = api_key::with_checksum(&URL_SAFE_NO_PAD.encode(random));
    assert!(api_key::is_well_formed(good.as_bytes()));
    let mut altered = good.clone().into_bytes();
    let place = usize::from(*place) % altered.len();
    let cut = altered.len().min(place + put.len().min(4));
    altered.splice(place..cut, put.iter().copied());
    assert!(altered == good.as_bytes() || !api_key::is_well_formed(&altered));
}

/// An e-mail address: accepted ones can be stored and parsed again, and their keys are stable.
pub fn email(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let Ok(address) = EmailAddress::parse(&text) else {
        return;
    };
    let (written, key) = (address.to_string(), address.key());
    assert!(written.len() <= 254, "{written}");
    assert!(
        !written.chars().any(|c| c.is_control() || c.is_whitespace()),
        "{written:?}"
    );
    assert!(written.ends_with(address.domain()) && address.domain().contains('.'));
    assert_eq!(EmailAddress::parse(&written).as_ref(), Ok(&address));
    assert_eq!(fold(&key), key, "folding is not stable");
    assert_eq!(fold(&written), key);
}
