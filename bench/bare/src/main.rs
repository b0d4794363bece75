//! The baseline of the benchmarks: an actix-web server that responds to `GET /users/me` with fixed
//! bytes and checks nothing.
//!
//! `bench-bare PORT WORKERS BODY`

use actix_web::web::{self, Bytes, Data};
use actix_web::{App, HttpResponse, HttpServer};

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next = move || {
        arguments
            .next()
            .ok_or("usage: bench-bare PORT WORKERS BODY")
    };
    let port: u16 = next()?.parse()?;
    let workers: usize = next()?.parse()?;
    let body = Data::new(Bytes::from(next()?));
    let app = move || {
        App::new()
            .app_data(body.clone())
            .route("/users/me", web::get().to(respond))
    };
    HttpServer::new(app)
        .workers(workers)
        .bind(("127.0.0.1", port))?
        .run()
        .await?;
    Ok(())
}

async fn respond(body: Data<Bytes>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/json")
        // The headers of Tokenhouse, so that the responses have the same size.
        .insert_header(("x-request-id", "0123456789abcdef0123456789abcdef"))
        .insert_header(("x-content-type-options", "nosniff"))
        .insert_header(("cache-control", "no-store"))
        .insert_header(("referrer-policy", "no-referrer"))
        .insert_header(("content-security-policy", "frame-ancestors 'none'"))
        .body(Bytes::clone(&body))
}
