//! The step that a command is at. On a terminal, its line says how long it has taken so far, until something else is printed.

use std::io::{IsTerminal as _, Write as _};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::units;

/// Steps that are shorter are printed without a duration.
const SHORT: Duration = Duration::from_secs(1);

/// A step whose line is the last on the terminal, without an end of the line.
struct Current {
    line: String,
    since: Instant,
}

static CURRENT: Mutex<Option<Current>> = Mutex::new(None);

/// Prints the line of a step.
pub(super) fn begin(line: String) {
    end();
    if !is_live() {
        write(&format!("{line}\n"));
        return;
    }
    start_clock();
    write(&first(&line));
    *CURRENT.lock().unwrap_or_else(PoisonError::into_inner) = Some(Current { line, since: Instant::now() });
}

/// Ends the line of the current step, before anything else is printed.
pub(super) fn end() {
    let current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(Current { line, since }) = current {
        write(&format!("{}\n", redrawn(&line, since.elapsed())));
    }
}

/// The line for the first time, cut at the edge of the terminal: a line that wraps could not be drawn over.
fn first(line: &str) -> String {
    format!("\x1b[?7l{line}\x1b[?7h")
}

/// The line again with the duration, from the beginning of its row. It must not wrap: the next one would begin a row below.
fn redrawn(line: &str, elapsed: Duration) -> String {
    let took = if elapsed < SHORT { String::new() } else { format!(" ({})", units::human(elapsed)) };
    format!("\r\x1b[?7l{line}{took}\x1b[K\x1b[?7h")
}

fn is_live() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("TERM").is_some_and(|term| term != "dumb")
}

/// Draws the line of the current step again each second, from a thread that ends with the process.
fn start_clock() {
    static CLOCK: OnceLock<Option<thread::JoinHandle<()>>> = OnceLock::new();
    CLOCK.get_or_init(|| {
        let tick = || loop {
            thread::sleep(SHORT);
            let current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(Current { line, since }) = &*current {
                write(&redrawn(line, Duration::from_secs(since.elapsed().as_secs())));
            }
        };
        // Without the thread, the line stays as it is.
        thread::Builder::new().name("clock".into()).spawn(tick).ok()
    });
}

fn write(text: &str) {
    let mut stderr = std::io::stderr().lock();
    // A terminal that is gone must not end Drydock.
    stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush()).ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_drawn_over_itself_and_never_wraps() {
        assert_eq!(first("== write"), "\x1b[?7l== write\x1b[?7h");
        let drawn = redrawn("== write", Duration::from_secs(75));
        assert_eq!(drawn, "\r\x1b[?7l== write (1m 15s)\x1b[K\x1b[?7h");
        assert_eq!(redrawn("== write", Duration::from_millis(20)), "\r\x1b[?7l== write\x1b[K\x1b[?7h");
    }
}
