//! The settings in force, and where they come from.

use askama::Template;

use crate::config::{EffectiveSetting, Source};
use crate::pages::Frame;
use crate::pages::texts::console::ConsoleTexts;
use crate::pages::texts::console_system::SystemTexts;

use super::{ConsoleHead, Section};

/// The settings in force, and where they come from.
#[derive(Template)]
#[template(path = "console/settings.html")]
pub(crate) struct SettingsPage {
    frame: Frame,
    t: &'static SystemTexts,
    c: &'static ConsoleTexts,
    head: ConsoleHead,
    /// Those that are given, and those with their default.
    groups: [(&'static str, &'static str, Vec<SettingRow>); 2],
}

struct SettingRow {
    name: &'static str,
    help: &'static str,
    /// Masked if it is a secret.
    value: String,
    source: String,
}

impl SettingsPage {
    /// The page with these settings.
    pub(crate) fn new(frame: Frame, scopes: &str, settings: &[EffectiveSetting]) -> Self {
        let t = SystemTexts::of(frame.language);
        let rows = |is_default: bool| {
            let of_group = settings
                .iter()
                .filter(|setting| (setting.source == Source::Default) == is_default);
            let row = |effective: &EffectiveSetting| SettingRow {
                name: effective.setting.name,
                help: effective.setting.help,
                value: effective.value.clone(),
                source: effective.source.to_string(),
            };
            of_group.map(row).collect()
        };
        Self {
            groups: [
                ("given", t.changed, rows(false)),
                ("defaults", t.unchanged, rows(true)),
            ],
            t,
            c: ConsoleTexts::of(frame.language),
            head: ConsoleHead::new(Section::Settings, scopes),
            frame,
        }
    }
}
