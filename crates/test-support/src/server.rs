//! Tokenhouse processes.

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::guardian::{Guardian, script};

/// Arguments: the folder, the program. Starts the server, passes signals on to it by name, and kills
/// it at the end.
const SCRIPT: &str = r#"
"$2" serve </dev/null &
server=$!
# Our own copy would keep the pipe open when the program ends without printing anything.
exec >/dev/null
while read -r signal; do kill -s "$signal" "$server"; done
kill -s KILL "$server" 2>/dev/null
wait "$server"
"#;

/// Settings of all servers under test: cheap hashes on threads that clients in a closed loop do not
/// starve, and no client refused because of load or request rate.
pub const FAST_SETTINGS: [(&str, &str); 5] = [
    ("TOKENHOUSE_BCRYPT_COST", "4"),
    ("TOKENHOUSE_HASH_LOW_PRIORITY", "false"),
    ("TOKENHOUSE_HASH_QUEUE_MS", "60000"),
    ("TOKENHOUSE_HASH_THREADS", "1"),
    ("TOKENHOUSE_LIMITS", "off"),
];

/// How to start the program, as a server and as a command.
#[derive(Clone, Debug)]
pub struct Program {
    /// The program.
    pub binary: PathBuf,
    /// The working directory: a folder without a `.env` file.
    pub folder: PathBuf,
    /// The environment. The later of two values counts.
    pub settings: Vec<(String, String)>,
}

impl Program {
    /// The program on a database, with [`FAST_SETTINGS`] and then these settings.
    ///
    /// # Errors
    /// When there is no such program.
    pub fn new(
        binary: &Path,
        database_url: &str,
        folder: &Path,
        settings: &[(&str, &str)],
    ) -> Result<Self, String> {
        let found = binary.canonicalize();
        let binary = found.map_err(|error| format!("{}: {error}", binary.display()))?;
        let url = [("DATABASE_URL", database_url)];
        let settings = FAST_SETTINGS.iter().chain(settings).chain(&url);
        Ok(Self {
            binary,
            folder: folder.to_owned(),
            settings: settings
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        })
    }

    /// A command of the program, without input or output.
    pub fn command(&self, arguments: &[&str]) -> Command {
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

    /// Runs a command with this standard input, and returns its output.
    ///
    /// # Errors
    /// When it does not run.
    pub fn run(&self, arguments: &[&str], input: &str) -> Result<Output, String> {
        let mut command = self.command(arguments);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut run = || -> io::Result<Output> {
            let mut child = command.spawn()?;
            if let Some(mut stdin) = child.stdin.take() {
                stdin.write_all(input.as_bytes())?;
            }
            child.wait_with_output()
        };
        run().map_err(|error| format!("{}: {error}", arguments.join(" ")))
    }
}

/// A running server. Dropping it kills it (`kill -9`).
#[derive(Debug)]
pub struct Server {
    /// The address that it listens on.
    pub address: SocketAddr,
    guardian: Guardian,
}

impl Server {
    /// Starts a server on a free port. It accepts connections when this returns. Its log goes to the
    /// file `log` in the program's folder.
    ///
    /// # Errors
    /// One sentence with the last line of the log, when it does not start.
    pub fn start(program: &Program, log: &str) -> Result<Self, String> {
        let log = program.folder.join(log);
        let start = || -> io::Result<(Guardian, String)> {
            let mut command = script(SCRIPT, &program.folder, None);
            command
                .arg(&program.binary)
                .envs(program.settings.iter().cloned())
                .env("TOKENHOUSE_BIND", "127.0.0.1:0")
                .stderr(File::options().create(true).append(true).open(&log)?);
            let mut guardian = Guardian::start(&mut command)?;
            let first_line = guardian.read_line()?;
            Ok((guardian, first_line))
        };
        let (guardian, first_line) = start().map_err(|error| format!("a process: {error}"))?;
        match announced_address(&first_line) {
            Some(address) => Ok(Self { address, guardian }),
            None => Err(format!(
                "{} did not start: {}",
                program.binary.display(),
                last_line(&log)
            )),
        }
    }

    /// The number of its open files and connections.
    ///
    /// # Errors
    /// When it does not run.
    pub fn open_files(&self) -> Result<usize, String> {
        let count = self.guardian.child_id().and_then(open_files);
        count.map_err(|error| format!("the files of the server: {error}"))
    }

    /// The most memory that it has used at any time, in bytes.
    ///
    /// # Errors
    /// When it does not run.
    pub fn peak_memory(&self) -> Result<u64, String> {
        let pid = self.guardian.child_id();
        let bytes = pid.and_then(|pid| memory(pid, "VmHWM:"));
        bytes.map_err(|error| format!("the memory of the server: {error}"))
    }

    /// Sends it a signal by name: `KILL`, `TERM`, `STOP`, `CONT`.
    ///
    /// # Errors
    /// When the shell around it has ended.
    pub fn signal(&mut self, name: &str) -> Result<(), String> {
        let sent = self.guardian.send_line(name);
        sent.map_err(|error| format!("SIG{name}: {error}"))
    }
}

/// The address in the first line that a server prints: `Tokenhouse 0.1.0 on http://127.0.0.1:40123`,
/// or in the JSON that it prints next to a log in JSON.
pub fn announced_address(first_line: &str) -> Option<SocketAddr> {
    let (_, address) = first_line.split_once("http://")?;
    address.split('"').next()?.parse().ok()
}

/// The number of open files and connections of a process.
///
/// # Errors
/// When it does not run.
pub fn open_files(pid: u32) -> io::Result<usize> {
    Ok(fs::read_dir(format!("/proc/{pid}/fd"))?.count())
}

/// The number of open connections and listeners of a process.
///
/// # Errors
/// When it does not run.
pub fn open_sockets(pid: u32) -> io::Result<usize> {
    let files = fs::read_dir(format!("/proc/{pid}/fd"))?;
    // A file that was closed in the meantime has no target.
    let targets = files.filter_map(|file| fs::read_link(file.ok()?.path()).ok());
    Ok(targets
        .filter(|target| target.to_string_lossy().starts_with("socket:"))
        .count())
}

/// A figure in bytes from `/proc/PID/status`, such as `VmRSS:` (memory in use).
///
/// # Errors
/// When the process does not run.
pub fn memory(pid: u32, figure: &str) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(figure));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kilobytes = kilobytes.and_then(|number| number.parse::<u64>().ok());
    Ok(kilobytes.ok_or(io::ErrorKind::InvalidData)? << 10)
}

fn last_line(log: &Path) -> String {
    let log = fs::read_to_string(log).unwrap_or_default();
    log.lines().last().unwrap_or("its log is empty").to_owned()
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;
    use std::thread;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::ScratchDir;

    /// A program that is this shell script.
    fn program(scratch: &ScratchDir, text: &str) -> Program {
        let binary = scratch.join("program");
        fs::write(&binary, format!("#!/bin/sh\n{text}")).unwrap();
        fs::set_permissions(&binary, Permissions::from_mode(0o700)).unwrap();
        Program::new(&binary, "", scratch, &[("PORT", "42")]).unwrap()
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
    fn server_is_paused_resumed_and_killed() {
        let scratch = ScratchDir::new("server");
        let text = "echo $$ >pid; echo \"Tokenhouse on http://127.0.0.1:$PORT\"; exec sleep 60";
        let mut server = Server::start(&program(&scratch, text), "log").unwrap();
        assert_eq!(server.address, "127.0.0.1:42".parse().unwrap());
        let pid = fs::read_to_string(scratch.join("pid")).unwrap();
        let pid = pid.trim();
        server.signal("STOP").unwrap();
        wait_for(|| state(pid).as_deref() == Some("T"));
        server.signal("CONT").unwrap();
        wait_for(|| state(pid).as_deref() == Some("S"));
        server.signal("STOP").unwrap();
        drop(server);
        assert_eq!(state(pid), None);
    }

    #[test]
    fn server_that_does_not_start_reports_its_last_log_line() {
        let scratch = ScratchDir::new("server");
        let text = "echo 'tokenhouse: no such setting' >&2; exit 2";
        let error = Server::start(&program(&scratch, text), "log").unwrap_err();
        assert!(
            error.ends_with("did not start: tokenhouse: no such setting"),
            "{error}"
        );
    }
}
