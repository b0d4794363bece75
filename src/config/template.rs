//! The text of a settings file with all settings in comments.

use super::settings::{PROFILE, SETTINGS, Setting};
use super::types::Profile;

const HEADER: &str = "\
# Settings of Tokenhouse. Variables of the environment take precedence over this file. Secrets can be
# read from files: NAME_FILE=/path/to/file. tokenhouse config show prints the values in force.
#
# This file is read as .env in the working directory, or with --env-file, unless another user can
# write to it. A $ is literal. Put a value with #, quotes or blanks at its ends between single quotes.
";

/// A settings file for this profile, in which these settings have a value and all others are comments
/// with their defaults. A value must need no quotes.
pub(crate) fn template(profile: Profile, given: &[(&str, &str)]) -> String {
    let mut text = HEADER.to_owned();
    for setting in SETTINGS {
        let Setting {
            name,
            default,
            secret,
            help,
            ..
        } = setting;
        let standard = setting.standard.unwrap_or(default);
        let (default, other) = match profile {
            Profile::Tutorial => (*default, ("standard", standard)),
            Profile::Standard => (standard, ("tutorial", *default)),
        };
        let secret = if *secret { " (secret)" } else { "" };
        let other = match other {
            (profile, other) if other != default => format!("; {other} in the profile {profile}"),
            _ => String::new(),
        };
        let own = match profile {
            Profile::Standard if *name == PROFILE => Some("standard"),
            _ => given
                .iter()
                .find(|(own, _)| own == name)
                .map(|(_, value)| *value),
        };
        let line = match own {
            Some(value) => format!("{name}={value}"),
            None => format!("# {name}={default}"),
        };
        text.push_str(&format!("\n# {help}{other}{secret}\n{line}\n"));
    }
    text
}
