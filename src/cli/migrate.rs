//! `tokenhouse migrate`

use crate::config::Config;
use crate::store;

/// Brings the tables up to date, and prints the migrations that were run.
pub(super) fn run(config: &Config) -> Result<(), String> {
    let names = store::migrate(&config.database).map_err(|error| error.to_string())?;
    if names.is_empty() {
        println!("up to date");
    }
    for name in names {
        println!("ran {name}");
    }
    Ok(())
}
