//! The page on which a browser makes a passkey.

use askama::Template;
use serde_json::Value;

use super::{AccountHead, Section};
use crate::pages::texts::account::AccountTexts;
use crate::pages::texts::factors::FactorTexts;
use crate::pages::{Frame, PasskeyView};

/// A passkey to make and confirm.
#[derive(Template)]
#[template(path = "passkey_new.html")]
pub(crate) struct NewPasskeyPage {
    frame: Frame,
    t: &'static AccountTexts,
    f: &'static FactorTexts,
    head: AccountHead,
    passkey: PasskeyView,
    id: i64,
    /// What the browser is asked, as JSON.
    options: String,
}

impl NewPasskeyPage {
    /// The page of the factor with this id.
    pub(crate) fn new(frame: Frame, passkey: PasskeyView, id: i64, options: &Value) -> Self {
        Self {
            t: AccountTexts::of(frame.language),
            f: FactorTexts::of(frame.language),
            head: AccountHead::new(Section::Factors),
            passkey,
            id,
            options: options.to_string(),
            frame,
        }
    }
}
