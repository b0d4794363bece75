//! `tokenhouse keys …`

use clap::Subcommand;
use serde::Serialize;

use super::common::{Failure, counted, with_auth};
use super::output::Output;
use crate::auth::Administrator;
use crate::config::Config;

/// The commands for the keys of the service.
#[derive(Debug, Subcommand)]
pub(super) enum KeysCommand {
    /// Seal the seeds of all authenticator apps with the current key in the settings. Afterwards the
    /// previous one is not needed any more.
    Rotate,
}

/// The numbers of seeds.
#[derive(Serialize)]
struct Rotated {
    resealed: usize,
    unopened: usize,
}

pub(super) fn run(config: &Config, command: &KeysCommand, output: Output) -> Result<(), Failure> {
    let KeysCommand::Rotate = command;
    with_auth(config, async |auth| {
        let (resealed, unopened) = auth.reseal_seeds(&Administrator::operator()).await?;
        if unopened > 0 {
            let problem = format!(
                "{} cannot be opened: set the key that sealed them as TOKENHOUSE_SECRET_KEY_PREVIOUS",
                counted(unopened, "seed")
            );
            return Err(Failure::from(problem));
        }
        let sentence = format!("{} sealed with the key", counted(resealed, "seed"));
        output.confirm(&Rotated { resealed, unopened }, &sentence);
        Ok(())
    })
}
