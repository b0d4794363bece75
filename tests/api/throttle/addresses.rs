//! Many names from one address, and many addresses.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::{LIMIT, accounts, accounts_with, ask, guess, source, throttled};
use crate::harness::{Backend, TestApp, concurrently, on_both_databases, size};

on_both_databases!(
    a_noisy_address_keeps_nobody_else_out,
    a_spray_of_names_fills_no_memory_and_frees_no_counter,
);

fn a_noisy_address_keeps_nobody_else_out(backend: Backend) {
    let app = throttled(backend)
        .setting("TOKENHOUSE_LIMIT_ADDRESS", "30")
        .start();
    let people: Vec<_> = (0..20)
        .map(|number| app.register(&format!("user{number}")))
        .collect();
    let make_noise = || {
        let name = format!("{:x}@example.com", rand::random::<u64>());
        let status = ask(&app.from([127, 6, 6, 6]), &name, "wrong password").status;
        assert!([401, 429, 503].contains(&status), "{status}");
        status
    };
    assert!((0..200).any(|_| make_noise() == 429));
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let noise = || {
            while !is_over.load(Ordering::Relaxed) {
                make_noise();
            }
        };
        let noisy = [(); 4].map(|()| scope.spawn(noise));
        let statuses = concurrently(people.len(), 5 * people.len(), |number| {
            let person = &people[number % people.len()];
            let client = app.from(source(number % people.len()));
            guess(&client, &person.email, &person.password)
        });
        is_over.store(true, Ordering::Relaxed);
        for noisy in noisy {
            noisy.join().unwrap();
        }
        assert_eq!(statuses, [200; 100]);
    });
}

fn a_spray_of_names_fills_no_memory_and_frees_no_counter(backend: Backend) {
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
    let grown = process.memory().saturating_sub(before);
    println!("{names} names: {grown} bytes more");
    assert!(grown < 20 << 20, "{grown} bytes");
    assert!(statuses.iter().all(|status| *status == 401));
    assert_eq!(accounts(&app), 1 + i64::try_from(WARM + names).unwrap());

    assert_eq!(accounts_with(&app, LIMIT - 1), 1);
    assert_eq!(guess(&server, &victim.email, "wrong password"), 401);
    assert_eq!(guess(&server, &victim.email, &victim.password), 401);
}
