//! One process with the service and the app's own routes: `/auth/register`, `/auth/token` and the others
//! next to `/notes`, on one database.
//!
//! ```text
//! API_KEY_TOKEN=change-me-static-key cargo run --example whole_app 127.0.0.1:9000
//! ```

use actix_web::{App, HttpServer, get, web};
use tokenhouse::{Auth, Authenticated, Config, Worker, http};

/// For users who have signed in at `/auth/token`.
#[get("/notes")]
async fn notes(caller: Authenticated) -> String {
    format!("The notes of {}\n", caller.user.email)
}

/// For all callers.
#[get("/")]
async fn home() -> &'static str {
    "Welcome!\n"
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:9000".to_owned());
    let config = Config::from_env()?;
    let auth = Auth::open(&config)?;
    let _worker = Worker::start(&auth)?;
    let app = move || {
        let service = http::configure(&auth, &config.server);
        App::new()
            // For the guards of the app's own routes.
            .app_data(auth.clone())
            .app_data(config.server.trusted_proxies.clone())
            .service(web::scope("/auth").configure(service))
            .service(notes)
            .service(home)
    };
    let server = HttpServer::new(app).bind(address)?;
    for address in server.addrs() {
        println!("http://{address}");
    }
    server.run().await?;
    Ok(())
}
