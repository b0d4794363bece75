//! A transaction that is refused leaves nothing behind, whatever it has written before.

use tokenhouse::store::{Credential, Revoking, Store, StoreError};
use tokenhouse::{Auth, Error};

use crate::harness::{Backend, TestApp, on_both_databases};
use crate::resilience::config;

on_both_databases!(
    refusal_rolls_back_what_was_written_before,
    refusal_is_not_held_against_the_right_password,
);

/// Why a transaction of a test is refused.
#[derive(Debug)]
enum Refusal {
    OnPurpose,
    Store(#[expect(dead_code, reason = "shown when a test fails")] StoreError),
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

fn refusal_rolls_back_what_was_written_before(backend: Backend) {
    let app = TestApp::start(backend);
    let token = app.register("alice").sign_in();
    let config = config(&app);
    let store = Store::open(&config.database).unwrap();
    let auth = Auth::open(&config).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        let principal = auth.check_token(token.as_bytes()).await.unwrap();
        let Credential::LoginToken(stored) = &principal.credential else {
            panic!("not a login token");
        };
        let refused = stored.clone();
        let refused = store.revoking(move |tx: &mut Revoking<'_>| {
            assert!(refused.revoke(tx).unwrap());
            Err::<(), _>(Refusal::OnPurpose)
        });
        assert!(matches!(refused.await, Err(Refusal::OnPurpose)));
        assert!(auth.check_token(token.as_bytes()).await.is_ok());
        assert_eq!(app.status("/users/me", &token), 200);
        let revoked = stored.clone();
        let revoked = store.revoking(move |tx| Ok::<_, Refusal>(revoked.revoke(tx).unwrap()));
        assert!(revoked.await.unwrap());
        let outcome = auth.check_token(token.as_bytes()).await;
        assert!(matches!(outcome, Err(Error::InvalidToken)), "{outcome:?}");
        assert_eq!(app.status("/users/me", &token), 401);
    });
}

fn refusal_is_not_held_against_the_right_password(backend: Backend) {
    let app = TestApp::start(backend);
    let admin = app.register_with("admin", "users:write");
    let token = admin.sign_in();
    // The last administrator has to stay: refused after the password was found right.
    for _ in 0..3 {
        let deletion = serde_json::json!({ "current_password": admin.password });
        let request = app.request("DELETE", "/users/me");
        let answer = request.bearer(&token).json(&deletion).send();
        assert_eq!(answer.status, 409);
    }
    let held = "login_failures WHERE failures > 0 OR under_way > 0";
    assert_eq!(app.database().count(held), 0);
    assert_eq!(
        app.database()
            .count("audit_events WHERE action = 'user.delete'"),
        0
    );
}
