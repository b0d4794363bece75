//! Keeps docs/security-tests.md true: it has a row for every requirement, and the tests and scripts
//! that its rows name exist.

#![expect(clippy::panic, reason = "the helpers of a test fail the test")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The possible states of a row. The first two require evidence.
const STATES: [&str; 4] = ["yes", "in part", "no", "does not apply"];

struct Row {
    ids: Vec<String>,
    state: String,
    names: Vec<String>,
}

fn root() -> PathBuf {
    env!("CARGO_MANIFEST_DIR").into()
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns the rows of all tables without their headers.
fn rows() -> Vec<Row> {
    let document = read("docs/security-tests.md");
    let cells = document.lines().filter_map(|line| {
        let content = line.strip_prefix("| ")?.strip_suffix(" |")?;
        Some(content.split(" | ").collect::<Vec<_>>())
    });
    cells
        .filter(|cells| cells[0] != "id" && !cells[0].starts_with("---"))
        .map(|cells| Row {
            ids: cells[0].split(", ").map(str::to_owned).collect(),
            state: cells[1].to_owned(),
            names: code_in(&cells[2..].join(" ")),
        })
        .collect()
}

/// Returns the code spans of a text.
fn code_in(text: &str) -> Vec<String> {
    text.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

/// Whether a name is evidence: a test, a script, or a run of `reliability` or of the benchmarks.
fn is_evidence(name: &str) -> bool {
    name.contains(".rs::")
        || ["scripts/", "reliability ", "bench/run "]
            .iter()
            .any(|s| name.starts_with(s))
}

/// Whether a source file has a test of this name, as a function or in the arguments of a macro that
/// creates tests, such as `on_both_databases!`.
fn has_test(source: &str, name: &str) -> bool {
    let defined = source.split_once(&format!("fn {name}("));
    let attributes = defined.and_then(|(before, _)| before.rsplit("\n\n").next());
    attributes.is_some_and(|attributes| attributes.contains("#[test]"))
        || macro_arguments(source).any(|list| list.split(',').any(|listed| listed.trim() == name))
}

/// Returns the arguments of macros at the level of items.
fn macro_arguments(source: &str) -> impl Iterator<Item = &str> {
    source
        .split("!(")
        .zip(source.split("!(").skip(1))
        .filter_map(|(before, after)| {
            let name = before.rsplit('\n').next()?;
            let is_item = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
            is_item.then(|| after.split(')').next().unwrap_or_default())
        })
}

/// Whether `reliability` has a command of this name: a variant of the enum in its `main.rs`.
fn is_command_of_reliability(name: &str) -> bool {
    let (first, rest) = name.split_at_checked(1).unwrap_or_default();
    let variant = format!("\n    {}{rest}", first.to_uppercase());
    let main = read("reliability/src/main.rs");
    ["(", " {"]
        .iter()
        .any(|after| main.contains(&format!("{variant}{after}")))
}

/// Returns what is wrong with a name in a row.
fn problem_with(name: &str) -> Option<String> {
    if let Some((path, test)) = name.split_once("::") {
        if !root().join(path).is_file() {
            return Some(format!("{path} does not exist"));
        }
        return (!has_test(&read(path), test)).then(|| format!("{path} has no test {test}"));
    }
    let mut words = name.split(' ');
    let (first, second) = (words.next()?, words.next().unwrap_or_default());
    if first == "reliability" {
        let is_command = is_command_of_reliability(second);
        return (!is_command).then(|| format!("{name}: reliability has no command {second}"));
    }
    if first == "bench/run" {
        let has_scenario = read("bench/run").contains(&format!("\n    \"{second}\": "));
        return (!has_scenario).then(|| format!("{name}: bench/run has no scenario {second}"));
    }
    (!root().join(first).is_file()).then(|| format!("{name}: {first} does not exist"))
}

#[test]
fn every_requirement_has_exactly_one_row() {
    let required = read("tests/data/security/requirements.txt");
    let required: BTreeSet<String> = required.lines().map(str::to_owned).collect();
    let ids: Vec<String> = rows().into_iter().flat_map(|row| row.ids).collect();
    let listed: BTreeSet<String> = ids.iter().cloned().collect();
    assert!(
        required.len() > 180,
        "the list is short: {}",
        required.len()
    );
    let missing: Vec<_> = required.difference(&listed).collect();
    assert!(missing.is_empty(), "without a row: {missing:?}");
    let surplus: Vec<_> = listed.difference(&required).collect();
    assert!(surplus.is_empty(), "not in the list: {surplus:?}");
    assert_eq!(ids.len(), listed.len(), "some ids have two rows");
}

#[test]
fn evidence_of_every_row_exists() {
    let mut problems = Vec::new();
    let mut found = 0;
    for row in rows() {
        let ids = row.ids.join(", ");
        if !STATES.contains(&row.state.as_str()) {
            problems.push(format!("{ids}: {:?} is not a state", row.state));
        }
        let evidence: Vec<_> = row.names.iter().filter(|name| is_evidence(name)).collect();
        let needs_evidence = ["yes", "in part"].contains(&row.state.as_str());
        if needs_evidence && evidence.is_empty() {
            problems.push(format!("{ids}: no evidence"));
        }
        found += evidence.len();
        let wrong = evidence.into_iter().filter_map(|name| problem_with(name));
        problems.extend(wrong.map(|problem| format!("{ids}: {problem}")));
    }
    assert!(problems.is_empty(), "{problems:#?}");
    assert!(
        found > 150,
        "only {found} names found: does the parser still match the table?"
    );
}

#[test]
fn wrong_names_are_detected() {
    for wrong in [
        "tests/security_table.rs::no_such_test",
        "tests/security_table.rs::problem_with",
        "tests/no_such_file.rs::wrong_names_are_detected",
        "tests/api/sign_in.rs::sign_in",
        "scripts/no-such-script --fast",
        "reliability no-such-run",
        "bench/run no-such-scenario",
    ] {
        assert!(problem_with(wrong).is_some(), "{wrong}");
    }
    for right in [
        "tests/security_table.rs::wrong_names_are_detected",
        "tests/api/sign_in.rs::strict_status_follows_rfc_6749",
        "scripts/check-dependencies.sh",
        "reliability races --rounds 1000",
        "bench/run flood",
    ] {
        assert_eq!(problem_with(right), None);
    }
}
