//! Reads addresses, one JSON string a line, and prints for each what Tokenhouse makes of it:
//! `{"email": ...}` or `{"error": ...}`. `scripts/fuzz-email` compares this with pydantic.

use std::io::{self, BufRead, BufWriter, Write};

use serde_json::json;
use tokenhouse::email::EmailAddress;

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
