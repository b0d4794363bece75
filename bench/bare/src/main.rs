//! The baselines of the benchmarks.
//!
//! `bench-bare serve PORT WORKERS BODY` runs an actix-web server that responds to `GET /users/me` with
//! fixed bytes and checks nothing.
//!
//! `bench-bare hash COST SECONDS` computes bcrypt hashes with crate `bcrypt` on one thread for that
//! long and prints the median time in milliseconds.

use std::error::Error;
use std::time::{Duration, Instant};

use actix_web::web::{self, Bytes, Data};
use actix_web::{App, HttpResponse, HttpServer};

const USAGE: &str = "usage: bench-bare serve PORT WORKERS BODY, or bench-bare hash COST SECONDS";

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["serve", port, workers, body] => {
            let body = Bytes::copy_from_slice(body.as_bytes());
            serve(port.parse()?, workers.parse()?, body)
        }
        ["hash", cost, seconds] => {
            let duration = Duration::from_secs_f64(seconds.parse()?);
            println!("{:.3}", median_hash_time(cost.parse()?, duration)?);
            Ok(())
        }
        _ => Err(USAGE.into()),
    }
}

#[actix_web::main]
async fn serve(port: u16, workers: usize, body: Bytes) -> Result<(), Box<dyn Error>> {
    let body = Data::new(body);
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

fn median_hash_time(cost: u32, duration: Duration) -> Result<f64, Box<dyn Error>> {
    let started = Instant::now();
    let mut times = Vec::new();
    while started.elapsed() < duration || times.is_empty() {
        let hash_start = Instant::now();
        let digest = bcrypt::bcrypt(cost, [7; 16], b"mulberry-Tram-71");
        times.push(hash_start.elapsed());
        std::hint::black_box(digest);
    }
    times.sort_unstable();
    let median = times
        .get(times.len() / 2)
        .ok_or("no hash finished in time")?;
    Ok(median.as_secs_f64() * 1_000.0)
}
