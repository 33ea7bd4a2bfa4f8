//! Prints the causes of the errors in memcheck's XML logs: `cargo run --example causes -- LOG.xml…`

use std::error::Error;
use std::path::Path;

use drydock_valgrind::cause::{Reported, causes};
use drydock_valgrind::finding::Finding;
use drydock_valgrind::xml;

/// At most this many bytes of a log are read.
const MOST_BYTES: u64 = 64 << 20;

#[expect(clippy::print_stdout, reason = "it is what the example is for")]
fn main() -> Result<(), Box<dyn Error>> {
    let mut findings = Vec::new();
    for (process, file) in std::env::args().skip(1).enumerate() {
        let (log, _) = xml::read(Path::new(&file), MOST_BYTES)?;
        findings.extend(log.errors.into_iter().map(|error| (process, Finding::new(error))));
    }
    let reported = findings.iter().map(|(job, finding)| Reported { job: *job, tool: "memcheck", finding });
    for cause in causes(reported) {
        println!("{}  {} in {} logs, {} times", cause.id, cause.title(), cause.jobs().len(), cause.count());
    }
    Ok(())
}
