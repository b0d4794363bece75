//! A Postgres server for this test process alone, gone when the process is.

use std::ffi::OsStr;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;
use std::sync::OnceLock;

use super::guardian::{Account, Guardian, scratch_folder};
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
    _guardian: Guardian,
}

impl PostgresServer {
    /// The URL of a database on this server.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{ROLE}@127.0.0.1:{}/{database}", self.port)
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
    let root = is_root();
    let programs = postgres_programs::find_or_install(root)?;
    // Postgres refuses to run as root.
    let account = root.then(ordinary_account).transpose()?;
    // Somebody else may take the port that was free a moment ago.
    start_on(free_port(), &programs, account).or_else(|_| start_on(free_port(), &programs, account))
}

fn start_on(
    port: u16,
    programs: &Path,
    account: Option<Account>,
) -> Result<PostgresServer, String> {
    let folder = scratch_folder("postgres");
    if let Some(Account { uid, gid }) = account {
        chown(&folder, Some(uid), Some(gid)).map_err(|error| error.to_string())?;
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
        _guardian: guardian,
    })
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener
        .local_addr()
        .expect("a bound socket has an address")
        .port()
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// Whom Postgres runs as when we are root: its own user if there is one.
fn ordinary_account() -> Result<Account, String> {
    let accounts = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let find = |name: &str| {
        let mut fields = accounts
            .lines()
            .map(|line| line.split(':').collect::<Vec<_>>());
        let fields = fields.find(|fields| fields.len() > 3 && fields[0] == name)?;
        Some(Account {
            uid: fields[2].parse().ok()?,
            gid: fields[3].parse().ok()?,
        })
    };
    find("postgres").or_else(|| find("nobody")).ok_or_else(|| {
        "it does not run as root, and /etc/passwd has neither the user postgres nor nobody"
            .to_owned()
    })
}
