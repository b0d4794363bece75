//! The mutants are of the program as it is. Whether they are found out takes minutes: `mutants`.
#![expect(clippy::panic, reason = "test code")]

use std::fs;
use std::path::Path;

#[test]
fn every_patch_fits_the_sources() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let folder = root.join("reliability/mutants");
    let mut patches = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let patch = fs::read_to_string(&path).unwrap();
        let (_, of_file) = patch.split_once("\n--- a/").unwrap();
        let (name, hunks) = of_file.split_once('\n').unwrap();
        let source = fs::read_to_string(root.join(name)).unwrap();
        for hunk in hunks.split("\n@@ ").skip(1) {
            let old = old_text(hunk);
            let found = source.matches(&old).count();
            assert_eq!(found, 1, "{}, of {name}:\n{old}", path.display());
        }
        patches += 1;
    }
    assert!(patches > 0);
}

/// What a hunk expects to find.
fn old_text(hunk: &str) -> String {
    hunk.lines()
        .skip(1)
        .filter_map(|line| match line.split_at_checked(1) {
            Some((" " | "-", text)) => Some(format!("{text}\n")),
            Some(("+", _)) => None,
            _ => panic!("no line of a patch: {line}"),
        })
        .collect()
}
