//! An authenticator and its browser in software, written from the specification (W3C `WebAuthn` level 3) and not
//! from the service or its library.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::{Value, json};

use super::key_pair::KeyPair;
use super::{ORIGIN, RP_ID};
use crate::harness::text;

/// The flags of the data of an authenticator (section 6.1).
pub const USER_PRESENT: u8 = 0x01;
pub const USER_VERIFIED: u8 = 0x04;
pub const BACKUP_ELIGIBLE: u8 = 0x08;
pub const BACKED_UP: u8 = 0x10;
const ATTESTED: u8 = 0x40;

/// The model that it claims to be: `KeePassXC`.
const AAGUID: [u8; 16] = [
    0xfd, 0xb1, 0x41, 0xb2, 0x5d, 0x84, 0x44, 0x3e, 0x8a, 0x35, 0x46, 0x98, 0xc2, 0x05, 0xa5, 0x02,
];

/// A key for one service, and what the authenticator says with its next signature.
pub struct Authenticator {
    pair: KeyPair,
    pub id: Vec<u8>,
    /// What the service calls the user.
    pub handle: Option<Vec<u8>>,
    pub flags: u8,
    pub counter: u32,
    pub rp_id: String,
    /// Where the page of the browser is.
    pub origin: String,
    pub is_cross_origin: bool,
    pub aaguid: [u8; 16],
}

impl Authenticator {
    /// A key that no service knows.
    pub fn new() -> Self {
        Self::with(KeyPair::es256())
    }

    /// The same of another algorithm.
    pub fn with(pair: KeyPair) -> Self {
        let mut id = vec![0; 32];
        SystemRandom::new().fill(&mut id).unwrap();
        Self {
            pair,
            id,
            handle: None,
            flags: USER_PRESENT | USER_VERIFIED,
            counter: 1,
            rp_id: RP_ID.to_owned(),
            origin: ORIGIN.to_owned(),
            is_cross_origin: false,
            aaguid: AAGUID,
        }
    }

    /// A key for these options, and what the browser sends.
    pub fn make(options: &Value) -> (Self, Value) {
        let mut key = Self::new();
        let made = key.register(options);
        (key, made)
    }

    /// What the browser sends of a new key.
    pub fn register(&mut self, options: &Value) -> Value {
        self.handle = Some(BASE64.decode(text(&options["user"]["id"])).unwrap());
        let mut data = self.data(self.flags | ATTESTED);
        data.extend(self.aaguid);
        data.extend(u16::try_from(self.id.len()).unwrap().to_be_bytes());
        data.extend(&self.id);
        data.extend(self.pair.cose_key());
        // A map of three members: fmt "none", attStmt {} and authData, a byte string.
        let mut object = b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x59".to_vec();
        object.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        object.extend(&data);
        json!({
            "id": BASE64.encode(&self.id),
            "rawId": BASE64.encode(&self.id),
            "type": "public-key",
            "authenticatorAttachment": "platform",
            "clientExtensionResults": {},
            "response": {
                "clientDataJSON": BASE64.encode(self.client_data("webauthn.create", options)),
                "attestationObject": BASE64.encode(object),
                "transports": ["internal", "hybrid"],
            },
        })
    }

    /// What the browser sends when it is asked to sign. The counter goes on.
    pub fn sign(&mut self, options: &Value) -> Value {
        let data = self.data(self.flags);
        let client_data = self.client_data("webauthn.get", options);
        let signed = [&data, digest(&SHA256, client_data.as_bytes()).as_ref()].concat();
        let signature = self.pair.sign(&signed);
        self.counter = self.counter.saturating_add(1);
        json!({
            "id": BASE64.encode(&self.id),
            "rawId": BASE64.encode(&self.id),
            "type": "public-key",
            "authenticatorAttachment": "platform",
            "clientExtensionResults": {},
            "response": {
                "clientDataJSON": BASE64.encode(client_data),
                "authenticatorData": BASE64.encode(data),
                "signature": BASE64.encode(signature),
                "userHandle": self.handle.as_ref().map(|handle| BASE64.encode(handle)),
            },
        })
    }

    fn data(&self, flags: u8) -> Vec<u8> {
        let mut data = digest(&SHA256, self.rp_id.as_bytes()).as_ref().to_vec();
        data.push(flags);
        data.extend(self.counter.to_be_bytes());
        data
    }

    fn client_data(&self, kind: &str, options: &Value) -> String {
        let challenge = text(&options["challenge"]);
        json!({
            "type": kind,
            "challenge": challenge,
            "origin": self.origin,
            "crossOrigin": self.is_cross_origin,
        })
        .to_string()
    }
}
