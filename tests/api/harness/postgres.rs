//! A Postgres server for this test process alone, gone when the process is.

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use super::account::Account;
use super::guardian::{Guardian, free_port, scratch_folder};
use super::postgres_programs;

/// The role that the server is made with; it may do everything, without a password.
const ROLE: &str = "tokenhouse";

/// Durability is not under test here, and costs most of the time. The odd time zone is a trap: a
/// query that leans on the server's local time is hours off.
const SETTINGS: &str = "-c listen_addresses=127.0.0.1 -c unix_socket_directories=. \
     -c fsync=off -c synchronous_commit=off -c full_page_writes=off \
     -c max_connections=400 -c shared_buffers=32MB -c timezone=America/New_York";

/// Arguments: the folder, the folder of the programs, the role, the options of the server.
const SCRIPT: &str = r#"
folder=$1 programs=$2 role=$3 options=$4
clean_up() {
    "$programs/pg_ctl" -D "$folder/data" -m immediate stop >/dev/null 2>&1
    rm -rf -- "$folder"
}
trap clean_up EXIT
# Whoever reads what is printed may be gone already.
trap '' PIPE
{
    "$programs/initdb" -D "$folder/data" -U "$role" -A trust -E UTF8 --no-locale -N &&
    "$programs/pg_ctl" -D "$folder/data" -o "$options" -l "$folder/log" -w start
} >"$folder/start" 2>&1 || { cat "$folder/start" "$folder/log" 2>/dev/null; exit 1; }
echo ready
cat >/dev/null
"#;

/// A running server.
pub struct PostgresServer {
    port: u16,
    programs: PathBuf,
    _guardian: Guardian,
}

impl PostgresServer {
    /// The URL of a database on this server.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{ROLE}@127.0.0.1:{}/{database}", self.port)
    }

    /// Runs a program of Postgres on a database, with this on its standard input, and returns
    /// what it prints.
    pub fn run(&self, program: &str, arguments: &[&str], database: &str, input: &[u8]) -> Vec<u8> {
        let mut command = Command::new(self.programs.join(program));
        command
            .args(arguments)
            .arg("--dbname")
            .arg(self.url(database));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut running = command
            .spawn()
            .expect("it stands beside the server's programs");
        let mut stdin = running.stdin.take().expect("piped");
        stdin.write_all(input).expect("it reads all of it");
        drop(stdin);
        let output = running.wait_with_output().expect("it is our child");
        assert!(output.status.success(), "{program}: {output:?}");
        output.stdout
    }

    /// What `pg_dump` writes of a database.
    pub fn dump(&self, database: &str) -> Vec<u8> {
        let mut command = Command::new(self.programs.join("pg_dump"));
        let dumped = command.arg(self.url(database)).output();
        let dumped = dumped.expect("pg_dump stands beside the server's programs");
        assert!(dumped.status.success(), "{dumped:?}");
        dumped.stdout
    }
}

/// The server of this process, started by whoever asks first.
///
/// # Panics
/// When there is none to be had: tests on Postgres fail then, they are never skipped.
pub fn server() -> &'static PostgresServer {
    static SERVER: OnceLock<Result<PostgresServer, String>> = OnceLock::new();
    match SERVER.get_or_init(start) {
        Ok(server) => server,
        Err(problem) => panic!("no Postgres to test on: {problem}"),
    }
}

fn start() -> Result<PostgresServer, String> {
    let programs = postgres_programs::find_or_install()?;
    // Postgres refuses to run as root.
    let account = Account::ordinary(&["postgres", "nobody"])?;
    // Somebody else may take the port that was free a moment ago.
    start_on(free_port(), &programs, account).or_else(|_| start_on(free_port(), &programs, account))
}

fn start_on(
    port: u16,
    programs: &Path,
    account: Option<Account>,
) -> Result<PostgresServer, String> {
    let folder = scratch_folder("postgres");
    if let Some(account) = account {
        account.give(&folder).map_err(|error| error.to_string())?;
    }
    let options = format!("-p {port} {SETTINGS}");
    let arguments = [programs.as_os_str(), OsStr::new(ROLE), OsStr::new(&options)];
    let mut guardian = Guardian::start(SCRIPT, &folder, &arguments, account);
    guardian.wait_until_ready().map_err(|printed| {
        format!(
            "the server in {} does not start:\n{printed}",
            programs.display()
        )
    })?;
    Ok(PostgresServer {
        port,
        programs: programs.to_owned(),
        _guardian: guardian,
    })
}
