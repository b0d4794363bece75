//! `.env` files: which one is read, whose files are trusted, and that values arrive unchanged; and the
//! commands `config …`.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use secrecy::ExposeSecret;
use tokenhouse::Config;
use tokenhouse::config::{EnvFile, Profile, SETTINGS};

use crate::harness::{Running, ScratchDir};

/// The user `nobody`; no test runs as it.
const NOBODY: u32 = 65_534;

/// A folder that is removed after the test.
struct Folder(ScratchDir);

impl Folder {
    fn new() -> Self {
        Self(ScratchDir::new("env-file"))
    }

    /// Writes a file that only its owner can write to.
    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        path
    }

    /// Runs the program in this folder with an empty environment.
    fn run(&self, arguments: &[&str]) -> Output {
        program(&self.0, arguments).output().unwrap()
    }
}

fn program(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tokenhouse"));
    command.args(arguments).current_dir(folder).env_clear();
    command
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Runs a migration and returns whether it used this file, which names the database.
fn is_read(folder: &Folder, text: &str, arguments: &[&str]) -> bool {
    let output = folder.run(arguments);
    assert!(output.status.success(), "{text}: {output:?}");
    let by_file = fs::remove_file(folder.0.join("named.db")).is_ok();
    let by_default = fs::remove_file(folder.0.join("tokenhouse.db")).is_ok();
    assert!(by_file != by_default, "exactly one database was created");
    by_file
}

const NAMES_DATABASE: &str = "DATABASE_URL=sqlite://named.db\n";

#[test]
fn secrets_are_read_byte_for_byte() {
    let folder = Folder::new();
    for secret in [
        "abc$def0123456789abcdef0123456789",
        "$HOME-${HOME}-$$-\\$HOME-$(id)-0123456789",
        "a#b #c # d 0123456789abcdef0123456789",
        "#begins-with-a-hash-0123456789abcdef",
        "double \"quotes\" 0123456789abcdef01234",
        "single 'quotes' 0123456789abcdef01234",
        "back\\slash\\n\\\\ 0123456789abcdef01234\\",
        "two  blanks\tand a tab 0123456789abcdef",
        "`ticks` !%&;|<>*?~=[]{}() 0123456789ab",
        "k\u{e9}y: \u{fc}ber \u{20ac} 0123456789abcdef0123",
    ] {
        let escaped = secret.replace('\\', "\\\\");
        let double = escaped.replace('"', "\\\"");
        let single = escaped.replace('\'', "\\'");
        let mut forms = vec![format!("\"{double}\""), format!("'{single}'")];
        if !secret.contains(" #") {
            forms.push(secret.to_owned());
        }
        let secret_file = folder.file("secret", &format!("{secret}\n"));
        let secret_file = secret_file.display();
        let mut configs = Vec::new();
        for form in forms {
            let text = format!("API_KEY_TOKEN={form}\nexport TOKENHOUSE_AUDIT_KEY={form} # so\n");
            let path = folder.file("settings", &text);
            configs.push(Config::from_env_and(&EnvFile::from_path(&path).unwrap()));
        }
        let names = ["API_KEY_TOKEN", "TOKENHOUSE_AUDIT_KEY"];
        configs.push(Config::from_vars(
            names.map(|name| (name.to_owned(), secret.to_owned())),
        ));
        configs.push(Config::from_vars(
            names.map(|name| (format!("{name}_FILE"), secret_file.to_string())),
        ));
        for config in configs {
            let auth = config.unwrap().auth;
            assert!(auth.static_keys.contains(secret.as_bytes()), "{secret}");
            assert_eq!(auth.audit_key.unwrap().expose_secret(), secret);
        }
    }
}

#[test]
fn server_uses_the_key_exactly_as_written() {
    let folder = Folder::new();
    let text = "API_KEY_TOKEN=abcdefgh$def0123456789\nTOKENHOUSE_BIND=127.0.0.1:0\n";
    folder.file(".env", text);
    let (_server, client) = Running::serve(&mut program(&folder.0, &[]));
    for (key, status) in [("abcdefgh$def0123456789", 200), ("abcdefgh", 403)] {
        let response = client.get("/protected").header("Token", key).send();
        assert_eq!(response.status, status, "{key}");
    }
}

#[test]
fn only_the_env_file_of_the_working_directory_is_read_and_reported() {
    let folder = Folder::new();
    let path = folder.file(".env", NAMES_DATABASE);
    assert!(is_read(&folder, "its own", &["migrate"]));
    let output = folder.run(&["config", "check"]);
    assert!(
        stderr(&output).contains(&format!("settings: read {}", path.display())),
        "{output:?}"
    );

    let subfolder = folder.0.join("a/b");
    fs::create_dir_all(&subfolder).unwrap();
    let subfolder = Folder(ScratchDir::take_over(subfolder).unwrap());
    assert!(!is_read(&subfolder, "two folders above", &["migrate"]));
    assert_eq!(stderr(&subfolder.run(&["config", "check"])), "");

    let named = path.to_str().unwrap();
    for arguments in [
        ["--env-file", named, "migrate"],
        ["migrate", "--env-file", named],
    ] {
        assert!(is_read(&subfolder, "named", &arguments));
    }
    // A folder of this name is a Python virtual environment.
    fs::create_dir(subfolder.0.join(".env")).unwrap();
    assert!(!is_read(&subfolder, "a folder", &["migrate"]));
}

#[test]
fn env_file_writable_by_others_is_not_read() {
    let folder = Folder::new();
    let path = folder.file(".env", NAMES_DATABASE);
    let path_text = path.to_str().unwrap();
    let assert_ignored = |reason: &str| {
        assert!(!is_read(&folder, reason, &["migrate"]));
        let output = folder.run(&["config", "check"]);
        let line = format!("tokenhouse: {path_text}: not read: {reason}");
        assert!(output.status.success(), "{output:?}");
        assert!(stderr(&output).starts_with(&line), "{output:?}");
        assert_eq!(stderr(&output).lines().count(), 1, "{output:?}");
        let named = folder.run(&["config", "check", "--env-file", path_text]);
        assert_eq!(
            (named.status.code(), stderr(&named)),
            (Some(2), stderr(&output))
        );
    };
    for mode in [0o664, 0o646, 0o666, 0o622] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        assert_ignored("other users can write to it");
    }
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    assert!(is_read(&folder, "its owner's alone", &["migrate"]));

    // Only root can change file owners.
    if fs::metadata(&path).unwrap().uid() != 0 {
        return;
    }
    chown(&path, Some(NOBODY), None).unwrap();
    assert_ignored("it belongs to another user");
    fs::remove_file(&path).unwrap();
    symlink(folder.file("trusted", NAMES_DATABASE), &path).unwrap();
    assert!(is_read(&folder, "a link of one's own", &["migrate"]));
    std::os::unix::fs::lchown(&path, Some(NOBODY), None).unwrap();
    assert_ignored("it belongs to another user");
}

#[test]
fn errors_name_file_and_line_and_hide_the_value() {
    let folder = Folder::new();
    let path = folder.file(
        ".env",
        "# settings\n\nTOKENHOUSE_WORKERS=hush\nAPI_KEY_TOKEN=\n",
    );
    let path = path.display();
    let output = folder.run(&["config", "check"]);
    let lines = stderr(&output);
    let mut lines: Vec<&str> = lines.lines().collect();
    lines.sort_unstable();
    assert_eq!(output.status.code(), Some(2));
    let [key, workers] = lines.as_slice() else {
        panic!("{lines:?}");
    };
    assert!(
        key.starts_with("tokenhouse: API_KEY_TOKEN: is empty"),
        "{key}"
    );
    assert!(key.ends_with(&format!("({path}, line 4)")), "{key}");
    assert!(
        workers.starts_with("tokenhouse: TOKENHOUSE_WORKERS: "),
        "{workers}"
    );
    assert!(workers.ends_with(&format!("({path}, line 3)")), "{workers}");

    folder.file(".env", "A=1\nB='hush\nC=2\n");
    let output = folder.run(&["migrate"]);
    let line = format!("tokenhouse: {path}: line 2: the quote is not closed\n");
    assert_eq!((output.status.code(), stderr(&output)), (Some(2), line));

    // The environment takes precedence over the file.
    folder.file(".env", "TOKENHOUSE_WORKERS=hush\n");
    let mut command = program(&folder.0, &["config", "check"]);
    let output = command.env("TOKENHOUSE_WORKERS", "2").output().unwrap();
    assert!(output.status.success(), "{output:?}");

    let absent = folder.run(&["migrate", "--env-file", "nowhere"]);
    assert_eq!(absent.status.code(), Some(2), "{absent:?}");
    assert!(
        stderr(&absent).starts_with("tokenhouse: nowhere: cannot be read"),
        "{absent:?}"
    );
}

#[test]
fn secret_that_is_not_utf8_is_rejected() {
    use std::os::unix::ffi::OsStrExt;
    let folder = Folder::new();
    let mut command = program(&folder.0, &["config", "check"]);
    let value = std::ffi::OsStr::from_bytes(b"hush-hush-\xff-hush");
    let output = command.env("API_KEY_TOKEN", value).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(stderr(&output), "tokenhouse: API_KEY_TOKEN: is not UTF-8\n");
}

#[test]
fn config_show_prints_values_and_sources_without_secrets() {
    let folder = Folder::new();
    let secret = folder.file("secret", "hush-audit-key-0123456789-0123456789\n");
    let text = format!(
        "TOKENHOUSE_PROFILE=standard\n\nTOKENHOUSE_BCRYPT_COST=11\nAPI_KEY_TOKEN=hush-0123456789\n\
         DATABASE_URL=postgres://me:hush@localhost/auth?application_name=hush\n\
         TOKENHOUSE_AUDIT_KEY_FILE={}\nTOKENHOUSE_DOCS=on\nTOKENHOUSE_TOKEN_LIFETIME=30d\n",
        secret.display()
    );
    let path = folder.file(".env", &text);
    let path = path.display();
    let mut command = program(&folder.0, &["config", "show"]);
    command
        .env("TOKENHOUSE_DOCS", "off")
        .env("TOKENHOUSE_WORKERS", "3");
    let output = command.output().unwrap();
    let shown = stdout(&output);
    assert!(output.status.success(), "{output:?}");
    assert!(!shown.contains("hush"), "{shown}");
    for line in [
        format!("TOKENHOUSE_PROFILE\tstandard\t{path}, line 1"),
        format!("TOKENHOUSE_BCRYPT_COST\t11\t{path}, line 3"),
        format!("API_KEY_TOKEN\t********\t{path}, line 4"),
        format!("DATABASE_URL\tpostgres://localhost/auth\t{path}, line 5"),
        format!("TOKENHOUSE_AUDIT_KEY\t********\tfile {}", secret.display()),
        "TOKENHOUSE_DOCS\toff\tenvironment".to_owned(),
        "TOKENHOUSE_WORKERS\t3\tenvironment".to_owned(),
        format!("TOKENHOUSE_TOKEN_LIFETIME\t30d\t{path}, line 8"),
        "TOKENHOUSE_PASSWORD_MIN_LENGTH\t15\tprofile standard".to_owned(),
        "TOKENHOUSE_NAME_MIN_LENGTH\t1\tprofile standard".to_owned(),
        "TOKENHOUSE_OAUTH_STRICT_STATUS\ttrue\tprofile standard".to_owned(),
        "TOKENHOUSE_BIND\t127.0.0.1:8000\tdefault".to_owned(),
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line}: {shown}");
    }
    let output = command.arg("--json").output().unwrap();
    let shown: Vec<serde_json::Value> = stdout(&output)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(shown.len(), SETTINGS.len());
    let docs = shown.iter().find(|row| row["name"] == "TOKENHOUSE_DOCS");
    assert_eq!(docs.unwrap()["source"], "environment");
    assert!(!stdout(&output).contains("hush"));
}

#[test]
fn config_init_writes_a_private_file_with_new_secrets_once() {
    let folder = Folder::new();
    // Also with an invalid file, which it may be about to replace.
    folder.file(".env", "hush\n");
    let init = |profile: &str, file: &str| {
        folder.run(&["config", "init", "--profile", profile, "--output", file])
    };
    assert!(init("standard", "new").status.success());
    let path = folder.0.join("new");
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    let written = fs::read_to_string(&path).unwrap();
    let again = init("tutorial", "new");
    assert_eq!(again.status.code(), Some(2), "{again:?}");
    assert_eq!(fs::read_to_string(&path).unwrap(), written);

    assert!(init("tutorial", "other").status.success());
    let config = |name: &str| {
        let file = EnvFile::from_path(&folder.0.join(name)).unwrap();
        Config::from_env_and(&file).unwrap()
    };
    let (new, other) = (config("new"), config("other"));
    assert_eq!(
        (new.profile, other.profile),
        (Profile::Standard, Profile::Tutorial)
    );
    let key = |config: Config| config.auth.audit_key.unwrap().expose_secret().to_owned();
    assert_eq!(new.warnings(), Vec::<String>::new());
    assert!(!new.auth.static_keys.is_empty() && key(new) != key(other));

    // `config init > .env` creates the file before the program runs.
    let path = folder.file("redirected", "");
    let mut command = program(&folder.0, &["config", "init"]);
    let output = command.stdout(fs::File::create(&path).unwrap()).output();
    assert!(stderr(&output.unwrap()).contains("chmod 600"));
    assert!(EnvFile::from_path(&path).is_ok());
}

#[test]
fn invalid_settings_are_reported_together_with_suggestions() {
    let folder = Folder::new();
    folder.file(
        ".env",
        "TOKENHOUSE_TOKEN_LIFETME=hush\nTOKENHOUSE_BIND=hush\nTOKENHOUSE_CORS_ORIGINS=*\n",
    );
    let output = folder.run(&["config", "check", "--json"]);
    assert_eq!(output.status.code(), Some(2));
    let checked: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(checked["usable"], false);
    assert_eq!(checked["errors"].as_array().unwrap().len(), 3, "{checked}");
    let lines = stderr(&folder.run(&["config", "check"]));
    assert_eq!(lines.lines().count(), 3, "{lines}");
    assert!(
        lines.contains("did you mean TOKENHOUSE_TOKEN_LIFETIME?"),
        "{lines}"
    );
    assert!(!lines.contains("hush") && !checked.to_string().contains("hush"));
    assert_eq!(stderr(&folder.run(&["serve"])), lines);
    // The command that the error names works all the same.
    let list = folder.run(&["config", "list"]);
    assert!(list.status.success() && stdout(&list).contains("TOKENHOUSE_TOKEN_LIFETIME\t"));
}

#[test]
fn config_check_and_doctor_have_the_same_warnings() {
    let folder = Folder::new();
    folder.file(
        ".env",
        "TOKENHOUSE_LIMITS=off\nTOKENHOUSE_BIND=0.0.0.0:8000\nAPI_KEY_TOKEN='\"0123456789abcdef\"'\n\
         TOKENHOUSE_BCRYPT_COST=9\n",
    );
    let check = stdout(&folder.run(&["config", "check"]));
    let doctor = stdout(&folder.run(&["doctor"]));
    let warned: Vec<_> = doctor
        .lines()
        .filter_map(|line| line.strip_prefix("warning\tsettings\t"))
        .map(|warning| format!("warning: {warning}"))
        .collect();
    assert_eq!(check.lines().collect::<Vec<_>>(), warned, "{doctor}");
    assert_eq!(warned.len(), 6, "{warned:#?}");
}
