//! Reverse proxies from Debian packages, with the recipes of `deploy/` (only the addresses are
//! changed), and an HTTP server behind them that records the requests it gets, byte for byte.

use std::env;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use test_support::{
    Account, Client, Guardian, ScratchDir, free_port, guardian, packages, scratch_folder,
};

/// Which proxy a test runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proxy {
    Nginx,
    Caddy,
}

/// Makes two tests of each function that takes a [`Proxy`]: `nginx::name`, `caddy::name`.
macro_rules! on_both_proxies {
    ($($test:ident),+ $(,)?) => {
        mod nginx {
            $(#[test] fn $test() { super::$test($crate::harness::Proxy::Nginx); })+
        }
        mod caddy {
            $(#[test] fn $test() { super::$test($crate::harness::Proxy::Caddy); })+
        }
    };
}
pub(crate) use on_both_proxies;

/// The addresses of Tokenhouse, the app and the proxy in the recipes.
const TOKENHOUSE: &str = "127.0.0.1:8000";
const APP: &str = "127.0.0.1:3000";
const LISTEN: &str = "127.0.0.1:8080";

/// A file below `deploy/`, and its destination.
type File<'a> = (&'a str, &'a str);

const CADDY_FILES: [File<'_>; 1] = [("caddy/Caddyfile", "Caddyfile")];

const NGINX_FILES: [File<'_>; 1] = [("nginx/app.conf", "conf.d/app.conf")];

/// What Debian's `nginx.conf` has around the recipe, changed for an unprivileged user.
const NGINX_CONF: &str = "
pid nginx.pid;
error_log error.log;
worker_processes 1;
events {}
http {
    access_log off;
    client_body_temp_path client_body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    include conf.d/*.conf;
}
";

/// Arguments: the folder, the program.
const NGINX_SCRIPT: &str = r#"
folder=$1 program=$2
nginx() { "$program" -p "$folder" -c "$folder/nginx.conf" -e "$folder/error.log" "$@"; }
clean_up() {
    nginx -s stop >/dev/null 2>&1
    rm -rf -- "$folder"
}
trap clean_up EXIT
# The reader of the output may have ended.
trap '' PIPE
nginx >"$folder/start" 2>&1 || { cat "$folder/start"; exit 1; }
echo ready
cat >/dev/null
"#;

/// The same. The administration address is a socket, because another Caddy may use the default port.
const CADDY_SCRIPT: &str = r#"
folder=$1 program=$2
export HOME=$folder XDG_CONFIG_HOME=$folder XDG_DATA_HOME=$folder CADDY_ADMIN=unix/$folder/admin
clean_up() {
    kill $(sed -n 's/.*(pid=\([0-9]*\)).*/\1/p' "$folder/start") 2>/dev/null
    rm -rf -- "$folder"
}
trap clean_up EXIT
trap '' PIPE
"$program" start --config "$folder/Caddyfile" >"$folder/start" 2>&1 ||
    { cat "$folder/start"; exit 1; }
echo ready
cat >/dev/null
"#;

/// A running proxy. It dereferences to a [`Client`] of itself.
pub struct RunningProxy {
    client: Client,
    _guardian: Guardian,
}

impl Deref for RunningProxy {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Proxy {
    /// Starts it in front of an app, with Tokenhouse for forward authentication.
    ///
    /// # Panics
    /// When it cannot start: tests then fail, they are never skipped.
    pub fn start(self, tokenhouse: SocketAddr, app: SocketAddr) -> RunningProxy {
        let addresses = [(TOKENHOUSE, tokenhouse.to_string()), (APP, app.to_string())];
        let files = match self {
            Self::Caddy => &CADDY_FILES[..],
            Self::Nginx => &NGINX_FILES,
        };
        self.start_with(files, &addresses)
    }

    /// Starts it in front of Tokenhouse, which is below the path `/auth`.
    ///
    /// # Panics
    /// As [`Self::start`].
    pub fn start_with_path(self, tokenhouse: SocketAddr) -> RunningProxy {
        let files = match self {
            Self::Caddy => [("caddy/path.Caddyfile", "Caddyfile")],
            Self::Nginx => [("nginx/path.conf", "conf.d/path.conf")],
        };
        self.start_with(&files, &[(TOKENHOUSE, tokenhouse.to_string())])
    }

    /// Starts it with a certificate of its own in front of an app at `app.example.com` and at
    /// `other.example.org`, and of Tokenhouse at `auth.example.com`.
    ///
    /// # Panics
    /// As [`Self::start`].
    pub fn start_for_browsers(self, tokenhouse: SocketAddr, app: SocketAddr) -> RunningProxy {
        let folder = ScratchDir::new("certificate");
        let [certificate, key] = make_certificate(&folder);
        let recipe = match self {
            Self::Caddy => ("caddy/browsers.Caddyfile", "Caddyfile"),
            Self::Nginx => ("nginx/browsers.conf", "conf.d/browsers.conf"),
        };
        let files = [recipe, (&certificate, "cert.pem"), (&key, "key.pem")];
        let in_caddy =
            |sites: &str| format!("{sites} {{\n\tbind 127.0.0.1\n\ttls cert.pem key.pem\n");
        let sites = "https://app.example.com:8080, https://other.example.org:8080";
        let addresses = [
            (TOKENHOUSE, tokenhouse.to_string()),
            (APP, app.to_string()),
            (
                "server_name app.example.com;",
                "server_name app.example.com other.example.org;".to_owned(),
            ),
            ("/etc/ssl/app.example.com.pem", "cert.pem".to_owned()),
            ("/etc/ssl/app.example.com.key", "key.pem".to_owned()),
            ("/etc/ssl/auth.example.com.pem", "cert.pem".to_owned()),
            ("/etc/ssl/auth.example.com.key", "key.pem".to_owned()),
            // Caddy obtains no certificates here, and listens on no other port.
            (
                "# A site for browsers behind Caddy",
                "{\n\tauto_https off\n}\n# A site".to_owned(),
            ),
            ("https://app.example.com {", in_caddy(sites)),
            (
                "https://auth.example.com {",
                in_caddy("https://auth.example.com:8080"),
            ),
        ];
        self.start_with(&files, &addresses)
    }

    fn start_with(self, files: &[File<'_>], addresses: &[(&str, String)]) -> RunningProxy {
        // Another process may take the port that was free a moment ago.
        self.try_start(files, addresses)
            .or_else(|_| self.try_start(files, addresses))
            .unwrap_or_else(|problem| panic!("no {self:?} to test on: {problem}"))
    }

    fn try_start(
        self,
        files: &[File<'_>],
        addresses: &[(&str, String)],
    ) -> Result<RunningProxy, String> {
        let (program, package, script) = match self {
            Self::Nginx => ("nginx", "nginx", NGINX_SCRIPT),
            Self::Caddy => ("caddy", "caddy", CADDY_SCRIPT),
        };
        let find = || find_program(program);
        let program = packages::find_or_install(find, package, program)?;
        // As in production: not as root.
        let account = Account::unprivileged(&["nobody"])?;
        let port = free_port();
        let folder = scratch_folder(package);
        let listen = [
            (LISTEN, format!("127.0.0.1:{port}")),
            ("http://:8080", format!("http://:{port}")),
            (".com:8080", format!(".com:{port}")),
            (".org:8080", format!(".org:{port}")),
        ];
        let changes = addresses.iter().chain(&listen);
        write_recipe(&folder, files, |recipe| {
            let changes = changes.clone();
            changes.fold(recipe.to_owned(), |recipe, (from, to)| {
                recipe.replace(from, to)
            })
        });
        if let Some(account) = account {
            account
                .take_ownership(&folder)
                .map_err(|error| error.to_string())?;
        }
        let mut command = guardian::script(script, &folder, account);
        let mut guardian = Guardian::start(command.arg(&program)).expect("sh starts");
        guardian
            .wait_until_ready()
            .map_err(|printed| format!("{} does not start:\n{printed}", program.display()))?;
        Ok(RunningProxy {
            client: Client::new(([127, 0, 0, 1], port).into()),
            _guardian: guardian,
        })
    }
}

/// Starts nginx in front of several Tokenhouse processes.
///
/// # Panics
/// As [`Proxy::start`].
pub fn start_before_cluster(processes: [SocketAddr; 3]) -> RunningProxy {
    let [one, two, three] = processes.map(|address| address.to_string());
    let addresses = [
        ("127.0.0.1:8001", one),
        ("127.0.0.1:8002", two),
        ("127.0.0.1:8003", three),
    ];
    let files = [("nginx/cluster.conf", "conf.d/cluster.conf")];
    Proxy::Nginx.start_with(&files, &addresses)
}

/// Makes a certificate for all hosts of the recipes, and returns the paths of its two files.
fn make_certificate(folder: &Path) -> [String; 2] {
    let find = || find_program("openssl");
    let program = packages::find_or_install(find, "openssl", "openssl")
        .unwrap_or_else(|problem| panic!("no certificate to test with: {problem}"));
    let [certificate, key] = ["cert.pem", "key.pem"].map(|name| {
        let path = folder.join(name).into_os_string().into_string();
        path.expect("temporary folders have names in UTF-8")
    });
    let names = "subjectAltName=DNS:app.example.com,DNS:other.example.org,DNS:auth.example.com";
    let made = Command::new(program)
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
        ])
        .args([
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=app.example.com",
            "-addext",
            names,
        ])
        .args(["-out", &certificate, "-keyout", &key])
        .output();
    let made = made.expect("openssl starts");
    assert!(made.status.success(), "{made:?}");
    [certificate, key]
}

/// Copies the files of a recipe with changed addresses.
fn write_recipe(folder: &Path, files: &[File<'_>], change: impl Fn(&str) -> String) {
    let recipes = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy");
    fs::write(folder.join("nginx.conf"), NGINX_CONF).expect("the folder is ours");
    for (from, to) in files {
        let recipe = fs::read_to_string(recipes.join(from)).expect("the recipe is there");
        let to = folder.join(to);
        fs::create_dir_all(to.parent().expect("a file in a folder")).expect("it is ours");
        fs::write(to, change(&recipe)).expect("the folder is ours");
    }
}

/// Searches the PATH, and the folder where Debian puts programs for root.
pub(super) fn find_program(name: &str) -> Option<PathBuf> {
    let on_path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&on_path)
        .chain([PathBuf::from("/usr/sbin")])
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The request line and the headers.
    pub head: String,
    /// Everything after the head, as it arrived, with chunk sizes and trailers.
    pub body: Vec<u8>,
}

impl Recorded {
    /// Method and target.
    pub fn line(&self) -> &str {
        let line = self.head.lines().next().unwrap_or_default();
        line.trim_end_matches(" HTTP/1.1")
    }

    /// Names and values of the headers, in the order sent.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        let lines = self.head.lines().skip(1);
        lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name, value.trim()))
    }

    /// The value of the one header of this name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers();
        headers
            .find(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// Whether this text is anywhere in the request.
    pub fn contains(&self, text: &str) -> bool {
        self.head.contains(text) || String::from_utf8_lossy(&self.body).contains(text)
    }

    fn read(from: &mut impl BufRead) -> io::Result<Self> {
        let mut request = Self {
            head: String::new(),
            body: Vec::new(),
        };
        while !request.head.ends_with("\r\n\r\n") {
            let mut line = Vec::new();
            if from.read_until(b'\n', &mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            request.head.extend(line.into_iter().map(char::from));
        }
        if let Some(length) = request.header("content-length") {
            let length: u64 = length.parse().map_err(io::Error::other)?;
            from.take(length).read_to_end(&mut request.body)?;
        } else if request.header("transfer-encoding").is_some() {
            while !request.body.ends_with(b"\r\n0\r\n") && request.body != b"0\r\n" {
                from.read_until(b'\n', &mut request.body)?;
            }
            while !request.body.ends_with(b"\r\n\r\n") {
                from.read_until(b'\n', &mut request.body)?;
            }
        }
        Ok(request)
    }
}

/// Returns the bytes of the response. Bytes without a complete head close the connection.
type Respond = dyn Fn(&Recorded) -> Vec<u8> + Send + Sync;

/// The server. Dropping it stops it.
pub struct Recorder {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    requests: Mutex<Vec<Recorded>>,
    connections: AtomicUsize,
    ended: AtomicBool,
    respond: Box<Respond>,
}

impl Recorder {
    /// A server on a free port that responds with this function.
    pub fn start(respond: impl Fn(&Recorded) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::new(Shared {
            requests: Mutex::default(),
            connections: AtomicUsize::new(0),
            ended: AtomicBool::new(false),
            respond: Box::new(respond),
        });
        let of_thread = Arc::clone(&shared);
        thread::spawn(move || of_thread.accept(&listener));
        Self { address, shared }
    }

    /// A server that returns every request as the body of its response.
    pub fn echo() -> Self {
        Self::start(|request| {
            let body = [request.head.as_bytes(), &request.body].concat();
            let head = format!(
                "HTTP/1.1 200 OK\r\nX-Upstream: reached\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            match request.line().starts_with("HEAD ") {
                true => head.into_bytes(),
                false => [head.into_bytes(), body].concat(),
            }
        })
    }

    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The requests since the last call.
    pub fn take(&self) -> Vec<Recorded> {
        std::mem::take(&mut self.shared.requests.lock().expect("no thread panics"))
    }

    /// The number of connections that clients have opened.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for the next connection.
        drop(TcpStream::connect(self.address));
    }
}

impl Shared {
    fn accept(self: Arc<Self>, listener: &TcpListener) {
        for stream in listener.incoming() {
            if self.ended.load(Ordering::SeqCst) {
                return;
            }
            let Ok(stream) = stream else { return };
            self.connections.fetch_add(1, Ordering::SeqCst);
            let of_thread = Arc::clone(&self);
            // Ends with an error when the other side closes.
            thread::spawn(move || of_thread.serve(stream));
        }
    }

    fn serve(&self, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut stream = BufReader::new(stream);
        loop {
            let request = Recorded::read(&mut stream)?;
            let response = (self.respond)(&request);
            self.requests
                .lock()
                .expect("no thread panics")
                .push(request);
            stream.get_mut().write_all(&response)?;
            if !response.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
                return Ok(());
            }
        }
    }
}
