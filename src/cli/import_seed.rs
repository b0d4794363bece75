//! `tokenhouse import` of a seed file: users with passwords and scopes, as an operator writes them down.

use std::collections::HashSet;
use std::path::Path;

use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Serialize;

use super::common::{Failure, with_auth_creating, with_reader};
use super::output::Output;
use crate::auth::{AddressState, Auth};
use crate::config::Config;
use crate::error::Error;
use crate::seed::{Seed, SeedUser};

/// How many passwords are hashed at a time: as many as a hash thread computes together.
const MAX_CONCURRENT: usize = 4;

/// The maximum number of refused users who are named.
const MAX_NAMED: usize = 20;

/// How the users are imported.
#[derive(Clone, Copy)]
pub(super) struct SeedMode {
    /// Whether nothing is stored.
    pub(super) dry_run: bool,
    /// Whether users who were deleted here are created again.
    pub(super) again: bool,
}

/// The outcome.
#[derive(Serialize)]
struct Report {
    dry_run: bool,
    users: Counts,
}

#[derive(Default, Serialize)]
struct Counts {
    read: usize,
    imported: usize,
    /// They stay as they are.
    already_there: usize,
    /// Users who were deleted here, and are skipped.
    deleted_here: usize,
}

/// Checks all users, then creates those who do not exist. What fails then can be repeated.
pub(super) fn run(
    config: &Config,
    file: &Path,
    mode: SeedMode,
    output: Output,
) -> Result<(), Failure> {
    let seed = Seed::read(file).map_err(Failure::bad_input)?;
    let import = async |auth: Auth| {
        let mut report = Report::new(mode, &seed);
        let new = choose(&auth, file, &seed, mode, &mut report.users).await?;
        report.users.imported = new.len();
        if !mode.dry_run {
            create(&auth, file, new).await?;
        }
        output.print_lines(&report, &report.lines());
        Ok(())
    };
    if mode.dry_run {
        with_reader(config, import)
    } else {
        with_auth_creating(config, true, import)
    }
}

/// The users to create, with their places in the file.
async fn choose<'a>(
    auth: &Auth,
    file: &Path,
    seed: &'a Seed,
    mode: SeedMode,
    counts: &mut Counts,
) -> Result<Vec<(String, &'a SeedUser)>, Failure> {
    let (mut new, mut problems) = (Vec::new(), Vec::new());
    let mut addresses = HashSet::new();
    for (index, user) in seed.users.iter().enumerate() {
        let (place, scopes) = (user.place(index), Ok(Some(user.scopes.to_text())));
        match auth.foresee_user(user.input(), scopes).await {
            Ok((address, _state)) if !addresses.insert(address.clone()) => {
                problems.push(format!("{place}: occurs twice"));
            }
            Ok((_address, AddressState::Taken)) => counts.already_there += 1,
            Ok((_address, AddressState::Deleted)) if !mode.again => counts.deleted_here += 1,
            Ok((_address, AddressState::Free | AddressState::Deleted)) => new.push((place, user)),
            Err(error @ Error::InvalidInput(_)) => problems.push(format!("{place}: {error}")),
            Err(error) => return Err(error.into()),
        }
    }
    problems.truncate(MAX_NAMED);
    if problems.is_empty() {
        Ok(new)
    } else {
        Err(refused(file, &problems.join("; ")))
    }
}

async fn create(auth: &Auth, file: &Path, new: Vec<(String, &SeedUser)>) -> Result<(), Failure> {
    let create = async |(place, user): (String, &SeedUser)| {
        user.create(auth).await.map_err(|error| match error {
            // A common password, which is found only now.
            Error::InvalidInput(_) => refused(file, &format!("{place}: {error}")),
            error => error.into(),
        })
    };
    let created = stream::iter(new).map(create).buffered(MAX_CONCURRENT);
    created.try_for_each(async |_user| Ok(())).await
}

fn refused(file: &Path, problem: &str) -> Failure {
    Failure::bad_input(format!("{}: {problem}", file.display()))
}

impl Report {
    fn new(mode: SeedMode, seed: &Seed) -> Self {
        Self {
            dry_run: mode.dry_run,
            users: Counts {
                read: seed.users.len(),
                ..Counts::default()
            },
        }
    }

    fn lines(&self) -> Vec<String> {
        let Counts {
            read,
            imported,
            already_there,
            deleted_here,
        } = self.users;
        let done = if self.dry_run {
            "to import"
        } else {
            "imported"
        };
        let mut lines = vec![format!("users: {read} read, {imported} {done}")];
        if already_there > 0 {
            lines.push(format!(
                "  {already_there} exist already, and stay as they are"
            ));
        }
        if deleted_here > 0 {
            lines.push(format!(
                "  {deleted_here} were deleted here, and are skipped; --again creates them"
            ));
        }
        lines
    }
}
