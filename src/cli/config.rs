//! `tokenhouse config …`

use clap::Subcommand;
use serde::Serialize;

use super::output::{Output, say};
use crate::config::{Config, SETTINGS};

/// What can be done with the settings.
#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Say whether the settings can be used, and what is unwise about them. Exit code 2 when they
    /// cannot.
    Check,
    /// List every setting: name, default, whether it is a secret, and what it does, separated by
    /// tabs.
    List,
}

/// What is to be said about the settings.
#[derive(Serialize)]
struct Checked {
    usable: bool,
    warnings: Vec<String>,
}

/// A setting.
#[derive(Serialize)]
struct Listed {
    name: &'static str,
    default: &'static str,
    secret: bool,
    help: &'static str,
}

/// The settings have been read already, so they can be used.
pub(super) fn run(config: &Config, command: &ConfigCommand, output: Output) {
    match command {
        ConfigCommand::Check => {
            let warnings = config.warnings();
            if output.json {
                let usable = true;
                output.print(&Checked { usable, warnings }, &[]);
            } else if warnings.is_empty() {
                say("the settings are fine");
            } else {
                warnings.iter().for_each(|warning| say(warning));
            }
        }
        ConfigCommand::List => {
            for setting in SETTINGS {
                let listed = Listed {
                    name: setting.name,
                    default: setting.default,
                    secret: setting.secret,
                    help: setting.help,
                };
                let secret = if setting.secret { "secret" } else { "" };
                output.print(
                    &listed,
                    &[setting.name, setting.default, secret, setting.help],
                );
            }
        }
    }
}
