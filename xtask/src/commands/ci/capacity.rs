//! What the jobs may use at once, and where the numbers come from.

use crate::ci::containment;
use crate::ci::probe::host;
use crate::ci::schedule::Capacity;
use crate::cli::RunOptions;
use crate::config::units::ByteSize;

/// When nothing can be read.
const FALLBACK: ByteSize = ByteSize::gib(2);

/// The flags, else the processors that this process may use, and the tightest of available memory and group limits,
/// less a tenth.
pub(super) fn find(options: &RunOptions) -> Capacity {
    let (slots, slots_source) = match options.jobs {
        Some(jobs) => (jobs, "--jobs".to_owned()),
        None => match std::thread::available_parallelism() {
            Ok(count) => {
                (u32::try_from(count.get()).unwrap_or(u32::MAX), "processors that this process may use".into())
            }
            Err(_) => (1, "the number of processors cannot be told".into()),
        },
    };
    let (memory, memory_source) = match options.memory {
        Some(memory) => (memory.bytes(), "--memory".to_owned()),
        None => match room() {
            Some((bytes, source)) => (bytes - bytes / 10, format!("{source} less a tenth")),
            None => (FALLBACK.bytes(), "nothing can be read, so a guess".into()),
        },
    };
    Capacity { slots, slots_source, memory, memory_source }
}

/// What can be used now, and the limit that says so.
fn room() -> Option<(u64, String)> {
    let available = host::meminfo().available.map(|bytes| (bytes, "MemAvailable".to_owned()));
    available.into_iter().chain(containment::memory_room()).min_by_key(|(bytes, _)| *bytes)
}

/// Says when more was asked for than there is.
pub(super) fn warning(capacity: &Capacity) -> Option<String> {
    let (bytes, source) = room()?;
    (capacity.memory > bytes).then(|| {
        format!(
            "{} of memory may be reserved, but only {} can be used ({source}): jobs may be killed",
            ByteSize::new(capacity.memory),
            ByteSize::new(bytes)
        )
    })
}
