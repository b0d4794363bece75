//! `tokenhouse config …`

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;

use super::common::{EXIT_BAD_INPUT, Failure};
use super::output::{Output, Tone, complain, is_readable_by_others, warn};
use super::table::{Cell, Column};
use super::{read_settings, run_with};
use crate::config::{Config, Profile, SETTINGS, Source, template};
use crate::credential::token::generate_token;
use crate::mail::Mailer;
use crate::private_file;
use crate::private_file::reason;

/// The commands for settings.
#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Check whether the settings are valid, and print warnings. Exit code 2 if they are invalid.
    Check,
    /// Show the values in force and their sources: name, value and source, separated by tabs.
    /// Secrets are masked.
    Show,
    /// List all settings: name, default, whether it is a secret, and description, separated by tabs.
    List,
    /// Write a settings file with a new static key and audit key; all other settings are
    /// comments.
    Init(InitArgs),
}

/// The arguments of `init`.
#[derive(Debug, Args)]
pub(super) struct InitArgs {
    /// The defaults: those of the tutorial, or those for a new service
    #[arg(long, value_enum, default_value = "tutorial")]
    profile: ProfileName,
    /// The file, such as .env, which must not exist and is created with mode 0600; standard output
    /// if - or omitted
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// The names of the profiles.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum ProfileName {
    Tutorial,
    Standard,
}

/// The columns of `show`.
static SHOWN: [Column; 3] = [
    Column::whole("SETTING"),
    Column::text("VALUE"),
    Column::wrapped("SOURCE"),
];

/// The columns of `list`.
static LISTED: [Column; 4] = [
    Column::whole("SETTING"),
    Column::text("DEFAULT"),
    Column::optional("SECRET"),
    Column::wrapped("DESCRIPTION"),
];

/// The result of `check`.
#[derive(Serialize)]
struct Checked {
    usable: bool,
    errors: Vec<Invalid>,
    warnings: Vec<String>,
}

/// An invalid setting.
#[derive(Serialize)]
struct Invalid {
    name: String,
    problem: String,
}

/// A setting in force.
#[derive(Serialize)]
struct Shown<'a> {
    name: &'static str,
    /// Masked if it is a secret.
    value: &'a str,
    source: String,
    secret: bool,
}

/// A setting.
#[derive(Serialize)]
struct Listed {
    name: &'static str,
    default: &'static str,
    /// The default in the profile `standard`.
    standard: &'static str,
    secret: bool,
    help: &'static str,
}

/// The file that was written.
#[derive(Serialize)]
struct Written<'a> {
    written: &'a Path,
}

/// The text of a settings file.
#[derive(Serialize)]
struct Template<'a> {
    text: &'a str,
}

/// Runs a command. `list` and `init` work without valid settings.
pub(super) fn run(env_file: Option<&Path>, command: &ConfigCommand, output: Output) -> ExitCode {
    match command {
        ConfigCommand::Check => check(env_file, output),
        ConfigCommand::Show => run_with(env_file, output, |config| {
            show(config, output);
            Ok::<(), Failure>(())
        }),
        ConfigCommand::List => {
            list(output);
            ExitCode::SUCCESS
        }
        ConfigCommand::Init(args) => match init(args, output) {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => failure.report(),
        },
    }
}

fn check(env_file: Option<&Path>, output: Output) -> ExitCode {
    let config = match read_settings(env_file, output) {
        Ok(config) => config,
        Err(errors) => {
            let invalid = errors.iter().map(|error| Invalid {
                name: error.name.clone(),
                problem: error.problem.clone(),
            });
            return refuse(invalid.collect(), output);
        }
    };
    if let Err(error) = Mailer::new(&config) {
        let (name, problem) = (error.setting.to_owned(), error.problem);
        return refuse(vec![Invalid { name, problem }], output);
    }
    let warnings = config.all_warnings();
    let lines = match warnings.as_slice() {
        [] => vec!["the settings are fine".to_owned()],
        warnings => warnings
            .iter()
            .map(|warning| format!("warning: {warning}"))
            .collect(),
    };
    let checked = Checked {
        usable: true,
        errors: Vec::new(),
        warnings,
    };
    output.print_lines(&checked, &lines);
    ExitCode::SUCCESS
}

fn refuse(errors: Vec<Invalid>, output: Output) -> ExitCode {
    for Invalid { name, problem } in &errors {
        complain(&format!("{name}: {problem}"));
    }
    let checked = Checked {
        usable: false,
        errors,
        warnings: Vec::new(),
    };
    if output.is_json() {
        output.print_json(&checked);
    }
    ExitCode::from(EXIT_BAD_INPUT)
}

fn show(config: &Config, output: Output) {
    let mut table = output.table("settings", &SHOWN);
    for effective in &config.effective {
        let shown = Shown {
            name: effective.setting.name,
            value: &effective.value,
            source: effective.source.to_string(),
            secret: effective.setting.secret,
        };
        let is_default = effective.source == Source::Default;
        let tone = if is_default { Tone::Plain } else { Tone::Good };
        let cells = [shown.name, shown.value, &shown.source];
        let cells = cells.map(|text| Cell::new(text).tone(tone));
        table.row(&shown, cells.into());
    }
    table.end();
}

fn list(output: Output) {
    let mut table = output.table("settings", &LISTED);
    for setting in SETTINGS {
        let listed = Listed {
            name: setting.name,
            default: setting.default,
            standard: setting.standard.unwrap_or(setting.default),
            secret: setting.secret,
            help: setting.help,
        };
        let secret = if setting.secret { "secret" } else { "" };
        let cells = [setting.name, setting.default, secret, setting.help];
        table.row(&listed, cells.map(Cell::new).into());
    }
    table.end();
}

fn init(args: &InitArgs, output: Output) -> Result<(), Failure> {
    let random = || generate_token().map_err(|error| Failure::from(error.to_string()));
    let (static_key, audit_key, secret_key) = (random()?, random()?, random()?);
    let given = [
        ("API_KEY_TOKEN", static_key.expose()),
        ("TOKENHOUSE_AUDIT_KEY", audit_key.expose()),
        ("TOKENHOUSE_SECRET_KEY", secret_key.expose()),
    ];
    let profile = match args.profile {
        ProfileName::Tutorial => Profile::Tutorial,
        ProfileName::Standard => Profile::Standard,
    };
    let text = template(profile, &given);
    let to_file = args
        .output
        .as_deref()
        .filter(|path| *path != Path::new("-"));
    let Some(path) = to_file else {
        if is_readable_by_others() {
            warn("other users can read the file with the secrets; run chmod 600 on it");
        }
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        output.print_lines(&Template { text: &text }, &lines);
        return Ok(());
    };
    let written = private_file::create(path).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.map_err(|error| {
        let problem = format!("{}: cannot be written: {}", path.display(), reason(&error));
        Failure::bad_input(problem)
    })?;
    let line = format!("wrote {}", path.display());
    output.confirm(&Written { written: path }, &line);
    Ok(())
}
