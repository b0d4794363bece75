//! A private Postgres server that ends with this process.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::account::Account;
use crate::guardian::{Guardian, database_folder, free_port, script};
use crate::packages;

/// The superuser of the server, without a password.
const ROLE: &str = "tokenhouse";

/// The system does not crash in these tests, so the server need not sync. The time zone is a trap: a
/// query that depends on the local time of the server is hours off.
const OPTIONS: &str = "-c listen_addresses=127.0.0.1 -c unix_socket_directories='' \
     -c fsync=off -c full_page_writes=off \
     -c max_connections=400 -c shared_buffers=32MB -c timezone=America/New_York";

/// The programs that make, start, stop and copy a server.
const PROGRAMS: [&str; 6] = [
    "initdb",
    "pg_ctl",
    "postgres",
    "pg_dump",
    "pg_restore",
    "psql",
];

/// Arguments: the folder, the folder of the programs, the role, the options of the server.
const SCRIPT: &str = r#"
folder=$1 programs=$2 role=$3 options=$4
# A paused server does not react to a stop.
clean_up() {
    signal CONT
    "$programs/pg_ctl" -D "$folder/data" -m immediate stop
    cd / && rm -rf -- "$folder"
}
signal() {
    main=$(head -n 1 "$folder/data/postmaster.pid") || return
    # The process that starts the others comes first, so that there are no new ones.
    kill -s "$1" "$main" $(cat "/proc/$main/task/$main/children")
}
start() { "$programs/pg_ctl" -D "$folder/data" -o "$options" -l "$folder/log" -w start; }
trap 'clean_up >/dev/null 2>&1' EXIT
# The reader of the output may have ended.
trap '' PIPE
{
    "$programs/initdb" -D "$folder/data" -U "$role" -A trust -E UTF8 --no-locale -N &&
    start
} >"$folder/start" 2>&1 </dev/null || { cat "$folder/start" "$folder/log" 2>/dev/null; exit 1; }
echo ready
while read -r word; do
    case $word in
        stop) "$programs/pg_ctl" -D "$folder/data" -m immediate stop ;;
        start) start ;;
        pause) signal STOP ;;
        resume) signal CONT ;;
    esac >>"$folder/start" 2>&1 </dev/null && echo ok || tail -n 1 "$folder/start"
done
"#;

/// A running server.
#[derive(Debug)]
pub struct PostgresServer {
    port: u16,
    programs: PathBuf,
    guardian: Guardian,
}

impl PostgresServer {
    /// Makes and starts a server on a free port, as an unprivileged user: Postgres refuses to run as
    /// root.
    ///
    /// # Errors
    /// One sentence, when the programs of Postgres are missing or the server does not start.
    pub fn start() -> Result<Self, String> {
        let names = PROGRAMS.join("/");
        let programs = packages::find_or_install(find_programs, "postgresql", &names)?;
        let account = Account::unprivileged(&["postgres", "nobody"])?;
        // Another process may take the port that was free a moment ago.
        Self::start_on(free_port(), &programs, account)
            .or_else(|_| Self::start_on(free_port(), &programs, account))
    }

    fn start_on(port: u16, programs: &Path, account: Option<Account>) -> Result<Self, String> {
        let failed = |error: std::io::Error| format!("Postgres: {error}");
        let folder = database_folder("postgres");
        if let Some(account) = account {
            account.take_ownership(&folder).map_err(failed)?;
        }
        let mut command = script(SCRIPT, &folder, account);
        command
            .arg(programs)
            .args([ROLE, &format!("-p {port} {OPTIONS}")]);
        let mut guardian = Guardian::start(&mut command).map_err(failed)?;
        guardian.wait_until_ready().map_err(|printed| {
            let programs = programs.display();
            format!("the server in {programs} does not start:\n{printed}")
        })?;
        Ok(Self {
            port,
            programs: programs.to_owned(),
            guardian,
        })
    }

    /// The URL of a database on this server. The database `postgres` always exists.
    pub fn url(&self, database: &str) -> String {
        Self::url_at(self.port, database)
    }

    /// The same through another port: that of a proxy.
    pub fn url_at(port: u16, database: &str) -> String {
        format!("postgres://{ROLE}@127.0.0.1:{port}/{database}")
    }

    /// The port that the server listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The path of the program `psql` of this server.
    pub fn psql(&self) -> PathBuf {
        self.programs.join("psql")
    }

    /// Stops the server as a crash does (`pg_ctl stop -m immediate`).
    ///
    /// # Errors
    /// When it does not stop.
    pub fn stop(&mut self) -> Result<(), String> {
        self.send("stop")
    }

    /// Starts the server again. It accepts connections when this returns.
    ///
    /// # Errors
    /// When it does not start.
    pub fn restart(&mut self) -> Result<(), String> {
        self.send("start")
    }

    /// Pauses all its processes (`SIGSTOP`).
    ///
    /// # Errors
    /// When they do not run.
    pub fn pause(&mut self) -> Result<(), String> {
        self.send("pause")
    }

    /// Resumes all its processes (`SIGCONT`).
    ///
    /// # Errors
    /// When they do not run.
    pub fn resume(&mut self) -> Result<(), String> {
        self.send("resume")
    }

    fn send(&mut self, word: &str) -> Result<(), String> {
        let sent = self.guardian.send_line(word);
        let reply = sent.and_then(|()| self.guardian.read_line());
        match reply
            .map_err(|error| format!("Postgres: {error}"))?
            .as_str()
        {
            "ok" => Ok(()),
            line => Err(format!("Postgres cannot {word}: {line}")),
        }
    }

    /// Runs a program of Postgres on a database with this standard input, and returns its output.
    ///
    /// # Panics
    /// When the program fails.
    pub fn run(&self, program: &str, arguments: &[&str], database: &str, input: &[u8]) -> Vec<u8> {
        let mut running = Command::new(self.programs.join(program))
            .args(arguments)
            .arg("--dbname")
            .arg(self.url(database))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program is next to the server");
        let mut stdin = running.stdin.take().expect("the input is piped");
        stdin.write_all(input).expect("the program reads its input");
        drop(stdin);
        let output = running.wait_with_output().expect("it is our child");
        assert!(output.status.success(), "{program}: {output:?}");
        output.stdout
    }
}

/// The folder with the programs: on the PATH, where Debian puts them (the newest version first), or
/// where `pg_config` says.
fn find_programs() -> Option<PathBuf> {
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    let versions = Path::new("/usr/lib/postgresql").read_dir();
    let mut versions: Vec<u32> = versions
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    versions.sort_unstable_by(|a, b| b.cmp(a));
    let debian = versions
        .into_iter()
        .map(|version| PathBuf::from(format!("/usr/lib/postgresql/{version}/bin")));
    let configured = Command::new("pg_config").arg("--bindir").output().ok();
    let configured = configured.map(|output| String::from_utf8_lossy(&output.stdout).trim().into());
    std::env::split_paths(&on_path)
        .chain(debian)
        .chain(configured)
        .find(|folder: &PathBuf| PROGRAMS.iter().all(|name| folder.join(name).is_file()))
}
