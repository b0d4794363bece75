//! Limits per account and per address: many names from one address, many addresses, and addresses
//! behind a proxy.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use chrono::TimeDelta;
use rand::seq::IndexedRandom;
use serde_json::json;

use super::{LIMIT, accounts, accounts_with, fixed_clock, guess, sign_in, source, throttled};
use crate::harness::{
    Backend, Client, Person, StopOnDrop, TestApp, concurrently, on_both_databases, size,
};
use crate::pages::browser::Browser;

on_both_databases!(
    number_of_compared_guesses_is_limited,
    concurrent_guesses_are_counted_before_comparison,
    all_spellings_and_routes_share_one_limit,
    account_opens_after_the_wait,
    success_resets_the_failures,
    right_password_never_counts_as_a_failure,
    noisy_address_does_not_block_other_addresses,
    sprayed_names_use_no_memory_and_evict_no_counter,
    only_proxies_can_set_the_client_address,
    ipv6_64_prefix_counts_as_one_address,
    ipv6_48_prefix_has_ten_times_the_limit,
    registrations_per_ipv6_48_prefix_are_limited,
);

/// The number of failures that locks accounts in other systems (NIST SP 800-63B section 3.2.2).
const MANY: usize = 110;

fn number_of_compared_guesses_is_limited(backend: Backend) {
    let clock = fixed_clock();
    let app = throttled(backend).clock(clock.clone()).start();
    let alice = app.register("alice");
    let wrong = |number: usize| {
        let client = app.from(source(number));
        assert_eq!(guess(&client, &alice.email, "wrong password"), 401);
    };
    concurrently(64, size("TOKENHOUSE_TEST_GUESSES", 320), wrong);
    assert_eq!(accounts_with(&app, LIMIT), 1);
    for failures in LIMIT + 1..=MANY {
        let client = app.from(source(failures));
        assert_eq!(guess(&client, &alice.email, &alice.password), 401);
        clock.advance(TimeDelta::hours(1));
        concurrently(3, 3, wrong);
        assert_eq!(accounts_with(&app, failures), 1, "{failures}");
    }
    // An hour later it is open to all addresses again.
    clock.advance(TimeDelta::hours(1));
    assert_eq!(guess(&app, &alice.email, &alice.password), 200);
}

/// One guess in 200 is right, and ten are compared: the right one is among them with probability 1/20.
fn concurrent_guesses_are_counted_before_comparison(backend: Backend) {
    const GUESSES: usize = 200;
    let app = throttled(backend).clock(fixed_clock()).start();
    let alice = app.register("alice");
    let rounds = size("TOKENHOUSE_TEST_ROUNDS", 5);
    let hits = AtomicUsize::new(0);
    for round in 0..rounds {
        app.database().execute("DELETE FROM login_failures");
        let right = rand::random_range(0..GUESSES);
        let statuses = concurrently(GUESSES, GUESSES, |number| {
            let password = if number == right {
                alice.password.as_str()
            } else {
                "wrong password"
            };
            guess(&app.from(source(round)), &alice.email, password)
        });
        match statuses.iter().filter(|status| **status == 200).count() {
            0 => assert_eq!(accounts_with(&app, LIMIT), 1),
            _ => _ = hits.fetch_add(1, Ordering::Relaxed),
        }
        assert!(statuses.iter().all(|status| [200, 401].contains(status)));
    }
    let hits = hits.into_inner();
    println!("{hits} of {rounds} rounds found the password");
    assert!(hits <= rounds / 5 + 3, "{hits} of {rounds} rounds");
}

/// The address in another spelling.
fn respell(email: &str) -> String {
    let mut spelling: String = email
        .chars()
        .map(|c| match (c, rand::random_range(0..3)) {
            ('a'..='z', 0) => c.to_ascii_uppercase(),
            // The same letters in full width: NFKC maps them to ASCII.
            ('a'..='z', 1) => char::from_u32(u32::from(c) + 0xfee0).unwrap(),
            _ => c,
        })
        .collect();
    for around in [" ", "\t"] {
        if rand::random_bool(0.2) {
            spelling = format!("{around}{spelling}{around}");
        }
    }
    if rand::random_bool(0.2) {
        spelling = format!("Some User <{}>", spelling.trim());
    }
    spelling
}

/// Tries a password for an address or with a token, and returns the status.
type Attempt = fn(&Client, &str, &str, &str) -> u16;

/// The ways to try a password: three routes, and the pages for signing in and up.
const ATTEMPTS: [Attempt; 5] = [
    |client, email, _token, password| guess(client, &respell(email), password),
    |client, _email, token, password| {
        let change = json!({ "current_password": password, "new_password": "a passable phrase" });
        let request = client.post("/users/me/password").bearer(token);
        request.json(&change).send().status
    },
    |client, _email, token, password| {
        let deletion = json!({ "current_password": password });
        let request = client.request("DELETE", "/users/me").bearer(token);
        request.json(&deletion).send().status
    },
    |client, email, _token, password| {
        let email = respell(email);
        let fields = [("email", email.as_str()), ("password", password)];
        Browser::new(client).post("/signin", &fields).status
    },
    |client, email, _token, password| {
        let fields = [
            ("name", "Alice Again"),
            ("email", email),
            ("password", password),
        ];
        Browser::new(client).post("/signup", &fields).status
    },
];

fn all_spellings_and_routes_share_one_limit(backend: Backend) {
    let app = throttled(backend).clock(fixed_clock()).start();
    let alice = app.register("alice");
    let token = alice.sign_in();
    app.database().execute("DELETE FROM login_failures");
    let statuses = concurrently(8, size("TOKENHOUSE_TEST_SPELLINGS", 150), |number| {
        let attempt = ATTEMPTS.choose(&mut rand::rng()).unwrap();
        attempt(
            &app.from(source(number)),
            &alice.email,
            &token,
            "wrong password",
        )
    });
    assert!(
        statuses
            .iter()
            .all(|status| [401, 403, 409].contains(status))
    );
    assert_eq!((accounts(&app), accounts_with(&app, LIMIT)), (1, 1));
    let right = ATTEMPTS.map(|attempt| attempt(&app, &alice.email, &token, &alice.password));
    assert_eq!(right, [401, 403, 403, 401, 409]);
}

fn fail(app: &Client, alice: &Person, times: usize) {
    for _ in 0..times {
        assert_eq!(guess(app, &alice.email, "wrong password"), 401);
    }
}

fn account_opens_after_the_wait(backend: Backend) {
    let clock = fixed_clock();
    let app = throttled(backend).clock(clock.clone()).start();
    let alice = app.register("alice");
    fail(&app, &alice, LIMIT);
    for seconds in [30, 60] {
        clock.advance(TimeDelta::seconds(seconds) - TimeDelta::microseconds(1));
        assert_eq!(guess(&app, &alice.email, &alice.password), 401);
        clock.advance(TimeDelta::microseconds(1));
        fail(&app, &alice, 1);
    }
    clock.advance(TimeDelta::seconds(120));
    assert_eq!(guess(&app, &alice.email, &alice.password), 200);
}

fn success_resets_the_failures(backend: Backend) {
    let app = throttled(backend).clock(fixed_clock()).start();
    let alice = app.register("alice");
    for number in 0..3 {
        // All of these addresses are unknown.
        fail(&app.from(source(2 * number)), &alice, LIMIT - 1);
        let owner = app.from(source(2 * number + 1));
        assert_eq!(guess(&owner, &alice.email, &alice.password), 200);
        assert_eq!(accounts_with(&app, 0), 1);
    }
}

/// The request is refused for another reason than the password.
fn right_password_never_counts_as_a_failure(backend: Backend) {
    let app = throttled(backend).clock(fixed_clock()).start();
    let (alice, bob) = (app.register("alice"), app.register("bobby"));
    let request_missing_scope = |client: &Client, person: &Person| {
        let fields = [
            ("username", person.email.as_str()),
            ("password", &person.password),
            ("scope", "users:write"),
        ];
        client.post("/token").form(&fields).send().status
    };
    for number in 0..=LIMIT {
        assert_eq!(
            request_missing_scope(&app.from(source(number)), &alice),
            400
        );
    }
    assert_eq!(guess(&app, &alice.email, &alice.password), 200);

    let token = bob.sign_in();
    let change = |app: &TestApp, new: &str| {
        let change = json!({ "current_password": bob.password, "new_password": new });
        let request = app.from(source(99)).post("/users/me/password");
        request.bearer(&token).json(&change).send().status
    };
    for _ in 0..=LIMIT {
        assert_eq!(change(&app, "password123"), 422);
    }
    assert_eq!(change(&app, "a passable phrase"), 204);
    assert_eq!(sign_in(&app, &bob.email, "a passable phrase").status, 200);
}

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
        let stop = StopOnDrop(&is_done);
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
        drop(stop);
        for attacker in attackers {
            attacker.join().unwrap();
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
