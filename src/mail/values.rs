//! The variables of templates.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use minijinja::value::Value;

use super::letter::{Details, Kind, Letter};
use super::templates::Format;
use super::{duration, html, isolate};
use crate::config::MailConfig;

/// The variables of all templates. One without a value is empty.
const NAMES: [&str; 17] = [
    "address",
    "brand",
    "code",
    "code_duration",
    "device",
    "duration",
    "inviter",
    "ip",
    "key",
    "lang",
    "lifetime",
    "link",
    "name",
    "new_address",
    "role",
    "time",
    "url",
];

/// The variables of the layouts.
const LAYOUT_NAMES: [&str; 5] = ["brand", "content", "lang", "subject", "url"];

/// The link of samples.
pub(super) const SAMPLE_LINK: &str = "https://auth.example/page?t=56EF3D0yLk7qVw2mZ8tHc4bXs9";

/// The code of samples.
pub(super) const SAMPLE_CODE: &str = "7K3M9QXD";

/// The content of samples of layouts.
pub(super) const SAMPLE_CONTENT: &str = "sample content";

/// The names that a template may use.
pub(super) fn names(is_layout: bool) -> &'static [&'static str] {
    if is_layout { &LAYOUT_NAMES } else { &NAMES }
}

/// A mail with everything, for checks and previews.
pub(super) fn sample_letter<'a>(kind: Kind, locale: &'a str, link: &'a str) -> Letter<'a> {
    Letter {
        kind,
        to: "ada@example.com",
        name: "Ada Lovelace",
        locale,
        message_id: "preview@example.com",
        link: Some(link),
        code: kind.requires_code().then_some(SAMPLE_CODE),
        lifetime: Some(TimeDelta::minutes(30)),
        code_lifetime: Some(TimeDelta::minutes(10)),
        details: Details {
            time: DateTime::from_timestamp(1_800_000_000, 0),
            ip: Some([203, 0, 113, 7].into()),
            device: Some("Firefox, Linux"),
            new_address: Some("ada@example.org"),
            inviter: Some("Charles Babbage"),
            role: Some("editor"),
            key: Some("backup"),
        },
    }
}

/// The variables of a mail.
pub(super) fn of_letter(
    letter: &Letter,
    locale: &str,
    config: &MailConfig,
    format: Format,
) -> Value {
    let mut values = Values::new(format);
    let Details {
        time,
        ip,
        device,
        new_address,
        inviter,
        role,
        key,
    } = letter.details;
    let in_words = |lifetime: TimeDelta| duration::in_words(lifetime, locale);
    let lifetime = letter.lifetime.map(in_words);
    let code_lifetime = letter.code_lifetime.map(in_words);
    values.set("address", letter.to);
    values.set("brand", &config.brand_name);
    values.set("code", letter.code.unwrap_or_default());
    values.set(
        "code_duration",
        code_lifetime.or(lifetime.clone()).unwrap_or_default(),
    );
    values.isolate("device", device.unwrap_or_default());
    values.set("duration", lifetime.unwrap_or_default());
    values.isolate("inviter", inviter.unwrap_or_default());
    values.set("ip", ip.map(|ip| ip.to_string()).unwrap_or_default());
    values.isolate("key", key.unwrap_or_default());
    values.set("lang", locale);
    let seconds = letter
        .lifetime
        .map(|lifetime| lifetime.num_seconds().to_string());
    values.set("lifetime", seconds.unwrap_or_default());
    values.set("link", letter.link.unwrap_or_default());
    values.isolate("name", letter.name);
    values.set("new_address", new_address.unwrap_or_default());
    values.isolate("role", role.unwrap_or_default());
    values.set("time", time.map(spoken_time).unwrap_or_default());
    values.set("url", config.public_url.to_string());
    values.into()
}

/// The same in every language: the service does not know the time zone of the user.
fn spoken_time(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d %H:%M UTC").to_string()
}

/// The variables of a layout around this content, which is HTML in HTML.
pub(super) fn of_layout(
    content: &str,
    subject: &str,
    locale: &str,
    config: &MailConfig,
    format: Format,
) -> Value {
    let mut values = Values::new(format);
    values.set("brand", &config.brand_name);
    values.set_as_is("content", content);
    values.set("lang", locale);
    values.set(
        "subject",
        subject.replace([isolate::BEGIN, isolate::END], ""),
    );
    values.set("url", config.public_url.to_string());
    values.into()
}

/// All variables with a value.
pub(super) fn sample(format: Format) -> Value {
    let mut values = Values::new(format);
    for name in NAMES {
        match name {
            "link" => values.set(name, SAMPLE_LINK),
            "code" => values.set(name, SAMPLE_CODE),
            _ => values.set(name, name),
        }
    }
    values.into()
}

/// Only the variables that every mail of the kind has.
pub(super) fn sparse_sample(kind: Kind, format: Format) -> Value {
    let mut values = Values::new(format);
    for name in NAMES {
        let is_given = match name {
            "address" | "brand" | "lang" | "url" => true,
            "link" | "lifetime" | "duration" => kind.requires_link(),
            _ => false,
        };
        values.set(name, if is_given { SAMPLE_LINK } else { "" });
    }
    values.into()
}

/// The variables of a layout.
pub(super) fn layout_sample(format: Format) -> Value {
    let mut values = Values::new(format);
    for name in LAYOUT_NAMES {
        values.set(
            name,
            if name == "content" {
                SAMPLE_CONTENT
            } else {
                name
            },
        );
    }
    values.into()
}

struct Values {
    format: Format,
    by_name: BTreeMap<&'static str, Value>,
}

impl Values {
    fn new(format: Format) -> Self {
        let by_name = BTreeMap::new();
        Self { format, by_name }
    }

    /// A text of ours, or one that was checked.
    fn set(&mut self, name: &'static str, text: impl AsRef<str>) {
        match self.format {
            Format::Text => self.set_as_is(name, text.as_ref()),
            Format::Html => self.set_as_is(name, &html::escape(text.as_ref())),
        }
    }

    /// A text that a user has written.
    fn isolate(&mut self, name: &'static str, text: &str) {
        match (self.format, isolate::plain(text)) {
            (_, text) if text.is_empty() => self.set_as_is(name, ""),
            (Format::Text, _) => self.set_as_is(name, &isolate::isolated(text)),
            (Format::Html, text) => {
                let text = format!("<bdi>{}</bdi>", html::escape(&text));
                self.set_as_is(name, &text);
            }
        }
    }

    fn set_as_is(&mut self, name: &'static str, text: &str) {
        let value = match self.format {
            Format::Text => Value::from(text),
            Format::Html => Value::from_safe_string(text.to_owned()),
        };
        self.by_name.insert(name, value);
    }
}

impl From<Values> for Value {
    fn from(values: Values) -> Self {
        Value::from_pairs(values.by_name)
    }
}
