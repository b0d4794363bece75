//! The pages of two-step sign-in.

use askama::Template;
use chrono::NaiveDateTime;

use super::{AccountHead, Section};
use crate::auth::Factors;
use crate::pages::language::fill;
use crate::pages::texts::account::AccountTexts;
use crate::pages::texts::factors::FactorTexts;
use crate::pages::texts::passkeys::PasskeyTexts;
use crate::pages::time::{ago, date_time};
use crate::pages::{FieldView, Frame, PasskeySignal, PasskeyView, Refusal, SeedView};
use crate::store::{Factor, RecoveryCodesLeft, TrustedDevice};

/// The apps, the recovery codes, the trusted devices, and a form for another app.
#[derive(Template)]
#[template(path = "factors.html")]
pub(crate) struct FactorsPage {
    frame: Frame,
    t: &'static AccountTexts,
    f: &'static FactorTexts,
    head: AccountHead,
    factors: Vec<FactorView>,
    devices: Vec<DeviceView>,
    /// How many recovery codes are left, as a sentence.
    codes_left: Option<String>,
    name: FieldView,
    /// The form for a new passkey.
    passkey: Option<PasskeyView>,
    passkey_name: FieldView,
    /// What the browser is told of the passkeys of the user.
    signal: Option<PasskeySignal>,
}

/// An app, as its user sees it.
struct FactorView {
    id: i64,
    name: String,
    /// What it is, unless it is an app.
    kind: Option<&'static str>,
    added: String,
    used: String,
    rename_label: String,
    /// The name in the form that changes it.
    rename: FieldView,
    remove_label: String,
}

/// A trusted device, as its user sees it.
struct DeviceView {
    id: i64,
    name: String,
    added: String,
    used: String,
    ends: String,
    forget_label: String,
}

/// What has happened on the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FactorsNotice {
    Added,
    PasskeyAdded,
    Renamed,
    Removed,
    Forgotten,
}

impl FactorsPage {
    /// The page at `now`.
    pub(crate) fn new(
        frame: Frame,
        factors: &Factors,
        devices: &[TrustedDevice],
        now: NaiveDateTime,
    ) -> Self {
        let language = frame.language;
        let (t, f) = (AccountTexts::of(language), FactorTexts::of(language));
        let view = |factor: &Factor| FactorView {
            id: factor.id,
            name: factor.name.clone(),
            kind: (!factor.is_app()).then_some(PasskeyTexts::of(language).kind),
            added: fill(f.added_on, "when", &date_time(factor.created_at)),
            used: match factor.last_used_at {
                Some(at) => fill(t.last_used, "when", &ago(at, now, language)),
                None => f.never_used.to_owned(),
            },
            rename_label: fill(f.rename_named, "name", &factor.name),
            rename: FieldView::new(factor.name.as_str()),
            remove_label: fill(f.remove_named, "name", &factor.name),
        };
        let device = |device: &TrustedDevice| DeviceView {
            id: device.id,
            name: device.name.clone(),
            added: fill(f.trusted_since, "when", &date_time(device.created_at)),
            used: match device.last_used_at {
                Some(at) => fill(t.last_used, "when", &ago(at, now, language)),
                None => f.never_used.to_owned(),
            },
            ends: fill(t.ends_at, "when", &date_time(device.expires_at)),
            forget_label: fill(f.forget_named, "name", &device.name),
        };
        let left = |codes: RecoveryCodesLeft| {
            let text = language.count(f.codes_left, codes.left as u64);
            fill(&text, "when", &date_time(codes.made_at))
        };
        Self {
            factors: factors.confirmed.iter().map(view).collect(),
            devices: devices.iter().map(device).collect(),
            codes_left: factors.recovery_codes.map(left),
            name: FieldView::new(f.name_example),
            head: AccountHead::new(Section::Factors),
            passkey: None,
            passkey_name: FieldView::default(),
            signal: None,
            frame,
            t,
            f,
        }
    }

    /// The same with a form for a new passkey, and what the browser is told of the others.
    pub(crate) fn with_passkeys(
        mut self,
        passkey: Option<PasskeyView>,
        signal: Option<PasskeySignal>,
    ) -> Self {
        self.passkey = passkey;
        self.signal = signal;
        self
    }

    /// The same after a new name for the factor `id` was refused.
    pub(crate) fn refused_name(mut self, id: i64, typed: &str, refusal: &Refusal) -> Self {
        let renamed = self.factors.iter_mut().find(|factor| factor.id == id);
        if let Some(factor) = renamed {
            factor.rename = refusal.field("name", typed);
        }
        self.head.problem = Some(refusal.problem.clone());
        self
    }

    /// The same after a change.
    pub(crate) fn after(mut self, notice: Option<FactorsNotice>) -> Self {
        let f = self.f;
        self.head.notice = notice.map(|notice| match notice {
            FactorsNotice::Added => f.added,
            FactorsNotice::PasskeyAdded => PasskeyTexts::of(self.frame.language).added,
            FactorsNotice::Renamed => f.renamed,
            FactorsNotice::Removed => f.removed,
            FactorsNotice::Forgotten => f.forgotten,
        });
        self
    }

    /// The same after a refusal.
    pub(crate) fn refused(mut self, refusal: Refusal, name: Option<&str>) -> Self {
        if let Some(name) = name {
            self.name = refusal.field("name", name);
        }
        self.head.problem = Some(refusal.problem);
        self
    }
}

/// An app to scan and confirm.
#[derive(Template)]
#[template(path = "factor_new.html")]
pub(crate) struct NewFactorPage {
    frame: Frame,
    t: &'static AccountTexts,
    f: &'static FactorTexts,
    head: AccountHead,
    id: i64,
    seed: SeedView,
    code: FieldView,
    ends_others: bool,
}

impl NewFactorPage {
    /// The page of the factor with this id.
    pub(crate) fn new(frame: Frame, id: i64, seed: SeedView) -> Self {
        let language = frame.language;
        Self {
            t: AccountTexts::of(language),
            f: FactorTexts::of(language),
            head: AccountHead::new(Section::Factors),
            id,
            seed,
            code: FieldView::default(),
            ends_others: true,
            frame,
        }
    }

    /// The same after a code that was refused.
    pub(crate) fn refused(mut self, refusal: Refusal, ends_others: bool) -> Self {
        self.code = refusal.secret("otp");
        self.ends_others = ends_others;
        self.head.problem = Some(refusal.problem);
        self
    }
}

/// New recovery codes, shown only once.
#[derive(Template)]
#[template(path = "recovery_codes.html")]
pub(crate) struct RecoveryCodesPage {
    frame: Frame,
    t: &'static AccountTexts,
    f: &'static FactorTexts,
    head: AccountHead,
    codes: Vec<String>,
}

impl RecoveryCodesPage {
    /// The page with these codes.
    pub(crate) fn new(frame: Frame, codes: Vec<String>) -> Self {
        let language = frame.language;
        Self {
            t: AccountTexts::of(language),
            f: FactorTexts::of(language),
            head: AccountHead::new(Section::Factors),
            codes,
            frame,
        }
    }

    /// The same after a passkey was added.
    pub(crate) fn after_passkey(mut self) -> Self {
        self.head.notice = Some(PasskeyTexts::of(self.frame.language).added);
        self
    }

    /// The same after an app was added.
    pub(crate) fn after_app(mut self) -> Self {
        self.head.notice = Some(self.f.added);
        self
    }
}
