//! The structure of the crate: which modules may use which, and that each migration exists for both
//! databases.

#![expect(clippy::unwrap_used, reason = "a helper that panics fails the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The layers, from top to bottom: a module may use modules of its own layer and of the layers
/// below it.
const LAYERS: [&[&str]; 15] = [
    &["cli", "fuzzing", "remote", "testing"],
    &["dev"],
    &["http"],
    &["pages"],
    &["import", "seed", "views", "worker"],
    &["guards"],
    &["auth"],
    &["throttle"],
    &["audit"],
    &["error"],
    &["store"],
    &["mail"],
    &["config"],
    &["password"],
    &[
        "clock",
        "credential",
        "metrics",
        "network",
        "printable",
        "private_file",
        "scope",
    ],
];

/// Folders whose modules must not have circular dependencies.
const ACYCLIC: [&str; 5] = ["audit", "auth", "guards", "store", "throttle"];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

fn layer_of(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

/// Returns the modules of the crate that a source names, as in `use crate::store::User`.
fn modules_named_in(source: &str) -> BTreeSet<String> {
    let code = source
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    code.flat_map(|line| line.split("crate::").skip(1))
        .map(|rest| {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
            rest[..end.unwrap_or(rest.len())].to_owned()
        })
        .collect()
}

#[test]
fn modules_use_only_their_own_and_lower_layers() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    let mut count = 0;
    for path in sources(&root) {
        let inside = path.strip_prefix(&root).unwrap();
        let own = inside
            .iter()
            .next()
            .unwrap()
            .to_string_lossy()
            .replace(".rs", "");
        let Some(from) = layer_of(&own) else { continue };
        for module in modules_named_in(&fs::read_to_string(&path).unwrap()) {
            let Some(to) = layer_of(&module) else {
                continue;
            };
            count += 1;
            if to < from {
                wrong.push(format!("{} uses {module}", inside.display()));
            }
        }
    }
    assert!(
        count > 50,
        "only {count} uses found: the test no longer detects them"
    );
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Returns the names after each `path` in a source, such as `a`, `b` and `C` in
/// `use super::{a::X, b, C}`.
fn names_after(source: &str, path: &str) -> BTreeSet<String> {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let first_name = |text: &str| -> String { text.chars().take_while(|c| is_name(*c)).collect() };
    let mut names = BTreeSet::new();
    for (start, _) in source.match_indices(path) {
        // `super::super::` is a different path than `super::`.
        if source[..start].ends_with("super::") || source[..start].ends_with(is_name) {
            continue;
        }
        let rest = &source[start + path.len()..];
        let Some(group) = rest.strip_prefix('{') else {
            names.insert(first_name(rest));
            continue;
        };
        let mut depth = 0;
        for item in group.split_inclusive(['{', '}', ',']) {
            if depth == 0 {
                names.insert(first_name(item.trim_start()));
            }
            match item.chars().last() {
                Some('{') => depth += 1,
                Some('}') if depth == 0 => break,
                Some('}') => depth -= 1,
                _ => {}
            }
        }
    }
    names
}

/// Maps each name that the `mod.rs` of a folder uses or exports to the module that it comes from.
fn origins_of_names(parent: &str) -> BTreeMap<String, String> {
    let code = parent.replace(['\n', ' '], "");
    let mut origins = BTreeMap::new();
    for statement in code.split(';') {
        let Some((_, path)) = statement.rsplit_once("use") else {
            continue;
        };
        let Some((module, names)) = path.split_once("::") else {
            continue;
        };
        for name in names.trim_matches(['{', '}']).split(',') {
            origins.insert(name.to_owned(), module.to_owned());
        }
    }
    origins
}

/// Maps each module of a folder to the modules of the folder that it uses.
fn uses_within(folder: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let name = folder.file_name().unwrap().to_string_lossy();
    let origins = origins_of_names(&fs::read_to_string(folder.join("mod.rs")).unwrap());
    let paths = sources(folder);
    let inside = |path: &Path| path.strip_prefix(folder).unwrap().to_owned();
    let module_of = |path: &Path| {
        let first = inside(path).iter().next().unwrap().to_owned();
        first.to_string_lossy().replace(".rs", "")
    };
    let modules: BTreeSet<String> = paths.iter().map(|path| module_of(path)).collect();
    let mut uses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for path in paths.iter().filter(|path| module_of(path) != "mod") {
        let source = fs::read_to_string(path).unwrap();
        let code = source.split("#[cfg(test)]").next().unwrap().lines();
        let code = code.filter(|line| !line.trim_start().starts_with("//"));
        let source = &code.collect::<Vec<_>>().join("\n");
        let is_child = inside(path).iter().count() == 2 && !path.ends_with("mod.rs");
        let parent = if is_child {
            "super::super::"
        } else {
            "super::"
        };
        let mut names = names_after(source, parent);
        names.extend(names_after(source, &format!("crate::{name}::")));
        let own = module_of(path);
        let used = names
            .iter()
            .filter_map(|name| match modules.contains(name) {
                true => Some(name.clone()),
                false => origins
                    .get(name)
                    .filter(|from| modules.contains(*from))
                    .cloned(),
            });
        let used: Vec<_> = used.filter(|used| *used != own).collect();
        uses.entry(own).or_default().extend(used);
    }
    uses
}

#[test]
fn modules_of_a_folder_have_no_circular_dependencies() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for folder in ACYCLIC {
        let mut uses = uses_within(&root.join(folder));
        let count: usize = uses.values().map(BTreeSet::len).sum();
        assert!(count > 2, "only {count} uses found in {folder}");
        // A module is in no circle if it uses none of the remaining modules, or if none of them
        // uses it.
        loop {
            let before = uses.len();
            let left: BTreeSet<String> = uses.keys().cloned().collect();
            uses.values_mut()
                .for_each(|used| used.retain(|name| left.contains(name)));
            let used: BTreeSet<String> = uses.values().flatten().cloned().collect();
            uses.retain(|name, uses| !uses.is_empty() && used.contains(name));
            if uses.len() == before {
                break;
            }
        }
        assert!(
            uses.is_empty(),
            "circular dependencies in {folder}: {uses:#?}"
        );
    }
}

#[test]
fn domain_does_not_use_actix_and_transport_does_not_use_diesel() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (folder, foreign) in [
        ("audit", "actix"),
        ("auth", "actix"),
        ("throttle", "actix"),
        ("store", "actix"),
        ("pages", "actix"),
        ("pages", "diesel"),
        ("http", "diesel"),
        ("guards", "diesel"),
    ] {
        for path in sources(&root.join(folder)) {
            let source = fs::read_to_string(&path).unwrap();
            assert!(
                !source.contains(foreign),
                "{} mentions {foreign}",
                path.display()
            );
        }
    }
}

#[test]
fn migrations_come_in_pairs() {
    let names = |database: &str| -> BTreeSet<String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("migrations")
            .join(database);
        let entries = fs::read_dir(folder).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    };
    assert!(!names("sqlite").is_empty());
    assert_eq!(names("sqlite"), names("postgres"));
}

/// Everything that the command line prints passes through the functions that remove what a terminal
/// could interpret as a command.
#[test]
fn only_one_file_writes_to_the_terminal() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let ways = ["print!", "println!", "stdout()", "stderr()", "\"/dev/tty\""];
    let mut wrong = Vec::new();
    for path in sources(&root)
        .iter()
        .filter(|path| !path.ends_with("cli/output.rs"))
    {
        let source = fs::read_to_string(path).unwrap();
        // Code may check whether a stream is a terminal, and which stream clap writes to.
        let source = source
            .replace("stderr().is_terminal()", "")
            .replace("use_stderr()", "");
        let code = source
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        let found = code.filter(|line| ways.iter().any(|way| line.contains(way)));
        wrong.extend(found.map(|line| format!("{}: {}", path.display(), line.trim())));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Client input may appear only in the parameters of a statement: a statement that is concatenated
/// from texts sooner or later contains client input.
#[test]
fn statements_are_never_concatenated() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut statements = 0;
    // The tables and columns of other systems' databases have the names that `import/layouts.rs`
    // defines.
    let of_layouts = root.join("import/database.rs");
    for path in sources(&root)
        .into_iter()
        .filter(|path| *path != of_layouts)
    {
        let source = fs::read_to_string(&path).unwrap();
        for function in ["sql_query(", "sql::<", "batch_execute("] {
            for rest in source.split(function).skip(1) {
                statements += 1;
                let argument = rest.trim_start();
                let is_built = argument.starts_with("format!") || argument.starts_with("&format!");
                assert!(!is_built, "{}: {argument:.80}", path.display());
            }
        }
    }
    assert!(
        statements > 10,
        "only {statements} found: the test no longer detects them"
    );
}

/// Files that the program creates hold data that other users must not read, and a file name that
/// the program receives may be a link that another user has placed there.
#[test]
fn files_are_created_in_one_place() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    // The manual pages are public.
    let exempt = ["private_file.rs", "cli/artifacts.rs"].map(|name| root.join(name));
    let mut checked = 0;
    for path in sources(&root) {
        let is_test = path.file_name().is_some_and(|name| name == "tests.rs");
        if is_test || exempt.contains(&path) {
            continue;
        }
        checked += 1;
        let source = fs::read_to_string(&path).unwrap();
        let code = source.split("#[cfg(test)]").next().unwrap();
        for way in [
            "File::create",
            "fs::write",
            "fs::copy",
            "OpenOptions",
            "create_dir",
        ] {
            assert!(!code.contains(way), "{} uses {way}", path.display());
        }
    }
    assert!(
        checked > 100,
        "only {checked} files checked: the test no longer finds them"
    );
}
