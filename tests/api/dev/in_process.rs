//! `TestServer`, the same service in the process of a test.

use std::time::Duration;

use chrono::{DateTime, TimeDelta};
use tokenhouse::testing::{PASSWORD, TestServer};

use crate::harness::{Client, runtime};

fn client_of(server: &TestServer) -> Client {
    let address = server.url().strip_prefix("http://").unwrap();
    Client::new(address.parse().unwrap())
}

#[test]
fn server_in_the_process_has_users_a_clock_and_resets() {
    let (server, runtime) = (TestServer::start().unwrap(), runtime());
    let client = client_of(&server);
    let status = |token: &str| client.get("/users/me").bearer(token).send().status;
    let ada = server
        .user("ada@example.com")
        .scopes("users:read orders:read");
    let token = runtime.block_on(ada.token()).unwrap();
    assert_eq!(client.get("/admin/users").bearer(&token).send().status, 200);
    let form = [("username", "ada@example.com"), ("password", PASSWORD)];
    assert_eq!(client.post("/token").form(&form).send().status, 200);
    assert_eq!(status(&token), 401, "the new token has replaced it");

    let bob = server.user("bob@example.com");
    let token = runtime.block_on(bob.token()).unwrap();
    server
        .clock()
        .advance(TimeDelta::hours(24) - TimeDelta::microseconds(1));
    assert_eq!(status(&token), 200);
    server.clock().advance(TimeDelta::microseconds(1));
    assert_eq!(status(&token), 401);
    let past = DateTime::UNIX_EPOCH;
    runtime.block_on(server.set_clock(past, false)).unwrap();
    assert_eq!(server.clock().now(), past.naive_utc());
    assert_eq!(status(&token), 401, "going back revives nothing");

    let cid = server.user("cid@example.com");
    let key = runtime.block_on(cid.api_key()).unwrap();
    server.stop_database(Duration::from_secs(60));
    assert_eq!(status(&key), 503);
    runtime.block_on(server.reset()).unwrap();
    assert_eq!(status(&key), 401);
    let cid = server.user("cid@example.com");
    assert_eq!(status(&runtime.block_on(cid.token()).unwrap()), 200);
}

#[test]
fn server_in_the_process_has_no_control_routes_and_ends_with_its_value() {
    let server = TestServer::with_settings([("API_KEY_TOKEN", "a-static-key-for-tests")]).unwrap();
    let client = client_of(&server);
    let page = client
        .get("/page")
        .header("Token", "a-static-key-for-tests");
    assert_eq!(page.send().status, 200);
    assert_eq!(client.post("/_dev/reset").send().status, 404);
    drop(server);
    assert!(client.connect().is_err());
    let wrong = TestServer::with_settings([("TOKENHOUSE_WORKERS", "x")]);
    assert!(
        wrong
            .unwrap_err()
            .to_string()
            .contains("TOKENHOUSE_WORKERS")
    );
}
