//! Whose address counts when there is a proxy in front.

use serde_json::json;

use super::{guess, source, standing_clock, throttled};
use crate::harness::{Backend, Client, TestApp, on_both_databases};

on_both_databases!(
    nobody_but_a_proxy_can_choose_an_address,
    a_network_of_64_bits_is_one_address,
    a_network_of_48_bits_has_ten_times_the_budget,
    registrations_from_a_network_of_48_bits_are_limited,
);

const ADDRESS_LIMIT: usize = 5;

fn behind_proxy(backend: Backend) -> TestApp {
    throttled(backend)
        .clock(standing_clock())
        .setting("TOKENHOUSE_LIMIT_ADDRESS", &ADDRESS_LIMIT.to_string())
        .setting("TOKENHOUSE_TRUSTED_PROXIES", "127.0.0.1, 127.9.0.0/16")
        .start()
}

fn ask_with(client: &Client, headers: &[(&str, String)]) -> u16 {
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

/// Whether the budget of one address is used up by such requests.
fn share_one_budget(client: &Client, headers: impl Fn() -> Vec<(&'static str, String)>) -> bool {
    let statuses = (0..2 * ADDRESS_LIMIT).map(|_| ask_with(client, &headers()));
    let refused = statuses.filter(|status| *status == 429).count();
    assert!([0, ADDRESS_LIMIT].contains(&refused), "{refused}");
    refused > 0
}

fn nobody_but_a_proxy_can_choose_an_address(backend: Backend) {
    let app = behind_proxy(backend);
    let forwarded = |value: String| vec![("X-Forwarded-For", value)];
    // Not from a proxy.
    assert!(share_one_budget(&app.from(source(1)), || forwarded(
        random_address()
    )));
    // From one: what it has added counts, and not what was there.
    assert!(!share_one_budget(&app, || forwarded(random_address())));
    assert!(share_one_budget(&app, || forwarded(format!(
        "{}, 192.0.2.1",
        random_address()
    ))));
    assert!(share_one_budget(&app, || vec![
        ("X-Forwarded-For", random_address()),
        ("X-Forwarded-For", "192.0.2.2, 127.9.3.4".to_owned()),
    ]));
    // Only this header.
    assert!(share_one_budget(&app, || vec![
        ("X-Forwarded-For", "192.0.2.3".to_owned()),
        ("X-Real-IP", random_address()),
        ("Forwarded", format!("for={}", random_address())),
    ]));
    assert!(share_one_budget(&app, || vec![
        ("X-Real-IP", random_address()),
        ("Forwarded", format!("for={}", random_address())),
    ]));
    assert_eq!(guess(&app.from(source(2)), "nobody@example.com", "x"), 401);
}

fn a_network_of_64_bits_is_one_address(backend: Backend) {
    let app = behind_proxy(backend);
    // The lower 64 bits are the client's to choose.
    let within = |network: &str| {
        let [a, b, c, d] = rand::random::<[u16; 4]>();
        let address = format!("{network}:{a:x}:{b:x}:{c:x}:{d:x}");
        vec![("X-Forwarded-For", address)]
    };
    assert!(share_one_budget(&app, || within("2001:db8:0:1")));
    assert!(share_one_budget(&app, || within("2001:db8:0:2")));
    assert!(!share_one_budget(&app, || {
        let [a, b] = rand::random::<[u16; 2]>();
        within(&format!("2001:db8:{a:x}:{b:x}"))
    }));
}

/// A provider gives whole networks of 48 bits away, each of which has 65,536 of 64 bits.
fn a_network_of_48_bits_has_ten_times_the_budget(backend: Backend) {
    let app = behind_proxy(backend);
    let from = |subnet: usize| {
        let address = format!("2001:db8:7:{subnet:x}::1");
        ask_with(&app, &[("X-Forwarded-For", address)])
    };
    let statuses: Vec<u16> = (0..20 * ADDRESS_LIMIT).map(from).collect();
    let refused = statuses.iter().filter(|status| **status == 429).count();
    assert_eq!(refused, 10 * ADDRESS_LIMIT);
    assert!(!statuses[..10 * ADDRESS_LIMIT].contains(&429));
    let elsewhere = [("X-Forwarded-For", "2001:db8:8::1".to_owned())];
    assert_eq!(ask_with(&app, &elsewhere), 401);
}

fn registrations_from_a_network_of_48_bits_are_limited(backend: Backend) {
    let app = throttled(backend)
        .clock(standing_clock())
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
