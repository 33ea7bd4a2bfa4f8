//! Counters of the machine: `/proc/vmstat`, `/proc/meminfo`, `/proc/pressure/memory` (proc(5), PSI documentation).

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::time::{Duration, Instant};

use crate::evidence::Reading;

/// A rise of the counter counts as "around a death" if they are at most this far apart: a victim with much memory takes
/// a while
/// to go.
const AROUND: Duration = Duration::from_secs(2);

/// The machine's count of out-of-memory kills, followed over time.
#[derive(Debug)]
pub struct OomCounter {
    file: io::Result<File>,
    value: Reading<u64>,
    rises: VecDeque<(Instant, u64)>,
    buffer: Vec<u8>,
}

impl OomCounter {
    /// Opens `/proc/vmstat` and takes the first reading.
    pub fn open() -> OomCounter {
        let file = File::open("/proc/vmstat");
        let mut counter =
            OomCounter { file, value: Reading::Absent, rises: VecDeque::new(), buffer: vec![0; 32 << 10] };
        counter.update(Instant::now());
        counter
    }

    /// Reads the counter again. Returns `true` if it rose.
    pub fn update(&mut self, now: Instant) -> bool {
        let fresh = match &self.file {
            Err(error) => Reading::Unreadable(format!("/proc/vmstat: {error}")),
            Ok(file) => match read_again(file, &mut self.buffer) {
                Err(error) => Reading::Unreadable(format!("/proc/vmstat: {error}")),
                Ok(text) => field(text, b"oom_kill ").map_or_else(
                    || Reading::Unreadable("/proc/vmstat has no oom_kill; the kernel is older than 4.13".into()),
                    Reading::Read,
                ),
            },
        };
        let rise = self.value.get().zip(fresh.get()).map_or(0, |(before, after)| after.saturating_sub(*before));
        if rise > 0 {
            self.rises.push_back((now, rise));
        }
        if self.rises.len() > 4096 {
            self.rises.pop_front();
        }
        self.value = fresh;
        rise > 0
    }

    /// The last reading.
    pub fn value(&self) -> &Reading<u64> {
        &self.value
    }

    /// Its rise in the two seconds before `death` and the two after.
    pub fn around(&self, death: Instant) -> u64 {
        self.rises
            .iter()
            .filter(|(when, _)| *when + AROUND >= death && *when <= death + AROUND)
            .map(|(_, rise)| rise)
            .sum()
    }
}

/// Reads a proc file from its start into the buffer, in one call.
fn read_again<'buffer>(file: &File, buffer: &'buffer mut Vec<u8>) -> io::Result<&'buffer [u8]> {
    let mut length = 0;
    loop {
        let read = file.read_at(&mut buffer[length..], length as u64)?;
        length += read;
        if read == 0 || length < buffer.len() {
            return Ok(&buffer[..length]);
        }
        buffer.resize(buffer.len() * 2, 0);
    }
}

/// The number behind `name` at the start of a line.
fn field(text: &[u8], name: &[u8]) -> Option<u64> {
    let line = text.split(|byte| *byte == b'\n').find(|line| line.starts_with(name))?;
    std::str::from_utf8(&line[name.len()..]).ok()?.split_whitespace().next()?.parse().ok()
}

/// `MemAvailable` and `MemTotal` in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MemInfo {
    /// Bytes that can be used without swapping.
    pub available: Option<u64>,
    /// All bytes of the machine.
    pub total: Option<u64>,
}

/// Reads `/proc/meminfo`.
pub fn meminfo() -> MemInfo {
    std::fs::read("/proc/meminfo").map_or_else(|_| MemInfo::default(), |text| parse_meminfo(&text))
}

fn parse_meminfo(text: &[u8]) -> MemInfo {
    let kib = |name: &[u8]| field(text, name).map(|kib| kib.saturating_mul(1024));
    MemInfo { available: kib(b"MemAvailable:"), total: kib(b"MemTotal:") }
}

/// PSI `some avg10` of memory in percent, where the kernel has it: how much of the time a process waited for memory.
pub fn memory_pressure() -> Option<f64> {
    parse_pressure(&std::fs::read_to_string("/proc/pressure/memory").ok()?, "some ")
}

/// PSI `full avg10` of memory in percent: how much of the time all processes that could work waited for memory.
pub fn memory_stall() -> Option<f64> {
    parse_pressure(&std::fs::read_to_string("/proc/pressure/memory").ok()?, "full ")
}

fn parse_pressure(text: &str, which: &str) -> Option<f64> {
    let line = text.lines().find(|line| line.starts_with(which))?;
    line.split_whitespace().find_map(|word| word.strip_prefix("avg10="))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_fields_and_nothing_that_only_looks_like_them() {
        assert_eq!(field(b"oom_kill_x 3\noom_kill 7\n", b"oom_kill "), Some(7));
        assert_eq!(field(b"pgfault 1\n", b"oom_kill "), None);
        assert_eq!(
            parse_meminfo(b"MemTotal:       16 kB\nMemFree: 1 kB\nMemAvailable:    8 kB\n"),
            MemInfo { available: Some(8192), total: Some(16384) }
        );
        let pressure = "some avg10=1.25 avg60=0.00 avg300=0.00 total=5\nfull avg10=9 x";
        assert_eq!(parse_pressure(pressure, "some "), Some(1.25));
        assert_eq!(parse_pressure(pressure, "full "), Some(9.0));
        assert_eq!(parse_pressure("", "some "), None);
    }

    #[test]
    fn this_machine_has_the_counter() {
        let mut counter = OomCounter::open();
        counter.update(Instant::now());
        assert!(counter.value().get().is_some(), "{:?}", counter.value());
    }
}
