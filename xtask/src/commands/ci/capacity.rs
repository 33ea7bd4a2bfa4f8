//! The slots and the memory that jobs may use at once, with the origin of the numbers.

use super::RunParameters;
use drydock_base::units::ByteSize;
use drydock_ci::capacity::{Capacity, MARGIN};
use drydock_ci::containment;
use drydock_ci::probe::host;

/// The memory, in bytes, if no limit can be read.
const FALLBACK: ByteSize = ByteSize::gib(2);

/// The flags, else the processors that this process may use, and the tightest of available memory and group limits,
/// less a sixteenth.
pub(super) fn find(parameters: &RunParameters) -> Capacity {
    let (slots, slots_source) = match parameters.jobs {
        Some(jobs) => (jobs, "--jobs".to_owned()),
        // The number respects the affinity mask and the CPU quota of cgroups.
        None => match std::thread::available_parallelism() {
            Ok(count) => {
                (u32::try_from(count.get()).unwrap_or(u32::MAX), "processors that this process may use".into())
            }
            Err(_) => (1, "the number of processors is unknown".into()),
        },
    };
    let (memory, memory_source) = match parameters.memory {
        Some(memory) => (memory.bytes(), "--memory".to_owned()),
        None => match rooms().into_iter().next() {
            Some((bytes, source)) => {
                (bytes - bytes / MARGIN, format!("{} free by {source}, less a sixteenth", ByteSize::new(bytes)))
            }
            None => (FALLBACK.bytes(), "assumed, because no limit can be read".into()),
        },
    };
    Capacity { slots, slots_source, memory, memory_source }
}

/// The bytes that each limit leaves now, the tightest first.
pub(super) fn rooms() -> Vec<(u64, String)> {
    let available = host::meminfo().available.map(|bytes| (bytes, "MemAvailable".to_owned()));
    let mut rooms: Vec<_> = available.into_iter().chain(containment::memory_room()).collect();
    rooms.sort_by_key(|(bytes, _)| *bytes);
    rooms
}

/// A warning for each number that exceeds the machine.
pub(super) fn warning(capacity: &Capacity) -> Option<String> {
    let (bytes, source) = rooms().into_iter().next()?;
    (capacity.memory > bytes).then(|| {
        format!(
            "{} of memory may be reserved, but only {} can be used ({source}): jobs may be killed",
            ByteSize::new(capacity.memory),
            ByteSize::new(bytes)
        )
    })
}
