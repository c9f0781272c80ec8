//! Writes an audit log of as many records as asked for, to try `waypost usage` with:
//!
//! ```text
//! cargo run --release --example audit_log -- 1000000 > audit.log
//! target/release/waypost usage audit.log --by tenant,model --chart
//! ```

use std::io::{self, ErrorKind, Write as _};

#[path = "../tests/support/audit.rs"]
mod audit;

fn main() -> io::Result<()> {
    let count = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(1_000);
    let mut out = io::BufWriter::with_capacity(1 << 20, io::stdout().lock());
    let mut line = String::new();
    for number in 0..count {
        line.clear();
        audit::write(number, count, &mut line);
        match out.write_all(line.as_bytes()) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
            written => written?,
        }
    }
    out.flush()
}
