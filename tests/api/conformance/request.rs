//! From the description of a request to its bytes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::case::{Part, RequestTemplate};
use super::variables::Variables;
use crate::harness::{Client, Request};

const BOUNDARY: &str = "----tokenhouse-conformance-boundary";

impl RequestTemplate {
    /// The request, to be sent to `server`.
    pub fn build(&self, server: Client, variables: &Variables) -> Request {
        let mut request = server.request(&self.method, latin1(&variables.expand(&self.path)));
        for (name, value) in &self.headers {
            request = request.header(latin1(name), latin1(&variables.expand(value)));
        }
        let (content_type, body) = self.content(variables);
        let has_type = self
            .headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        if let Some(content_type) = content_type.filter(|_| !has_type) {
            request = request.header("Content-Type", content_type);
        }
        if !body.is_empty() || ["POST", "PUT", "PATCH"].contains(&&*self.method) {
            request = request.body(body);
        }
        request
    }

    fn content(&self, variables: &Variables) -> (Option<String>, Vec<u8>) {
        if let Some(value) = &self.json {
            let body = variables.expand_json(value).to_string();
            (Some("application/json".to_owned()), body.into_bytes())
        } else if let Some(fields) = &self.form {
            let mut form = form_urlencoded::Serializer::new(String::new());
            for (name, value) in fields {
                form.append_pair(&variables.expand(name), &variables.expand(value));
            }
            let content_type = "application/x-www-form-urlencoded".to_owned();
            (Some(content_type), form.finish().into_bytes())
        } else if let Some(parts) = &self.multipart {
            let content_type = format!("multipart/form-data; boundary={BOUNDARY}");
            (Some(content_type), multipart(parts, variables).into_bytes())
        } else if let Some(encoded) = &self.body_b64 {
            (
                None,
                STANDARD.decode(encoded).expect("the case holds base64"),
            )
        } else {
            let body = self.body.as_deref().unwrap_or_default();
            (None, variables.expand(body).into_bytes())
        }
    }
}

fn multipart(parts: &[Part], variables: &Variables) -> String {
    let mut body = String::new();
    for part in parts {
        let mut head = format!("Content-Disposition: form-data; name=\"{}\"", part.name);
        if let Some(filename) = &part.filename {
            head += &format!("; filename=\"{filename}\"");
        }
        if let Some(content_type) = &part.content_type {
            head += &format!("\r\nContent-Type: {content_type}");
        }
        let value = variables.expand(&part.value);
        body += &format!("--{BOUNDARY}\r\n{head}\r\n\r\n{value}\r\n");
    }
    body + "--" + BOUNDARY + "--\r\n"
}

/// The text of a case as the bytes that were sent: a character a byte.
fn latin1(text: &str) -> Vec<u8> {
    let byte = |character| u8::try_from(character).expect("heads of requests are Latin-1");
    text.chars().map(byte).collect()
}
