//! `tokenhouse config …`

use clap::Subcommand;
use serde::Serialize;

use super::output::Output;
use crate::config::{Config, SETTINGS};

/// The commands for settings.
#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Check whether the settings are valid, and print warnings. Exit code 2 if they are invalid.
    Check,
    /// List all settings: name, default, whether it is a secret, and description, separated by tabs.
    List,
}

/// The result of `check`.
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

/// Runs a command. The settings have been read, so they are valid.
pub(super) fn run(config: &Config, command: &ConfigCommand, output: Output) {
    match command {
        ConfigCommand::Check => {
            let warnings = config.warnings();
            let lines = match warnings.as_slice() {
                [] => vec!["the settings are fine".to_owned()],
                warnings => warnings.to_vec(),
            };
            let checked = Checked {
                usable: true,
                warnings,
            };
            output.print_lines(&checked, &lines);
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
