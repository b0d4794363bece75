//! Limits per address: many names from one address, many addresses, and addresses behind a proxy.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::json;

use super::{LIMIT, accounts, accounts_with, fixed_clock, guess, sign_in, source, throttled};
use crate::harness::{Backend, Client, TestApp, concurrently, on_both_databases, size};

on_both_databases!(
    noisy_address_does_not_block_other_addresses,
    sprayed_names_use_no_memory_and_evict_no_counter,
    only_proxies_can_set_the_client_address,
    ipv6_64_prefix_counts_as_one_address,
    ipv6_48_prefix_has_ten_times_the_limit,
    registrations_per_ipv6_48_prefix_are_limited,
);

fn noisy_address_does_not_block_other_addresses(backend: Backend) {
    let app = throttled(backend)
        .setting("TOKENHOUSE_LIMIT_ADDRESS", "30")
        .start();
    let people: Vec<_> = (0..20)
        .map(|number| app.register(&format!("user{number}")))
        .collect();
    let guess_unknown_user = || {
        let name = format!("{:x}@example.com", rand::random::<u64>());
        let status = sign_in(&app.from([127, 6, 6, 6]), &name, "wrong password").status;
        assert!([401, 429, 503].contains(&status), "{status}");
        status
    };
    assert!((0..200).any(|_| guess_unknown_user() == 429));
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        let keep_guessing = || {
            while !is_done.load(Ordering::Relaxed) {
                guess_unknown_user();
            }
        };
        let attackers = [(); 4].map(|()| scope.spawn(keep_guessing));
        let statuses = concurrently(people.len(), 5 * people.len(), |number| {
            let person = &people[number % people.len()];
            let client = app.from(source(number % people.len()));
            guess(&client, &person.email, &person.password)
        });
        is_done.store(true, Ordering::Relaxed);
        for attackers in attackers {
            attackers.join().unwrap();
        }
        assert_eq!(statuses, [200; 100]);
    });
}

fn sprayed_names_use_no_memory_and_evict_no_counter(backend: Backend) {
    const WARM: usize = 50;
    let app = TestApp::start(backend);
    let victim = app.register("alice");
    let (process, server) = app.spawn_server_with(&[
        ("TOKENHOUSE_LIMITS", "on"),
        ("TOKENHOUSE_LIMIT_ADDRESS", "20"),
        ("TOKENHOUSE_SESSION_CACHE_MB", "0"),
    ]);
    for number in 0..LIMIT - 1 {
        let status = guess(
            &server.from(source(number)),
            &victim.email,
            "wrong password",
        );
        assert_eq!(status, 401);
    }
    let names = size("TOKENHOUSE_TEST_NAMES", 500);
    let spray = |number: usize| {
        let name = format!("{:x}@example.com", rand::random::<u64>());
        guess(
            &server.from(source(LIMIT + number / 10)),
            &name,
            "wrong password",
        )
    };
    concurrently(8, WARM, spray);
    let before = process.memory();
    let statuses = concurrently(8, names, |number| spray(WARM + number));
    let growth = process.memory().saturating_sub(before);
    println!("{names} names: {growth} bytes more");
    assert!(growth < 20 << 20, "{growth} bytes");
    assert!(statuses.iter().all(|status| *status == 401));
    assert_eq!(accounts(&app), 1 + i64::try_from(WARM + names).unwrap());

    assert_eq!(accounts_with(&app, LIMIT - 1), 1);
    assert_eq!(guess(&server, &victim.email, "wrong password"), 401);
    assert_eq!(guess(&server, &victim.email, &victim.password), 401);
}

const ADDRESS_LIMIT: usize = 5;

fn behind_proxy(backend: Backend) -> TestApp {
    throttled(backend)
        .clock(fixed_clock())
        .setting("TOKENHOUSE_LIMIT_ADDRESS", &ADDRESS_LIMIT.to_string())
        .setting("TOKENHOUSE_TRUSTED_PROXIES", "127.0.0.1, 127.9.0.0/16")
        .start()
}

fn sign_in_with(client: &Client, headers: &[(&str, String)]) -> u16 {
    let name = format!("{:x}@example.com", rand::random::<u64>());
    let request = headers
        .iter()
        .fold(client.post("/token"), |request, (name, value)| {
            request.header(name, value)
        });
    let form = [("username", name.as_str()), ("password", "wrong password")];
    request.form(&form).send().status
}

fn random_address() -> String {
    std::net::Ipv4Addr::from_bits(rand::random()).to_string()
}

/// Whether requests with these headers share the limit of one address.
fn share_one_limit(client: &Client, headers: impl Fn() -> Vec<(&'static str, String)>) -> bool {
    let statuses = (0..2 * ADDRESS_LIMIT).map(|_| sign_in_with(client, &headers()));
    let refused = statuses.filter(|status| *status == 429).count();
    assert!([0, ADDRESS_LIMIT].contains(&refused), "{refused}");
    refused > 0
}

fn only_proxies_can_set_the_client_address(backend: Backend) {
    let app = behind_proxy(backend);
    let forwarded = |value: String| vec![("X-Forwarded-For", value)];
    // A client that is not a proxy cannot set it.
    assert!(share_one_limit(&app.from(source(1)), || forwarded(
        random_address()
    )));
    // The proxy's own entry counts, not those before it.
    assert!(!share_one_limit(&app, || forwarded(random_address())));
    assert!(share_one_limit(&app, || forwarded(format!(
        "{}, 192.0.2.1",
        random_address()
    ))));
    assert!(share_one_limit(&app, || vec![
        ("X-Forwarded-For", random_address()),
        ("X-Forwarded-For", "192.0.2.2, 127.9.3.4".to_owned()),
    ]));
    // Other headers are ignored.
    assert!(share_one_limit(&app, || vec![
        ("X-Forwarded-For", "192.0.2.3".to_owned()),
        ("X-Real-IP", random_address()),
        ("Forwarded", format!("for={}", random_address())),
    ]));
    assert!(share_one_limit(&app, || vec![
        ("X-Real-IP", random_address()),
        ("Forwarded", format!("for={}", random_address())),
    ]));
    assert_eq!(guess(&app.from(source(2)), "nobody@example.com", "x"), 401);
}

fn ipv6_64_prefix_counts_as_one_address(backend: Backend) {
    let app = behind_proxy(backend);
    // The client chooses the lower 64 bits.
    let within = |network: &str| {
        let [a, b, c, d] = rand::random::<[u16; 4]>();
        let address = format!("{network}:{a:x}:{b:x}:{c:x}:{d:x}");
        vec![("X-Forwarded-For", address)]
    };
    assert!(share_one_limit(&app, || within("2001:db8:0:1")));
    assert!(share_one_limit(&app, || within("2001:db8:0:2")));
    assert!(!share_one_limit(&app, || {
        let [a, b] = rand::random::<[u16; 2]>();
        within(&format!("2001:db8:{a:x}:{b:x}"))
    }));
}

/// Providers assign whole /48 networks, each with 65,536 /64 networks.
fn ipv6_48_prefix_has_ten_times_the_limit(backend: Backend) {
    let app = behind_proxy(backend);
    let from = |subnet: usize| {
        let address = format!("2001:db8:7:{subnet:x}::1");
        sign_in_with(&app, &[("X-Forwarded-For", address)])
    };
    let statuses: Vec<u16> = (0..20 * ADDRESS_LIMIT).map(from).collect();
    let refused = statuses.iter().filter(|status| **status == 429).count();
    assert_eq!(refused, 10 * ADDRESS_LIMIT);
    assert!(!statuses[..10 * ADDRESS_LIMIT].contains(&429));
    let elsewhere = [("X-Forwarded-For", "2001:db8:8::1".to_owned())];
    assert_eq!(sign_in_with(&app, &elsewhere), 401);
}

fn registrations_per_ipv6_48_prefix_are_limited(backend: Backend) {
    let app = throttled(backend)
        .clock(fixed_clock())
        .setting("TOKENHOUSE_LIMIT_REGISTRATIONS", "1")
        .setting("TOKENHOUSE_TRUSTED_PROXIES", "127.0.0.1")
        .start();
    let register = |number: usize| {
        let form = json!({
            "name": "Alice Example", "surname": "", "website": "",
            "email": format!("alice{number}@example.com"), "password": "a passable phrase",
        });
        let request = app.post("/register").json(&form);
        let address = format!("2001:db8:7:{number:x}::1");
        request.header("X-Forwarded-For", address).send().status
    };
    let statuses: Vec<u16> = (0..12).map(register).collect();
    assert_eq!(statuses, [[201; 10].as_slice(), &[429; 2]].concat());
}
