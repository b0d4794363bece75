//! The static key as the secret of an introspecting client, which clients put into HTTP Basic
//! form-encoded (RFC 6749 section 2.3.1) or as it is.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::harness::{Backend, TestApp};

const KEY: &str = "a+b/c=d e%41.-_~&f:g;h?i'j(k)*!";

#[test]
fn the_static_key_is_a_secret_encoded_or_not_and_nothing_else_is() {
    let app = TestApp::builder(Backend::Sqlite)
        .setting("API_KEY_TOKEN", KEY)
        .start();
    let encoded: String = form_urlencoded::byte_serialize(KEY.as_bytes()).collect();
    // As npm's oauth4webapi writes it: what need not be encoded is encoded too.
    let all_encoded: String = KEY.bytes().map(|byte| format!("%{byte:02X}")).collect();
    for (secret, status) in [
        (KEY.to_owned(), 200),
        (encoded.clone(), 200),
        (all_encoded, 200),
        (format!("{encoded}&more"), 401),
        (format!("{encoded}&"), 401),
        (format!("{KEY}&more"), 401),
        (format!("&{KEY}"), 401),
        (KEY.replace('+', " "), 401),
        (KEY.replace("%41", "A"), 401),
        (encoded.replace('%', "%25"), 401),
        (String::new(), 401),
    ] {
        let basic = STANDARD.encode(format!("any-app:{secret}"));
        let request = app
            .post("/introspect")
            .header("Authorization", format!("Basic {basic}"));
        let answer = request.form(&[("token", "never-issued")]).send();
        assert_eq!(answer.status, status, "{secret}");
        if status == 200 {
            assert_eq!(answer.json(), json!({"active": false}));
        } else {
            assert_eq!(answer.json()["error"], json!("invalid_client"));
        }
    }
}
