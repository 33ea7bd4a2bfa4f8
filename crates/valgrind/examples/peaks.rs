//! Prints the peak of massif's files and who allocated it: `cargo run --example peaks -- massif.out.PID…`

use std::error::Error;
use std::path::Path;

use drydock_valgrind::massif::{Profile, Site, Wrappers, sites};

/// The number of sites that are shown.
const MOST_SITES: usize = 5;

#[expect(clippy::print_stdout, reason = "it is what the example is for")]
fn main() -> Result<(), Box<dyn Error>> {
    let wrappers = Wrappers::new([]);
    for file in std::env::args().skip(1) {
        let profile = Profile::open(Path::new(&file))?;
        println!("{file}: {} bytes at the peak of {}", profile.peak().measured(), profile.command());
        for site in sites(&profile, &wrappers, MOST_SITES).iter().map(Site::line) {
            println!("  {site}");
        }
    }
    Ok(())
}
