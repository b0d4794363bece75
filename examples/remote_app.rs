//! An actix-web app without access to the users' database: its guards query a Tokenhouse server at
//! every request.
//!
//! ```text
//! TOKENHOUSE_URL=http://127.0.0.1:8000 TOKENHOUSE_CLIENT_KEY=tkh_… \
//!     cargo run --features remote --example remote_app 127.0.0.1:9000
//! ```
//!
//! The key is an API key with the scope `introspect`. With `TOKENHOUSE_STATIC_KEY` instead,
//! the app sends the server's static key. `TOKENHOUSE_STALENESS_MS` lets it reuse responses for a while.

use std::env;
use std::error::Error;
use std::time::Duration;

use actix_web::web::ServiceConfig;
use actix_web::{App, HttpServer, get};
use tokenhouse::remote::{ClientCredential, RemoteAuth, RemoteAuthenticated, RemoteAuthorized};

// A scope of this app. `tokenhouse user grant ada@example.com orders:read` grants it to a user.
tokenhouse::scope!(OrdersRead = "orders:read");

/// For authenticated users: with this parameter, the handler cannot run for other callers.
#[get("/notes")]
async fn notes(caller: RemoteAuthenticated) -> String {
    format!("The notes of {}\n", caller.user.email)
}

/// For users who hold the scope, with a token or key that has it.
#[get("/orders")]
async fn orders(caller: RemoteAuthorized<OrdersRead>) -> String {
    format!("The orders of {}\n", caller.user.email)
}

fn routes(app: &mut ServiceConfig) {
    app.service(notes).service(orders);
}

/// Reads the configuration from the environment.
fn remote_auth() -> Result<RemoteAuth, Box<dyn Error>> {
    let url = env::var("TOKENHOUSE_URL").unwrap_or_else(|_| "http://127.0.0.1:8000".to_owned());
    let credential = match env::var("TOKENHOUSE_STATIC_KEY") {
        Ok(key) => ClientCredential::static_key(&key),
        Err(_) => ClientCredential::api_key(&env::var("TOKENHOUSE_CLIENT_KEY")?),
    };
    let staleness = env::var("TOKENHOUSE_STALENESS_MS").unwrap_or_else(|_| "0".to_owned());
    let auth = RemoteAuth::builder(&url, credential)
        .timeout(Duration::from_secs(2))
        .max_staleness(Duration::from_millis(staleness.parse()?))
        .build()?;
    Ok(auth)
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // Logs why the server could not be reached.
    env_logger::init();
    let address = env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:9000".to_owned());
    let auth = remote_auth()?;
    let app = move || App::new().app_data(auth.clone()).configure(routes);
    let server = HttpServer::new(app).workers(2).bind(address)?;
    for address in server.addrs() {
        println!("http://{address}");
    }
    server.run().await?;
    Ok(())
}
