//! Reads addresses, one JSON string per line, and prints `{"email": ...}` or `{"error": ...}` for
//! each. `scripts/fuzz-email.py` compares the output with pydantic's.

use std::io::{self, BufRead, BufWriter, Write};

use pydantic_email::EmailAddress;
use serde_json::json;

fn main() -> io::Result<()> {
    let mut output = BufWriter::new(io::stdout().lock());
    for line in io::stdin().lock().lines() {
        let text: String = serde_json::from_str(&line?)?;
        let answer = match EmailAddress::parse(&text) {
            Ok(address) => json!({ "email": address.to_string() }),
            Err(reason) => json!({ "error": reason.to_string() }),
        };
        writeln!(output, "{answer}")?;
    }
    output.flush()
}
