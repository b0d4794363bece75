//! The tour in README.md runs as printed: its shell block, pasted into bash against a new server,
//! prints what its `#>` lines show. Links between documents lead to files, and the commands and
//! settings that documents name exist. `tokenhouse man` writes a page for every command. The files and
//! the user that the packages name exist; `scripts/package.sh test` installs them for real.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "the helpers of a test fail the test"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

/// Stands for any text in an expected line.
const WILDCARD: &str = "…";

/// Marks a line of expected output.
const OUTPUT_MARK: &str = "#> ";

/// A server on an empty database in a temporary folder; both go when it is dropped.
struct Server {
    process: Child,
    folder: PathBuf,
    url: String,
    // The server exits when it cannot write to its standard output.
    _output: BufReader<ChildStdout>,
}

impl Server {
    fn start(settings: &[(&str, &str)]) -> Self {
        let name = format!("tokenhouse-readme-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir(&folder).unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_tokenhouse"))
            .current_dir(&folder)
            .env_clear()
            .envs(settings.iter().copied())
            .env("TOKENHOUSE_BIND", "127.0.0.1:0")
            .env("RUST_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // The first line is "Tokenhouse 0.1.0 on http://127.0.0.1:40123".
        let mut line = String::new();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        Self {
            process,
            folder,
            url: line.split_whitespace().last().expect("a URL").to_owned(),
            _output: output,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Errors would hide the failure of the test.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn readme() -> String {
    fs::read_to_string(root().join("README.md")).unwrap()
}

/// The Markdown files in the root folder and `docs`, and the READMEs of other folders.
fn documents() -> Vec<PathBuf> {
    let in_folder = |folder: PathBuf| {
        fs::read_dir(folder)
            .unwrap()
            .map(|file| file.unwrap().path())
    };
    let readmes = [
        "bench",
        "clients/js",
        "clients/python",
        "deploy",
        "reliability",
        "scripts",
    ];
    in_folder(root().to_owned())
        .chain(in_folder(root().join("docs")))
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .chain(readmes.map(|folder| root().join(folder).join("README.md")))
        .collect()
}

/// The targets of links to files, without fragments.
fn linked_files(document: &str) -> impl Iterator<Item = &str> {
    document
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split([')', ' ']).next())
        .filter(|target| !target.contains("://"))
        .filter_map(|target| target.split('#').next())
        .filter(|path| !path.is_empty())
}

/// The static key in the command that starts the server.
fn static_key(readme: &str) -> &str {
    let line = readme
        .lines()
        .find(|line| line.trim().starts_with("API_KEY_TOKEN="));
    let (setting, _) = line.unwrap().trim().split_once(' ').unwrap();
    setting.strip_prefix("API_KEY_TOKEN=").unwrap()
}

/// The only block of shell commands.
fn tour(readme: &str) -> &str {
    let mut blocks = readme.split("```bash\n").skip(1);
    let block = blocks.next().expect("a block of shell commands");
    assert!(blocks.next().is_none(), "the tour is a single block");
    block.split("```").next().unwrap()
}

fn matches(expected: &str, line: &str) -> bool {
    match expected.split_once(WILDCARD) {
        Some((start, end)) => {
            line.len() >= start.len() + end.len() && line.starts_with(start) && line.ends_with(end)
        }
        None => expected == line,
    }
}

#[test]
fn tour_prints_the_documented_output() {
    let readme = readme();
    let server = Server::start(&[("API_KEY_TOKEN", static_key(&readme))]);
    let tour = tour(&readme);
    let output = Command::new("bash")
        .args(["-c", tour])
        .current_dir(&server.folder)
        .env("URL", &server.url)
        .output()
        .expect("bash");
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(errors, "");
    let printed = String::from_utf8(output.stdout).unwrap();
    let printed: Vec<_> = printed.lines().collect();
    let expected: Vec<_> = tour
        .lines()
        .filter_map(|line| line.strip_prefix(OUTPUT_MARK))
        .collect();
    assert!(expected.len() >= 6, "the tour shows its output");
    let agrees = expected.len() == printed.len()
        && expected.iter().zip(&printed).all(|(e, p)| matches(e, p));
    assert!(
        agrees,
        "README.md shows\n{expected:#?}\nbut the tour prints\n{printed:#?}"
    );
}

#[test]
fn links_lead_to_files() {
    let mut links = 0;
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        for path in linked_files(&text) {
            let target = document.parent().unwrap().join(path);
            assert!(target.exists(), "{}: no {path}", document.display());
            links += 1;
        }
    }
    assert!(links > 60, "only {links} links found");
}

/// The documents for users, which name commands and settings.
fn user_guides() -> String {
    let guides = [
        "README.md",
        "SECURITY.md",
        "deploy/README.md",
        "docs/api.md",
        "docs/configuration.md",
        "docs/migrating.md",
        "docs/operating.md",
    ];
    guides
        .map(|guide| fs::read_to_string(root().join(guide)).unwrap())
        .join("\n")
}

/// The commands in code spans and indented code, without `tokenhouse` itself.
fn commands(text: &str) -> Vec<&str> {
    let spans = text.split('`').skip(1).step_by(2);
    let blocks = text.lines().filter_map(|line| line.strip_prefix("    "));
    spans
        .chain(blocks)
        .filter_map(|code| code.strip_prefix("tokenhouse "))
        .collect()
}

/// The subcommands that a command names, with alternatives such as `user list\|show` expanded.
fn subcommands(command: &str) -> Vec<Vec<String>> {
    let is_name = |word: &&str| word.starts_with(|c: char| c.is_ascii_lowercase());
    let words = command
        .split_whitespace()
        .take_while(|word| is_name(word) && !word.contains([':', '@']));
    words.fold(vec![Vec::new()], |paths, word| {
        let names: Vec<_> = word.split("\\|").collect();
        paths
            .iter()
            .flat_map(|path| {
                names
                    .iter()
                    .map(move |name| [&path[..], &[(*name).to_owned()]].concat())
            })
            .collect()
    })
}

#[test]
fn documented_commands_exist() {
    let guides = user_guides();
    let mut found = 0;
    for command in commands(&guides) {
        let options = command
            .split_whitespace()
            .map(|word| word.trim_matches(['[', ']']));
        let options: Vec<_> = options.filter(|word| word.starts_with("--")).collect();
        for path in subcommands(command) {
            let words: Vec<_> = path.iter().map(String::as_str).chain(["--help"]).collect();
            let help = tokenhouse(&words);
            for option in &options {
                assert!(help.contains(option), "{path:?} has no {option}");
            }
            found += 1;
        }
    }
    assert!(found > 40, "only {found} commands found");
}

#[test]
fn documented_settings_exist() {
    let settings = fs::read_to_string(root().join(".env.example")).unwrap();
    let guides = user_guides();
    let is_part_of_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let words = guides.split(|c| !is_part_of_name(c));
    let names: BTreeSet<_> = words
        .filter(|word| word.starts_with("TOKENHOUSE_") && *word != "TOKENHOUSE_")
        .collect();
    for name in &names {
        assert!(settings.contains(&format!("{name}=")), "no setting {name}");
    }
    assert!(names.len() > 15, "only {} settings found", names.len());
}

#[test]
fn readme_is_short() {
    let words = readme().split_whitespace().count();
    assert!(words <= 1_000, "README.md has {words} words");
}

#[test]
fn wildcard_matches_any_text_in_its_place() {
    assert!(matches(r#"{"a":"…"}"#, r#"{"a":"xyz"}"#));
    assert!(!matches(r#"{"a":"…"}"#, r#"{"b":"xyz"}"#));
    assert!(!matches("aa…aa", "aaa"));
}

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
        // The values of an option, which a page lists in other words.
        .filter(|word| *word != "[possible")
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

/// The first two texts in quotes of each asset in `package.metadata.deb`: a source, and a destination.
fn packaged_assets(manifest: &str) -> Vec<(&str, &str)> {
    let (_, rest) = manifest.split_once("\nassets = [\n").unwrap();
    let (assets, _) = rest.split_once("\n]").unwrap();
    let texts = assets.lines().map(|line| {
        let mut texts = line.split('"').skip(1).step_by(2);
        (texts.next().unwrap(), texts.next().unwrap())
    });
    texts.collect()
}

#[test]
fn packages_name_files_that_exist() {
    let read = |path: &str| fs::read_to_string(root().join(path)).expect(path);
    let (manifest, script) = (read("Cargo.toml"), read("scripts/package.sh"));
    let assets = packaged_assets(&manifest);
    assert!(assets.len() > 8, "only {} assets found", assets.len());
    for (source, _) in &assets {
        match source.strip_prefix("target/packages/stage/") {
            // `scripts/package.sh` writes `man/tokenhouse.1.gz` as `$stage/man`, and so on.
            Some(staged) => {
                let name = staged.trim_end_matches("/*.1").trim_end_matches(".gz");
                assert!(script.contains(&format!("$stage/{name}")), "{source}");
            }
            None if *source == "target/dist/tokenhouse" => {}
            None => assert!(root().join(source).is_file(), "no {source}"),
        }
    }
    let folders = [
        "maintainer-scripts = \"deploy/debian/\"",
        "unit-scripts = \"deploy/systemd/\"",
    ];
    for folder in folders {
        assert!(manifest.contains(folder), "{folder}");
    }
    // The file of the settings is the one that dpkg keeps and the unit reads.
    let settings = "etc/tokenhouse/env";
    assert!(assets.iter().any(|(_, target)| *target == settings));
    assert!(manifest.contains(&format!("conf-files = [\"/{settings}\"]")));
    let unit = read("deploy/systemd/tokenhouse.service");
    assert!(unit.contains(&format!("EnvironmentFile=-/{settings}\n")));
    // The user of the unit is the one that the installation creates; the image has its own.
    let user = unit.lines().find_map(|line| line.strip_prefix("User="));
    let created = read("deploy/debian/postinst");
    assert!(created.contains(&format!("--no-create-home {}\n", user.unwrap())));
    let image = read("deploy/docker/Dockerfile");
    let id = image.lines().find_map(|line| line.strip_prefix("USER "));
    assert!(script.contains(&format!("tokenhouse:x:{}:", id.unwrap())));
}

/// Every setting of the packages is one of the service, and none is a secret.
#[test]
fn packaged_settings_are_known_and_hold_no_secret() {
    let known = fs::read_to_string(root().join(".env.example")).unwrap();
    let settings = fs::read_to_string(root().join("deploy/systemd/env")).unwrap();
    let mut found = 0;
    for line in settings.lines() {
        let setting = line.trim_start_matches('#').split_once('=');
        let Some((name, value)) = setting.filter(|(name, _)| !name.contains(' ')) else {
            continue;
        };
        assert!(known.contains(&format!("{name}=")), "no setting {name}");
        let is_secret = name.contains("KEY");
        assert!(
            !is_secret || (line.starts_with('#') && value.is_empty()),
            "{line}"
        );
        found += 1;
    }
    assert!(found > 2, "only {found} settings found");
}
