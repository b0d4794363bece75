//! `tokenhouse man`: a page for every command, with all of its options.

#![expect(clippy::unwrap_used, reason = "the helpers of a test fail the test")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs the program, which must succeed, and returns its output.
fn tokenhouse(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_tokenhouse"))
        .args(arguments)
        .env_clear()
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Collects the `--help` text of a command and its subcommands, by page name.
fn collect_help(command: &[&str], found: &mut BTreeMap<String, String>) {
    let help = tokenhouse(&[command, &["--help"]].concat());
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    for line in listed.take_while(|line| !line.is_empty()) {
        let name = line.split_whitespace().next().unwrap();
        if name != "help" {
            collect_help(&[command, &[name]].concat(), found);
        }
    }
    let page = [&["tokenhouse"], command].concat().join("-") + ".1";
    found.insert(page, help);
}

/// The long options and arguments in a help text, each at the beginning of a line.
fn options_in(help: &str) -> Vec<&str> {
    let lines = help.lines().map(str::trim_start);
    let tokens = lines.filter_map(|line| {
        let line = line.strip_prefix("-h, ").unwrap_or(line);
        let line = line.strip_prefix("-V, ").unwrap_or(line);
        line.split([' ', '=']).next()
    });
    tokens
        .filter(|word| word.starts_with("--") || word.starts_with('<') || word.starts_with('['))
        .collect()
}

/// A scratch folder that is removed after the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("tokenhouse-man-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        _ = fs::remove_dir_all(&folder);
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0);
    }
}

fn pages_in(folder: &Path) -> BTreeMap<String, String> {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            let page = fs::read_to_string(entry.path()).unwrap();
            // Without roff's escaping of hyphens.
            (name, page.replace("\\-", "-"))
        })
        .collect()
}

#[test]
fn every_command_has_a_page_with_all_its_options() {
    let folder = Folder::new("all");
    let nested = folder.0.join("share/man1");
    tokenhouse(&["man", nested.to_str().unwrap()]);
    let pages = pages_in(&nested);
    let mut helps_by_page = BTreeMap::new();
    collect_help(&[], &mut helps_by_page);

    let names = |pages: &BTreeMap<String, String>| pages.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&pages), names(&helps_by_page));
    let mut compared = 0;
    for (name, help) in &helps_by_page {
        let page = &pages[name];
        for section in [".TH tokenhouse", ".SH NAME", ".SH SYNOPSIS"] {
            assert!(page.contains(section), "{name} lacks {section}");
        }
        for word in options_in(help) {
            compared += 1;
            let word = word.trim_matches(['<', '>', '[', ']', '.']);
            assert!(page.contains(word), "{name} lacks {word}");
        }
    }
    assert!(
        pages.len() > 30 && compared > 100,
        "{} pages, {compared} options: the test no longer finds them",
        pages.len()
    );
}

#[test]
fn unusable_folder_is_reported_in_one_line() {
    let folder = Folder::new("file");
    fs::create_dir_all(&folder.0).unwrap();
    let file = folder.0.join("file");
    fs::write(&file, "").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_tokenhouse"))
        .args(["man", file.join("below").to_str().unwrap()])
        .env_clear()
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let problem = String::from_utf8(output.stderr).unwrap();
    assert!(problem.starts_with("tokenhouse: /"), "{problem}");
    assert_eq!(problem.lines().count(), 1, "{problem}");
}
