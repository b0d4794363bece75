//! docs/security-tests.md stays true: it has a row for everything that was to be looked at, and what
//! its rows name is there.

#![expect(clippy::panic, reason = "the helpers of a test fail the test")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What is said of a row. The first two need something that shows it.
const STATES: [&str; 4] = ["yes", "in part", "no", "does not apply"];

struct Row {
    ids: Vec<String>,
    state: String,
    named: Vec<String>,
}

fn root() -> PathBuf {
    env!("CARGO_MANIFEST_DIR").into()
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The rows of all tables, without their heads.
fn rows() -> Vec<Row> {
    let document = read("docs/security-tests.md");
    let cells = document.lines().filter_map(|line| {
        let inside = line.strip_prefix("| ")?.strip_suffix(" |")?;
        Some(inside.split(" | ").collect::<Vec<_>>())
    });
    cells
        .filter(|cells| cells[0] != "id" && !cells[0].starts_with("---"))
        .map(|cells| Row {
            ids: cells[0].split(", ").map(str::to_owned).collect(),
            state: cells[1].to_owned(),
            named: code_in(&cells[2..].join(" ")),
        })
        .collect()
}

/// What stands between backticks.
fn code_in(text: &str) -> Vec<String> {
    text.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

/// Whether this names something that shows a thing: a test, a script, or a run of `reliability` or
/// of the benchmarks.
fn shows(name: &str) -> bool {
    name.contains(".rs::")
        || ["scripts/", "reliability ", "bench/run "]
            .iter()
            .any(|s| name.starts_with(s))
}

/// Whether a source has a test of this name: by itself, or in the list of a macro that makes tests,
/// as `on_both_databases!` does.
fn has_test(source: &str, name: &str) -> bool {
    let defined = source.split_once(&format!("fn {name}("));
    let attributes = defined.and_then(|(before, _)| before.rsplit("\n\n").next());
    attributes.is_some_and(|attributes| attributes.contains("#[test]"))
        || macro_lists(source).any(|list| list.split(',').any(|listed| listed.trim() == name))
}

/// What macros get that stand among the items, not in a function.
fn macro_lists(source: &str) -> impl Iterator<Item = &str> {
    source
        .split("!(")
        .zip(source.split("!(").skip(1))
        .filter_map(|(before, after)| {
            let name = before.rsplit('\n').next()?;
            let is_item = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
            is_item.then(|| after.split(')').next().unwrap_or_default())
        })
}

/// What is wrong with a name in a row.
fn problem_with(name: &str) -> Option<String> {
    if let Some((path, test)) = name.split_once("::") {
        if !root().join(path).is_file() {
            return Some(format!("{path} is not there"));
        }
        return (!has_test(&read(path), test)).then(|| format!("{path} has no test {test}"));
    }
    let mut words = name.split(' ');
    let (first, second) = (words.next()?, words.next().unwrap_or_default());
    let file = match first {
        "reliability" => format!("reliability/src/cli/{second}.rs"),
        "bench/run" => format!("bench/harness/scenarios/{second}.py"),
        script => script.to_owned(),
    };
    (!root().join(&file).is_file()).then(|| format!("{name}: {file} is not there"))
}

#[test]
fn everything_that_was_to_be_looked_at_has_one_row() {
    let wanted = read("tests/data/security/requirements.txt");
    let wanted: BTreeSet<String> = wanted.lines().map(str::to_owned).collect();
    let given: Vec<String> = rows().into_iter().flat_map(|row| row.ids).collect();
    let once: BTreeSet<String> = given.iter().cloned().collect();
    assert!(wanted.len() > 180, "the list is short: {}", wanted.len());
    let missing: Vec<_> = wanted.difference(&once).collect();
    assert!(missing.is_empty(), "without a row: {missing:?}");
    let surplus: Vec<_> = once.difference(&wanted).collect();
    assert!(surplus.is_empty(), "not in the list: {surplus:?}");
    assert_eq!(given.len(), once.len(), "some have two rows");
}

#[test]
fn what_the_rows_name_is_there() {
    let mut problems = Vec::new();
    let mut tests = 0;
    for row in rows() {
        let ids = row.ids.join(", ");
        if !STATES.contains(&row.state.as_str()) {
            problems.push(format!("{ids}: {:?} says nothing", row.state));
        }
        let shown: Vec<_> = row.named.iter().filter(|name| shows(name)).collect();
        let needs_some = ["yes", "in part"].contains(&row.state.as_str());
        if needs_some && shown.is_empty() {
            problems.push(format!("{ids}: nothing shows it"));
        }
        tests += shown.len();
        let wrong = shown.into_iter().filter_map(|name| problem_with(name));
        problems.extend(wrong.map(|problem| format!("{ids}: {problem}")));
    }
    assert!(problems.is_empty(), "{problems:#?}");
    assert!(
        tests > 150,
        "only {tests} names found: the test has gone blind"
    );
}

#[test]
fn a_name_that_is_wrong_is_found() {
    for wrong in [
        "tests/security_table.rs::no_such_test",
        "tests/security_table.rs::problem_with",
        "tests/no_such_file.rs::a_name_that_is_wrong_is_found",
        "tests/api/sign_in.rs::sign_in",
        "scripts/no-such-script --fast",
        "reliability no-such-run",
    ] {
        assert!(problem_with(wrong).is_some(), "{wrong}");
    }
    for right in [
        "tests/security_table.rs::a_name_that_is_wrong_is_found",
        "tests/api/sign_in.rs::strict_status_is_rfc_6749s",
        "scripts/check-dependencies.sh",
        "reliability races --rounds 1000",
    ] {
        assert_eq!(problem_with(right), None);
    }
}
