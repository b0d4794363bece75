//! Programs that a test starts, as they stand.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

use super::client::Client;

/// A running program, ended with the test.
pub struct Running {
    process: Child,
    output: BufReader<ChildStdout>,
}

impl Running {
    /// Starts the program; what it prints is for [`Self::line`].
    pub fn start(command: &mut Command) -> Self {
        let mut process = command
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        let output = BufReader::new(process.stdout.take().expect("piped"));
        Self { process, output }
    }

    /// Starts a server, and returns it with a client of the address that it prints first.
    pub fn serve(command: &mut Command) -> (Self, Client) {
        let mut server = Self::start(command);
        let first = server.line();
        let (_, address) = first.rsplit_once("http://").expect("the first line tells");
        let client = Client::of(address.parse().expect("an address"));
        (server, client)
    }

    /// Waits for the next line that it prints.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("it prints text");
        line.trim_end().to_owned()
    }

    /// Bytes of memory that it has in use.
    pub fn memory(&self) -> u64 {
        let status = format!("/proc/{}/status", self.process.id());
        let status = std::fs::read_to_string(status).expect("it runs, and this is Linux");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
        1_024 * kilobytes.expect("a size").parse::<u64>().expect("a number")
    }

    /// How many files and sockets it has open.
    pub fn files(&self) -> usize {
        let folder = format!("/proc/{}/fd", self.process.id());
        std::fs::read_dir(folder)
            .expect("it runs, and this is Linux")
            .count()
    }

    /// Sends the process a signal, as in `STOP`.
    pub fn signal(&self, name: &str) {
        let pid = self.process.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(sent.expect("kill is a program").success());
    }

    /// How it ended, if it has ended by itself.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.process.try_wait().expect("it is our child")
    }

    /// Waits until the process has ended by itself.
    pub fn wait(mut self) {
        self.process.wait().expect("it is our child");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself; either way nothing is left of it.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
