//! Somebody else's actix-web app behind Tokenhouse's guards: one `app_data`, and a parameter for
//! each handler that wants to know who calls.
//!
//! It shares the database of the service, so run both with the same `DATABASE_URL`:
//!
//! ```text
//! cargo run --example guarded_app 127.0.0.1:9000
//! ```

use actix_web::web::ServiceConfig;
use actix_web::{App, HttpServer, get};
use tokenhouse::{Auth, Authenticated, Config, MaybeAuthenticated, StaticKey};

/// For users only: there is no way to write this handler so that it runs for anybody else.
#[get("/notes")]
async fn notes(caller: Authenticated) -> String {
    format!("The notes of {}\n", caller.user.email)
}

/// For everybody, with a word for those who are in.
#[get("/")]
async fn home(MaybeAuthenticated(caller): MaybeAuthenticated) -> String {
    match caller {
        Some(caller) => format!("Welcome back, {}!\n", caller.user.name),
        None => "Welcome!\n".to_owned(),
    }
}

/// For whoever has the static key.
#[get("/report")]
async fn report(_key: StaticKey) -> &'static str {
    "All is well\n"
}

fn routes(app: &mut ServiceConfig) {
    app.service(notes).service(home).service(report);
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:9000".to_owned());
    let auth = Auth::open(&Config::from_env()?)?;
    let app = move || App::new().app_data(auth.clone()).configure(routes);
    let server = HttpServer::new(app).bind(address)?;
    for address in server.addrs() {
        println!("http://{address}");
    }
    server.run().await?;
    Ok(())
}
