//! Tokenhouse as it would be with `synchronous = NORMAL`, to show that the loss would be seen. A patch
//! of the sources would have to be built for minutes; this one takes the program as it is.

use std::fs;
use std::path::{Path, PathBuf};

/// The statement that has every commit synced, and another of equal length that does not.
const FULL: &[u8] = b"PRAGMA synchronous = FULL";
const NORMAL: &[u8] = b"PRAGMA synchronous =    1";

/// A copy of the program in which one word of one statement is another.
pub(super) fn without_syncs(binary: &Path, folder: &Path) -> Result<PathBuf, String> {
    let problem = |error: std::io::Error| format!("{}: {error}", binary.display());
    let mut program = fs::read(binary).map_err(problem)?;
    let places = program.windows(FULL.len()).enumerate();
    let places: Vec<usize> = places
        .filter(|(_, window)| *window == FULL)
        .map(|(place, _)| place)
        .collect();
    let [place] = places[..] else {
        let count = places.len();
        return Err(format!(
            "the program sets `synchronous` in {count} places, not one"
        ));
    };
    program[place..place + NORMAL.len()].copy_from_slice(NORMAL);
    let copy = folder.join("tokenhouse-normal");
    fs::copy(binary, &copy).map_err(problem)?;
    fs::write(&copy, program).map_err(problem)?;
    Ok(copy)
}
