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
        write(&last(&line, since.elapsed()));
    }
}

/// The line for the first time, cut at the edge of the terminal: a line that wraps could not be drawn over.
fn first(line: &str) -> String {
    format!("\x1b[?7l{line}\x1b[?7h")
}

/// The line again with the duration, from the beginning of its row. It must not wrap: the next one would begin a row below. Where
/// both do not fit into the terminal's columns, the end of the line gives way to the duration.
fn redrawn(line: &str, elapsed: Duration, columns: Option<usize>) -> String {
    let mut took = duration(elapsed);
    let room = columns.map(|columns| columns.saturating_sub(took.chars().count()));
    if let Some(room) = room.filter(|room| !took.is_empty() && visible(line) > *room) {
        // The column is absolute ("cursor character absolute", ECMA-48, 8.3.9).
        took = format!("\x1b[{}G…{took}", room.max(1));
    }
    format!("\r\x1b[?7l{line}{took}\x1b[K\x1b[?7h")
}

/// The line for the last time: whole, as nothing is drawn over it any more.
fn last(line: &str, elapsed: Duration) -> String {
    format!("\r{line}{}\x1b[K\n", duration(elapsed))
}

fn duration(elapsed: Duration) -> String {
    if elapsed < SHORT { String::new() } else { format!(" ({})", units::human(elapsed)) }
}

/// The number of characters of a line without its colours.
fn visible(line: &str) -> usize {
    let parts = line.split("\x1b[").enumerate();
    parts
        .map(|(at, part)| {
            if at == 0 { part } else { part.split_once('m').map_or("", |(_, text)| text) }.chars().count()
        })
        .sum()
}

/// The columns of the terminal behind a stream; none if that is not a terminal, or does not say.
pub(super) fn columns(stream: impl std::os::fd::AsFd) -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(stream).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
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
                write(&redrawn(line, Duration::from_secs(since.elapsed().as_secs()), columns(std::io::stderr())));
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
        let (short, long) = (Duration::from_millis(20), Duration::from_secs(75));
        assert_eq!(redrawn("== write", short, Some(80)), "\r\x1b[?7l== write\x1b[K\x1b[?7h");
        for columns in [None, Some(17)] {
            assert_eq!(redrawn("== write", long, columns), "\r\x1b[?7l== write (1m 15s)\x1b[K\x1b[?7h");
        }
    }

    #[test]
    fn a_line_that_is_too_long_gives_way_to_its_duration_until_it_is_the_last_one() {
        let (line, long) = ("\x1b[1m== \x1b[0mwrite", Duration::from_secs(75));
        assert_eq!(redrawn(line, long, Some(16)), format!("\r\x1b[?7l{line}\x1b[7G… (1m 15s)\x1b[K\x1b[?7h"));
        assert_eq!(last(line, long), format!("\r{line} (1m 15s)\x1b[K\n"));
    }
}
