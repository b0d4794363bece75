//! A Postgres server of our own, in a folder of its own, gone when we are.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

use crate::guardian::{Guardian, Scratch, shell};

/// The role that the server is made with; it may do everything, without a password.
const ROLE: &str = "tokenhouse";

/// Nobody pulls the plug of this server, so what it saves on syncing is not missed.
const OPTIONS: &str = "-c listen_addresses=127.0.0.1 -c unix_socket_directories='' \
     -c fsync=off -c full_page_writes=off -c max_connections=200 -c shared_buffers=32MB";

/// Arguments: the folder, the folder of the programs, the role, the options of the server.
const SCRIPT: &str = r#"
folder=$1 programs=$2 role=$3 options=$4
# A paused server does not hear that it shall stop.
trap 'signal CONT; "$programs/pg_ctl" -D "$folder/data" -m immediate stop >/dev/null 2>&1' EXIT
signal() {
    main=$(head -n 1 "$folder/data/postmaster.pid") || return
    # The one that starts the others first, so that there are no new ones.
    kill -s "$1" "$main" $(cat "/proc/$main/task/$main/children")
}
start() { "$programs/pg_ctl" -D "$folder/data" -o "$options" -l "$folder/log" -w start; }
# Whoever reads what is printed may be gone already.
trap '' PIPE
cd "$folder"
{
    "$programs/initdb" -D "$folder/data" -U "$role" -A trust -E UTF8 --no-locale -N &&
    start
} >"$folder/start" 2>&1 </dev/null || { cat "$folder/start" "$folder/log" 2>/dev/null | tail -n 1; exit 1; }
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
pub struct PostgresServer {
    port: u16,
    programs: PathBuf,
    // In this order: the server ends before its folder goes.
    guardian: Guardian,
    _scratch: Scratch,
}

impl PostgresServer {
    /// Makes and starts a server on a free port, as an ordinary user when we are root: Postgres
    /// refuses to run as root.
    ///
    /// # Errors
    /// One sentence, when the programs of Postgres are missing or the server does not start.
    pub fn start() -> Result<Self, String> {
        let programs =
            find_programs().ok_or("initdb, pg_ctl and postgres are nowhere to be found")?;
        let account = if is_root() {
            Some(ordinary_account()?)
        } else {
            None
        };
        // Somebody else may take the port that was free a moment ago.
        start_on_free_port(&programs, account).or_else(|_| start_on_free_port(&programs, account))
    }

    /// The URL of the server's database.
    pub fn url(&self) -> String {
        self.url_at(self.port)
    }

    /// The same by way of another port.
    pub(crate) fn url_at(&self, port: u16) -> String {
        format!("postgres://{ROLE}@127.0.0.1:{port}/postgres")
    }

    /// The server's own port.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Stops it as a crash would (`pg_ctl stop -m immediate`).
    ///
    /// # Errors
    /// When it does not stop.
    pub fn stop(&mut self) -> Result<(), String> {
        self.tell("stop")
    }

    /// Starts it again. It takes connections when this returns.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start_again(&mut self) -> Result<(), String> {
        self.tell("start")
    }

    /// Stops all its processes in their tracks (`SIGSTOP`).
    ///
    /// # Errors
    /// When they are not there.
    pub fn pause(&mut self) -> Result<(), String> {
        self.tell("pause")
    }

    /// Lets them go on (`SIGCONT`).
    ///
    /// # Errors
    /// When they are not there.
    pub fn resume(&mut self) -> Result<(), String> {
        self.tell("resume")
    }

    fn tell(&mut self, word: &str) -> Result<(), String> {
        let answer = self.guardian.tell(word).and_then(|()| self.guardian.line());
        match answer
            .map_err(|error| format!("Postgres: {error}"))?
            .as_str()
        {
            "ok" => Ok(()),
            said => Err(format!("Postgres does not {word}: {said}")),
        }
    }

    /// The program `psql` that belongs to it.
    pub fn psql(&self) -> PathBuf {
        self.programs.join("psql")
    }
}

fn start_on_free_port(
    programs: &Path,
    account: Option<(u32, u32)>,
) -> Result<PostgresServer, String> {
    let start = || -> std::io::Result<(u16, Scratch, Guardian, String)> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let scratch = Scratch::new("postgres")?;
        let mut command = shell(SCRIPT);
        command
            .arg(scratch.path())
            .arg(programs)
            .args([ROLE, &format!("-p {port} {OPTIONS}")]);
        if let Some((uid, gid)) = account {
            chown(scratch.path(), Some(uid), Some(gid))?;
            // Before it runs, `sh` may look at where it is.
            command.uid(uid).gid(gid).current_dir("/");
        }
        let mut guardian = Guardian::start(&mut command)?;
        let said = guardian.line()?;
        Ok((port, scratch, guardian, said))
    };
    let (port, scratch, guardian, said) = start().map_err(|error| format!("Postgres: {error}"))?;
    if said != "ready" {
        return Err(format!("Postgres does not start: {said}"));
    }
    Ok(PostgresServer {
        port,
        programs: programs.to_owned(),
        guardian,
        _scratch: scratch,
    })
}

/// The folder with the programs: on the PATH, or where Debian puts them, the newest first.
fn find_programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let debian = Path::new("/usr/lib/postgresql").read_dir();
    let mut versions: Vec<u32> = debian
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    versions.sort_unstable_by(|one, other| other.cmp(one));
    let debian = versions
        .iter()
        .map(|version| PathBuf::from(format!("/usr/lib/postgresql/{version}/bin")));
    std::env::split_paths(&path).chain(debian).find(|folder| {
        let programs = ["initdb", "pg_ctl", "postgres", "psql"];
        programs
            .iter()
            .all(|program| folder.join(program).is_file())
    })
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// Whom Postgres runs as when we are root: its own user if there is one. User and group.
fn ordinary_account() -> Result<(u32, u32), String> {
    let accounts = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let find = |name: &str| {
        let mut lines = accounts
            .lines()
            .map(|line| line.split(':').collect::<Vec<_>>());
        let fields = lines.find(|fields| fields.len() > 3 && fields[0] == name)?;
        Some((fields[2].parse().ok()?, fields[3].parse().ok()?))
    };
    find("postgres")
        .or_else(|| find("nobody"))
        .ok_or_else(|| "there is neither a user postgres nor nobody to run Postgres".to_owned())
}
