//! Identity headers forged by clients.

use rand::seq::IndexedRandom;
use rand::{Rng, RngExt};

use super::{Caller, FORGED, Guarded, IDENTITY};
use crate::harness::proxy::on_both_proxies;
use crate::harness::{Backend, Proxy, Request};

on_both_proxies!(
    forged_identities_never_reach_the_app,
    forged_identities_in_bodies_never_reach_the_app,
);

/// Characters allowed in header names besides letters, digits and the dash (RFC 9110 section 5.6.2).
const SEPARATORS: &[u8] = b"_.!#$%&'*+^`|~";

/// Number of requests with random header spellings, each with and without a credential.
const RANDOM_REQUESTS: usize = 600;

fn forged_identities_never_reach_the_app(proxy: Proxy) {
    let mut guarded = Guarded::start(proxy, Backend::Sqlite);
    let client = *guarded.proxy;
    let alice = guarded.register_reader("alice").sign_in();
    let bobby = guarded.tokenhouse.register("bobby").sign_in();
    let callers = [guarded.caller(&alice), guarded.caller(&bobby)];

    for headers in known_spellings() {
        let forge = || with_headers(client.get("/"), &headers);
        send_with_and_without_credential(&mut guarded, forge, &callers[1]);
    }
    let random = &mut rand::rng();
    for _ in 0..RANDOM_REQUESTS {
        let caller = callers.choose(random).unwrap();
        let path = ["/", "/reports/1"].choose(random).unwrap();
        let headers = (0..random.random_range(1..6))
            .map(|_| (spelling(random), FORGED.to_owned()))
            .collect();
        let forge = || with_headers(client.get(path), &headers);
        send_with_and_without_credential(&mut guarded, forge, caller);
    }
    // The rest was rejected as malformed or for a missing scope.
    assert!(guarded.tally.reached() > RANDOM_REQUESTS / 2);
}

/// Sends the request as this caller, and anonymously.
fn send_with_and_without_credential(
    guarded: &mut Guarded,
    forge: impl Fn() -> Request,
    caller: &Caller,
) {
    guarded.send(forge().bearer(&caller.credential), Some(caller));
    guarded.send(forge(), None);
}

/// Names and values of request headers.
type Headers = Vec<(String, String)>;

fn with_headers(request: Request, headers: &Headers) -> Request {
    headers.iter().fold(request, |request, (name, value)| {
        request.header(name, value)
    })
}

/// Spellings that have bypassed some proxy.
fn known_spellings() -> Vec<Headers> {
    let of_each = |name: &&str| {
        [
            spellings_of(name),
            listed_in_connection(name),
            malformed(name),
        ]
    };
    let all = IDENTITY.iter().flat_map(of_each).flatten();
    all.map(|headers| headers.into_iter().map(owned).collect())
        .collect()
}

fn owned((name, value): (String, &str)) -> (String, String) {
    (name, value.to_owned())
}

/// Case, underscores, and combinations of both.
fn spellings_of(name: &str) -> Vec<Vec<(String, &'static str)>> {
    let underscored = name.replace('-', "_");
    let alone = [
        name.to_owned(),
        name.to_lowercase(),
        name.to_uppercase(),
        underscored.clone(),
        underscored.to_uppercase(),
        name.replacen('-', "_", 1),
        name.replace('-', "."),
    ];
    let mut spellings: Vec<_> = alone.map(|name| vec![(name, FORGED)]).into();
    for other in [name, &underscored] {
        let twice = vec![(name.to_owned(), FORGED), (other.to_owned(), FORGED)];
        spellings.push(twice.iter().rev().cloned().collect());
        spellings.push(twice);
    }
    spellings
}

/// `Connection` lists headers of this hop: a proxy may drop its own headers listed there.
fn listed_in_connection(name: &str) -> Vec<Vec<(String, &'static str)>> {
    const NAMED: [&str; 8] = [
        "X-Auth-User-Id, X-Auth-Email, X-Auth-Name, X-Auth-Scopes, X-Auth-Method",
        "close, x-auth-email, x-auth-user-id",
        "keep-alive, X-AUTH-SCOPES",
        "upgrade, X-Auth-Name, X-Auth-Method",
        "X_Auth_Email",
        "Authorization, Token",
        "X-Forwarded-For, X-Forwarded-Host, Host",
        "Content-Length, Transfer-Encoding",
    ];
    let connection = || "Connection".to_owned();
    NAMED
        .map(|named| vec![(connection(), named), (name.to_owned(), FORGED)])
        .into()
}

/// Folded lines, bare carriage returns and line feeds, and invalid characters in names.
fn malformed(name: &str) -> Vec<Vec<(String, &'static str)>> {
    [
        (format!("A: b\n{name}"), FORGED),
        (format!("A: b\r{name}"), FORGED),
        // Folded into the previous value, which is harmless.
        (format!("A: b\r\n {name}"), "folded"),
        (format!("{name} "), FORGED),
        (format!("{name}\t"), FORGED),
        (format!(" {name}"), FORGED),
        (format!("{name}\0"), FORGED),
        (format!("\u{feff}{name}"), FORGED),
        (name.replace('-', "\u{2010}"), FORGED),
        (name.replace('-', " "), FORGED),
        (name.to_owned(), ""),
    ]
    .map(|header| vec![header])
    .into()
}

/// An identity header in random case, with random characters for some of its dashes.
fn spelling(random: &mut impl Rng) -> String {
    let name = IDENTITY.choose(random).unwrap();
    let separated = random.random_bool(0.7);
    name.chars()
        .map(|letter| match letter {
            '-' if separated && random.random_bool(0.7) => {
                char::from(*SEPARATORS.choose(random).unwrap())
            }
            letter if random.random_bool(0.5) => letter.to_ascii_uppercase(),
            letter => letter.to_ascii_lowercase(),
        })
        .collect()
}

/// Trailers, bodies that look like heads, and second requests in a body.
fn forged_identities_in_bodies_never_reach_the_app(proxy: Proxy) {
    let mut guarded = Guarded::start(proxy, Backend::Sqlite);
    let client = *guarded.proxy;
    let token = guarded.register_reader("alice").sign_in();
    let caller = guarded.caller(&token);
    for name in IDENTITY {
        let chunked = |declared: bool, trailer: &str| {
            let request = client
                .post("/")
                .header("Transfer-Encoding", "chunked")
                .raw_body(format!("3\r\nabc\r\n0\r\n{trailer}: {FORGED}\r\n\r\n"));
            match declared {
                true => request.header("Trailer", trailer),
                false => request,
            }
        };
        for trailer in [name, &name.replace('-', "_")] {
            for declared in [true, false] {
                send_with_and_without_credential(
                    &mut guarded,
                    || chunked(declared, trailer),
                    &caller,
                );
            }
        }
        // A request hidden behind conflicting lengths.
        let smuggled =
            format!("0\r\n\r\nGET /reports HTTP/1.1\r\nHost: a\r\n{name}: {FORGED}\r\n\r\n");
        let two_lengths = || {
            client
                .post("/")
                .header("Transfer-Encoding", "chunked")
                .body(smuggled.clone())
        };
        send_with_and_without_credential(&mut guarded, two_lengths, &caller);
        let obscured = || {
            client
                .post("/")
                .header("Transfer-Encoding", "xchunked")
                .body(smuggled.clone())
        };
        send_with_and_without_credential(&mut guarded, obscured, &caller);
    }
    assert!(guarded.tally.reached() >= 20);
}
