//! An actix-web app with Tokenhouse's guards: one `app_data`, and a parameter for each handler that
//! needs the caller.
//!
//! It shares the database of the service, so run both with the same `DATABASE_URL`. `remote_app.rs`
//! shows an app without access to the database.
//!
//! ```text
//! cargo run --example guarded_app 127.0.0.1:9000
//! ```

use actix_web::web::ServiceConfig;
use actix_web::{App, HttpServer, get, post};
use tokenhouse::{
    Auth, Authenticated, Authorized, Config, Fresh, MaybeAuthenticated, SecondFactor, StaticKey,
    Worker,
};

// A scope of this app. `tokenhouse user grant ada@example.com orders:read` grants it to a user.
tokenhouse::scope!(OrdersRead = "orders:read");

/// For authenticated users: with this parameter, the handler cannot run for other callers.
#[get("/notes")]
async fn notes(caller: Authenticated) -> String {
    format!("The notes of {}\n", caller.user.email)
}

/// For users who hold the scope, with a token or key that has it.
#[get("/orders")]
async fn orders(caller: Authorized<OrdersRead>) -> String {
    format!("The orders of {}\n", caller.user.email)
}

/// For all callers; greets authenticated users by name.
#[get("/")]
async fn home(MaybeAuthenticated(caller): MaybeAuthenticated) -> String {
    match caller {
        Some(caller) => format!("Welcome back, {}!\n", caller.user.name),
        None => "Welcome!\n".to_owned(),
    }
}

/// For callers with the static key.
#[get("/report")]
async fn report(_key: StaticKey) -> &'static str {
    "All is well\n"
}

/// For users who have signed in with a second factor (RFC 9470).
#[post("/refunds")]
async fn refund(caller: SecondFactor) -> String {
    format!("Refunded by {}\n", caller.user.email)
}

/// For users who have signed in at most five minutes ago.
#[post("/account")]
async fn close_account(caller: Fresh<300>) -> String {
    format!("Closed the account of {}\n", caller.user.email)
}

fn routes(app: &mut ServiceConfig) {
    app.service(notes)
        .service(orders)
        .service(refund)
        .service(close_account)
        .service(home)
        .service(report);
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:9000".to_owned());
    let auth = Auth::open(&Config::from_env()?)?;
    let _worker = Worker::start(&auth)?;
    let app = move || App::new().app_data(auth.clone()).configure(routes);
    let server = HttpServer::new(app).bind(address)?;
    for address in server.addrs() {
        println!("http://{address}");
    }
    server.run().await?;
    Ok(())
}
