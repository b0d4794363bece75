//! `tokenhouse dev`: a server for the tests of apps.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::thread;
use std::time::Duration;

use actix_web::rt::signal::unix::{SignalKind, signal};
use chrono::{DateTime, Utc};
use clap::Args;
use futures_util::future::{Either, select, select_all};
use rustix::fs::FileType;
use serde::Serialize;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::common::Failure;
use super::output::{Output, announce_json, start_log};
use crate::config::{Config, DatabaseUrl, parse_address};
use crate::credential::token::generate_token;
use crate::dev::{self, ClockStart, ControlKey, Databases, Folder, Service};
use crate::seed::{Seed, SeedUser};
use crate::store::TemporarySchemas;

/// How often the process checks whether its parent has ended.
const PARENT_INTERVAL: Duration = Duration::from_millis(100);

/// The minimum length of a control key that the user chooses.
const MIN_KEY_LENGTH: usize = 16;

/// The setting of the static key, which is random unless it is set.
const STATIC_KEY: &str = "API_KEY_TOKEN";

/// Settings that the arguments of the command replace.
const NOT_SETTABLE: [&str; 4] = [
    "DATABASE_URL",
    "DATABASE_URL_FILE",
    "TOKENHOUSE_BIND",
    "TOKENHOUSE_METRICS_BIND",
];

#[derive(Debug, Args)]
pub(super) struct DevArgs {
    /// The users that exist from the start: a file in JSON, such as {"users": [{"email":
    /// "ada@example.com", "scopes": ["orders:read"]}]}, or the same in TOML
    #[arg(long, value_name = "FILE")]
    seed: Option<PathBuf>,
    /// The port on 127.0.0.1; any free one by default
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Listen on this address instead, which may be reachable from other machines, such as
    /// 0.0.0.0:8000 in a container
    #[arg(
        long,
        value_name = "ADDRESS",
        conflicts_with = "port",
        requires = "control_key",
        value_parser = parse_address
    )]
    listen: Option<SocketAddr>,
    /// The key of the control routes, 16 characters or more; a random one by default
    #[arg(long, value_name = "KEY", value_parser = parse_key)]
    control_key: Option<String>,
    /// Start at this time, such as 2026-01-01T00:00:00Z, where the clock stands; by default it shows
    /// the time of the machine
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    clock: Option<DateTime<Utc>>,
    /// Use schemas of its own in this Postgres database, postgres://…, instead of a temporary SQLite file
    #[arg(long, value_name = "URL", value_parser = parse_postgres)]
    database: Option<DatabaseUrl>,
    /// A setting, as NAME=VALUE; can be repeated. The environment and .env are not read, except for the
    /// filter of the log
    #[arg(long = "set", value_name = "SETTING", value_parser = parse_setting)]
    settings: Vec<(String, String)>,
    /// Several programs share the server: refuse to reset it as a whole, to move its clock and to cause
    /// faults
    #[arg(long)]
    shared: bool,
}

fn parse_key(text: &str) -> Result<String, String> {
    let is_long = text.len() >= MIN_KEY_LENGTH;
    // A client sends it in a header.
    if is_long && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "expected {MIN_KEY_LENGTH} or more ASCII characters without spaces"
        ))
    }
}

fn parse_time(text: &str) -> Result<DateTime<Utc>, String> {
    let expected = |_error| "expected a time such as 2026-01-01T00:00:00Z".to_owned();
    text.parse().map_err(expected)
}

fn parse_postgres(text: &str) -> Result<DatabaseUrl, String> {
    match DatabaseUrl::parse(text.to_owned().into())? {
        url @ DatabaseUrl::Postgres(_) => Ok(url),
        _ => Err("expected postgres://…: SQLite files are always new".to_owned()),
    }
}

fn parse_setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    if NOT_SETTABLE.contains(&name) {
        return Err(format!("tokenhouse dev does not use {name}"));
    }
    Ok((name.to_owned(), value.to_owned()))
}

/// The only line on standard output.
#[derive(Serialize)]
struct Announced<'a> {
    url: &'a str,
    static_key: &'a str,
    control_key: &'a str,
    pid: u32,
    database: &'a str,
}

/// Serves until SIGTERM, SIGINT or SIGHUP, or until standard input or the parent process ends.
pub(super) fn run(env_file: Option<&Path>, args: DevArgs, output: Output) -> Result<(), Failure> {
    if env_file.is_some() {
        return Err(Failure::bad_input(
            "tokenhouse dev reads no settings file: use --set NAME=VALUE",
        ));
    }
    // First, since the parent may end while the service starts.
    let parent = rustix::process::getppid();
    let vars = vars(args.settings)?;
    let static_key = vars[STATIC_KEY].clone();
    let config = Config::from_vars(vars);
    let mut config = config.map_err(|errors| Failure::bad_input(errors.to_string()))?;
    start_log(&config, output);
    let control_key = args.control_key.map_or_else(random_key, Ok)?;
    let seed = args.seed.as_deref().map(Seed::read).transpose();
    let seed = seed.map_err(Failure::bad_input)?.unwrap_or_default();
    let users = seed.users.into_iter().map(SeedUser::for_test).collect();
    let bind = args
        .listen
        .unwrap_or_else(|| (Ipv4Addr::LOCALHOST, args.port).into());
    let listener = TcpListener::bind(bind)
        .map_err(|error| format!("cannot listen on {bind}: {}", error.kind()))?;
    let url = url_of(&listener).map_err(|error| error.to_string())?;
    config.link_to(&url).map_err(|error| error.to_string())?;
    let clock_start = args.clock.map_or(ClockStart::Now, ClockStart::At);
    let (stop, stopped) = unbounded_channel();
    watch_parent(parent, stop.clone()).map_err(|error| error.to_string())?;
    watch_input(stop).map_err(|error| error.to_string())?;
    let serve = async {
        let databases = match &args.database {
            Some(url) => Databases::Schemas(TemporarySchemas::open(url).map_err(io::Error::other)?),
            None => Databases::Files(Folder::create()?),
        };
        let service = Service::start(databases, config, clock_start, users).await?;
        let key = ControlKey::new(&control_key, args.shared);
        let server = dev::serve(&service, key, listener)?;
        let (handle, stop_requested) = (server.handle(), stop_requested(stopped)?);
        announce_json(&Announced {
            url: &url,
            static_key: &static_key,
            control_key: &control_key,
            pid: std::process::id(),
            database: &service.database(),
        });
        // After the line, so that it does not delay the start.
        dev::remove_abandoned();
        if let Either::Left((ended, _)) = select(server, pin!(stop_requested)).await {
            ended?;
        }
        drop(handle.stop(false));
        // Requests in progress lose their database, which is of no interest any more.
        log::set_max_level(log::LevelFilter::Off);
        service.end();
        Ok(())
    };
    let outcome: io::Result<()> = actix_web::rt::System::new().block_on(serve);
    outcome.map_err(|error| match error.kind() {
        // A user of the seed is refused.
        io::ErrorKind::InvalidInput => {
            let file = args.seed.as_deref().unwrap_or(Path::new("seed"));
            Failure::bad_input(format!("{}: {error}", file.display()))
        }
        _ => error.to_string().into(),
    })
}

/// The settings: those of `tokenhouse dev`, then those of the command line.
fn vars(settings: Vec<(String, String)>) -> Result<BTreeMap<String, String>, Failure> {
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let mut vars: BTreeMap<_, _> = dev::SETTINGS.iter().copied().map(owned).collect();
    vars.extend(
        [
            (STATIC_KEY, random_key()?.as_str()),
            ("TOKENHOUSE_SECRET_KEY", random_key()?.as_str()),
            ("RUST_LOG", "warn"),
            ("TOKENHOUSE_DATABASE_POOL_SIZE", "4"),
            ("TOKENHOUSE_WORKERS", "2"),
        ]
        .map(owned),
    );
    vars.extend(std::env::var("RUST_LOG").map(|filter| ("RUST_LOG".to_owned(), filter)));
    vars.extend(settings);
    Ok(vars)
}

fn random_key() -> Result<String, Failure> {
    let token = generate_token().map_err(|error| error.to_string())?;
    Ok(token.expose().to_owned())
}

/// A URL at which the listener can be reached from this machine. It never has a name, which may stand
/// for an address of the other family.
fn url_of(listener: &TcpListener) -> io::Result<String> {
    let mut address = listener.local_addr()?;
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    Ok(format!("http://{address}"))
}

/// Completes when the process has to end: on a signal, or when a watching thread says so.
///
/// # Errors
/// When the signal handlers cannot be installed.
fn stop_requested(mut stopped: UnboundedReceiver<()>) -> io::Result<impl Future<Output = ()>> {
    let mut signals = Vec::new();
    for kind in [
        SignalKind::terminate(),
        SignalKind::interrupt(),
        SignalKind::hangup(),
    ] {
        let mut signal = signal(kind)?;
        signals.push(Box::pin(async move { signal.recv().await }));
    }
    Ok(async move {
        let received = select_all(signals);
        let stopped = pin!(stopped.recv());
        select(received, stopped).await;
    })
}

/// Watches for the end of the parent process. The system then gives this process another parent.
fn watch_parent(parent: Option<rustix::process::Pid>, stop: UnboundedSender<()>) -> io::Result<()> {
    let watch = move || {
        while rustix::process::getppid() == parent {
            thread::sleep(PARENT_INTERVAL);
        }
        // Fails when the process is ending already.
        let _ = stop.send(());
    };
    thread::Builder::new()
        .name("parent".to_owned())
        .spawn(watch)?;
    Ok(())
}

/// Watches for the end of standard input if that is a pipe or a socket, which ends with the program that
/// holds the other end. A terminal, a file and `/dev/null` say nothing about that program.
fn watch_input(stop: UnboundedSender<()>) -> io::Result<()> {
    let kind = rustix::fs::fstat(io::stdin()).map(|stat| FileType::from_raw_mode(stat.st_mode));
    if !matches!(kind, Ok(FileType::Fifo | FileType::Socket)) {
        return Ok(());
    }
    let watch = move || {
        // An error ends the input too.
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        let _ = stop.send(());
    };
    thread::Builder::new()
        .name("input".to_owned())
        .spawn(watch)?;
    Ok(())
}
