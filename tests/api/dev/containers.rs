//! `tokenhouse dev` in one container, and the tests in another one or on the machine with a published
//! port: network namespaces are what separates containers.

use std::fs::File;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::process::Command;
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::json;

use super::{Dev, program};
use crate::harness::{Client, text};

const KEY: &str = "a-key-of-the-test-runner";
const SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const RUNNER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

/// Two networks that are connected by a cable. Dropping them removes both.
struct Networks {
    server: String,
    runner: String,
}

impl Networks {
    /// `None` if this user may not create networks.
    fn create() -> Option<Self> {
        let id: u32 = rand::random();
        let networks = Self {
            server: format!("th-{id:08x}-s"),
            runner: format!("th-{id:08x}-r"),
        };
        let Self { server, runner } = &networks;
        if !ip(&["netns", "add", server]) || !ip(&["netns", "add", runner]) {
            return None;
        }
        let cable = ["link", "add", "eth0", "netns", server, "type", "veth"];
        let other_end = ["peer", "name", "eth0", "netns", runner];
        assert!(ip(&[&cable[..], &other_end].concat()));
        for (name, address) in [(server, SERVER), (runner, RUNNER)] {
            let address = format!("{address}/24");
            assert!(ip(&["-n", name, "address", "add", &address, "dev", "eth0"]));
            assert!(ip(&["-n", name, "link", "set", "eth0", "up"]));
            assert!(ip(&["-n", name, "link", "set", "lo", "up"]));
        }
        Some(networks)
    }

    /// Starts the server as a container does: in a network of its own, as process 1.
    fn start(&self, arguments: &[&str]) -> Dev {
        let mut command = Command::new("ip");
        command.args([
            "netns",
            "exec",
            &self.server,
            "unshare",
            "--pid",
            "--fork",
            "--kill-child",
        ]);
        let program = program();
        command.arg(program.get_program()).args(program.get_args());
        Dev::spawn(command.args(arguments))
    }

    /// Calls `work` on a thread in the network of the tests.
    fn as_runner<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let network = File::open(format!("/run/netns/{}", self.runner)).unwrap();
        let enter = || {
            move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            work()
        };
        thread::scope(|scope| scope.spawn(enter).join().unwrap())
    }
}

impl Drop for Networks {
    fn drop(&mut self) {
        ip(&["netns", "delete", &self.server]);
        ip(&["netns", "delete", &self.runner]);
    }
}

/// Whether the command succeeds.
fn ip(arguments: &[&str]) -> bool {
    let status = Command::new("ip").args(arguments).status();
    status.is_ok_and(|status| status.success())
}

/// Publishes a server at a port of 127.0.0.1, as Docker does, for one connection after the other.
fn publish(server: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let published = listener.local_addr().unwrap();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let server = TcpStream::connect(server).unwrap();
            let (mut requests, mut to_server) =
                (client.try_clone().unwrap(), server.try_clone().unwrap());
            thread::spawn(move || io::copy(&mut requests, &mut to_server));
            let _ = io::copy(&mut &server, &mut &client);
        }
    });
    published
}

/// What the tests of an app do, at an address that is not the announced one.
fn use_server(at: SocketAddr, email: &str) {
    let client = Client::new(at);
    let control = |key: &str, path: &str| {
        let request = client.post(path).bearer(key);
        request.json(&json!({ "email": email })).send()
    };
    for path in ["/_dev/users", "/_dev/sign-in"] {
        assert_eq!(
            client
                .post(path)
                .json(&json!({ "email": email }))
                .send()
                .status,
            401
        );
        assert_eq!(control("another-key-of-nobody", path).status, 401, "{path}");
    }
    assert_eq!(control(KEY, "/_dev/users").status, 201);
    let token = text(&control(KEY, "/_dev/sign-in").json()["access_token"]);
    assert_eq!(client.get("/users/me").bearer(&token).send().status, 200);
}

#[test]
fn server_in_a_container_is_used_from_another_one_and_by_a_published_port() {
    let listen = ["--listen", "0.0.0.0:8000", "--control-key", KEY];
    let Some(networks) = Networks::create() else {
        eprintln!("no right to create networks: tested at another address of this machine instead");
        let dev = Dev::start(&["--listen", "0.0.0.0:0", "--control-key", KEY]);
        let mut address = dev.client.address();
        address.set_ip(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2)));
        return use_server(address, "ada@example.com");
    };
    let dev = networks.start(&listen);
    assert_eq!(dev.line["pid"], 1);
    let address = SocketAddr::from((SERVER, 8000));
    networks.as_runner(|| {
        use_server(address, "ada@example.com");
        use_server(publish(address), "bob@example.com");
    });
    // The rule of the subcommand: without an address of its own, only the container itself reaches it.
    let private = networks.start(&[]);
    let address = SocketAddr::from((SERVER, private.client.address().port()));
    networks.as_runner(|| {
        let refused = TcpStream::connect(address).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    });
}
