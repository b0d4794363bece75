//! One process of Tokenhouse.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::guardian::{Guardian, shell};

/// Starts the program `$1`, passes signals on to it by name, and kills it at the end.
const SCRIPT: &str = r#"
"$1" serve </dev/null &
server=$!
# Ours too would keep the pipe open when the program ends before it says anything.
exec >/dev/null
while read -r signal; do kill -s "$signal" "$server"; done
kill -s KILL "$server" 2>/dev/null
wait "$server"
"#;

/// Cheap hashes, by threads that clients in a closed loop do not starve, more workers than cores that
/// get in the way of other threads, and nobody turned away as too busy or too frequent.
const SETTINGS: [(&str, &str); 8] = [
    ("RUST_LOG", "error"),
    ("TOKENHOUSE_BCRYPT_COST", "4"),
    ("TOKENHOUSE_DOCS", "false"),
    ("TOKENHOUSE_HASH_LOW_PRIORITY", "false"),
    ("TOKENHOUSE_HASH_QUEUE_MS", "60000"),
    ("TOKENHOUSE_HASH_THREADS", "1"),
    ("TOKENHOUSE_LIMITS", "off"),
    ("TOKENHOUSE_WORKERS", "4"),
];

/// How to start the program, for serving and for the command line.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) binary: PathBuf,
    /// Where it runs: a folder without a file `.env` that would count.
    pub(crate) folder: PathBuf,
    pub(crate) settings: Vec<(String, String)>,
}

impl Program {
    /// The program with the settings of a run, and then those given: the later of two values counts.
    ///
    /// # Errors
    /// When there is no such program.
    pub(crate) fn new(
        binary: &Path,
        database_url: &str,
        folder: &Path,
        settings: &[(String, String)],
    ) -> Result<Self, String> {
        let found = binary.canonicalize();
        let found = found.map_err(|error| format!("{}: {error}", binary.display()))?;
        let own = SETTINGS.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let url = ("DATABASE_URL".to_owned(), database_url.to_owned());
        Ok(Self {
            binary: found,
            folder: folder.to_owned(),
            settings: own
                .into_iter()
                .chain([url])
                .chain(settings.iter().cloned())
                .collect(),
        })
    }

    /// A command of the command line.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .args(arguments)
            .env_clear()
            .envs(self.settings.iter().cloned())
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }
}

/// A running process. Dropping it is `kill -9`.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    guardian: Guardian,
}

impl Server {
    /// Starts a process on a free port; it takes connections when this returns. What it logs goes
    /// to the file `log` in the program's folder.
    pub(crate) fn start(program: &Program, log: &str) -> Result<Self, String> {
        let log = program.folder.join(log);
        let start = || -> io::Result<(Guardian, String)> {
            let mut command = shell(SCRIPT);
            command
                .arg(&program.binary)
                .current_dir(&program.folder)
                .envs(program.settings.iter().cloned())
                .env("TOKENHOUSE_BIND", "127.0.0.1:0")
                .stderr(File::options().create(true).append(true).open(&log)?);
            let mut guardian = Guardian::start(&mut command)?;
            let announced = guardian.line()?;
            Ok((guardian, announced))
        };
        let (guardian, announced) = start().map_err(|error| format!("a process: {error}"))?;
        // "Tokenhouse 0.1.0 on http://127.0.0.1:40123"
        let address = announced
            .rsplit_once("http://")
            .and_then(|(_, address)| address.parse().ok());
        match address {
            Some(address) => Ok(Self { address, guardian }),
            None => Err(format!(
                "{} did not start: {}",
                program.binary.display(),
                last_line(&log)
            )),
        }
    }

    /// How many files and connections it has open.
    pub(crate) fn files(&self) -> Result<usize, String> {
        let count = || -> io::Result<usize> {
            let folder = format!("/proc/{}/fd", self.guardian.child()?);
            Ok(std::fs::read_dir(folder)?.count())
        };
        count().map_err(|error| format!("the files of the server: {error}"))
    }

    /// The most memory that it has had in use, in bytes.
    pub(crate) fn memory_most(&self) -> Result<u64, String> {
        let read = || -> io::Result<u64> {
            let status = format!("/proc/{}/status", self.guardian.child()?);
            let status = std::fs::read_to_string(status)?;
            let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
            let kilobytes = kilobytes.and_then(|number| number.parse::<u64>().ok());
            Ok(kilobytes.ok_or(io::ErrorKind::InvalidData)? << 10)
        };
        read().map_err(|error| format!("the memory of the server: {error}"))
    }

    /// Kills it at once (`SIGKILL`).
    pub(crate) fn kill(&mut self) -> io::Result<()> {
        self.guardian.tell("KILL")
    }

    /// Asks it to end (`SIGTERM`).
    pub(crate) fn terminate(&mut self) -> io::Result<()> {
        self.guardian.tell("TERM")
    }

    /// Stops the process in its tracks (`SIGSTOP`).
    pub(crate) fn pause(&mut self) -> io::Result<()> {
        self.guardian.tell("STOP")
    }

    /// Lets it go on (`SIGCONT`).
    pub(crate) fn resume(&mut self) -> io::Result<()> {
        self.guardian.tell("CONT")
    }
}

fn last_line(log: &Path) -> String {
    let log = std::fs::read_to_string(log).unwrap_or_default();
    log.lines().last().unwrap_or("it said nothing").to_owned()
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;
    use std::thread;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::Scratch;

    /// A program with the given script in its place.
    fn program(scratch: &Scratch, script: &str) -> Program {
        let binary = scratch.path().join("program");
        fs::write(&binary, format!("#!/bin/sh\n{script}")).unwrap();
        fs::set_permissions(&binary, Permissions::from_mode(0o700)).unwrap();
        Program {
            binary,
            folder: scratch.path().to_owned(),
            settings: vec![("ANSWER".to_owned(), "42".to_owned())],
        }
    }

    fn state(pid: &str) -> Option<String> {
        let status = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let after_name = status.rsplit_once(") ")?.1;
        Some(after_name[..1].to_owned())
    }

    fn wait_for(condition: impl Fn() -> bool) {
        let start = Instant::now();
        while !condition() {
            assert!(start.elapsed() < Duration::from_secs(10));
            thread::sleep(Duration::from_millis(2));
        }
    }

    #[test]
    fn a_process_is_paused_resumed_and_killed() {
        let scratch = Scratch::new("server").unwrap();
        let script = "echo $$ >pid; echo \"Tokenhouse on http://127.0.0.1:$ANSWER\"; exec sleep 60";
        let mut server = Server::start(&program(&scratch, script), "log").unwrap();
        assert_eq!(server.address, "127.0.0.1:42".parse().unwrap());
        let pid = fs::read_to_string(scratch.path().join("pid")).unwrap();
        let pid = pid.trim();
        server.pause().unwrap();
        wait_for(|| state(pid).as_deref() == Some("T"));
        server.resume().unwrap();
        wait_for(|| state(pid).as_deref() == Some("S"));
        server.pause().unwrap();
        drop(server);
        assert_eq!(state(pid), None);
    }

    #[test]
    fn a_process_that_does_not_start_says_why() {
        let scratch = Scratch::new("server").unwrap();
        let script = "echo 'tokenhouse: no such setting' >&2; exit 2";
        let error = Server::start(&program(&scratch, script), "log")
            .err()
            .unwrap();
        assert!(
            error.ends_with("did not start: tokenhouse: no such setting"),
            "{error}"
        );
    }
}
