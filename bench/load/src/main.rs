//! A load for a server over HTTP/1.1: some requests at a steady pace, whether or not the server
//! keeps up, and for a while a flood of others beside them.
//!
//! `bench-load PLAN RESULT` reads the plan from one JSON file and writes what it saw to another.
//! It prints `started` when its clock starts.

mod connection;
mod flood;
mod paced;
mod plan;
mod report;

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use plan::Plan;
use report::Log;

/// Time to make the connections before anything is sent.
const LEAD: Duration = Duration::from_millis(200);

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next = move || arguments.next().ok_or("usage: bench-load PLAN RESULT");
    let plan: Plan = serde_json::from_slice(&fs::read(next()?)?)?;
    let result = next()?;
    let plan = Arc::new(plan);

    println!("started");
    let start = Instant::now() + LEAD;
    let mut clients: JoinSet<Log> = JoinSet::new();
    for load in &plan.paced {
        paced::spawn(&mut clients, &plan, load, start);
    }
    flood::spawn(&mut clients, &plan, start);
    let logs = clients.join_all().await;

    let report = report::summarise(&plan, logs);
    fs::write(result, serde_json::to_vec(&report)?)?;
    Ok(())
}
