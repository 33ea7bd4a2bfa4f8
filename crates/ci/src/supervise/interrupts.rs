//! SIGINT and other stop signals as file descriptors that the loop can wait for.

use std::io::{self, Read as _};
use std::os::unix::net::UnixStream;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// The signals that stop a run.
#[derive(Debug)]
pub(super) struct Interrupts {
    pipes: Vec<(i32, UnixStream, signal_hook::SigId)>,
}

impl Interrupts {
    /// Takes the signals over for as long as the value lives.
    pub(super) fn new() -> io::Result<Interrupts> {
        let mut pipes = Vec::new();
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            let (read, write) = UnixStream::pair()?;
            read.set_nonblocking(true)?;
            write.set_nonblocking(true)?;
            let id = signal_hook::low_level::pipe::register(signal, write)?;
            pipes.push((signal, read, id));
        }
        Ok(Interrupts { pipes })
    }

    /// The descriptors to wait for.
    pub(super) fn descriptors(&self) -> impl Iterator<Item = &UnixStream> {
        self.pipes.iter().map(|(_, read, _)| read)
    }

    /// The signals that arrived since, each as often as it came.
    pub(super) fn take(&mut self) -> Vec<i32> {
        let mut signals = Vec::new();
        for (signal, read, _) in &mut self.pipes {
            let mut bytes = [0; 16];
            while let Ok(count) = read.read(&mut bytes) {
                if count == 0 {
                    break;
                }
                signals.extend(std::iter::repeat_n(*signal, count));
            }
        }
        signals
    }
}

impl Drop for Interrupts {
    fn drop(&mut self) {
        for (_, _, id) in &self.pipes {
            signal_hook::low_level::unregister(*id);
        }
    }
}
