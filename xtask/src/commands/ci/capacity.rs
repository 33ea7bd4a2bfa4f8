//! The slots and the memory that jobs may use at once, with the origin of the numbers.

use super::RunParameters;
use drydock_base::units::ByteSize;
use drydock_ci::capacity::{Capacity, MARGIN};
use drydock_ci::containment;
use drydock_ci::probe::host;

/// The memory, in bytes, if no limit can be read.
const FALLBACK: ByteSize = ByteSize::gib(2);
/// The most files that Drydock holds open for one running job: its output, its directory, its process, and the watch of
/// valgrind's logs.
const FILES_OF_A_JOB: u64 = 4;
/// The number of files that Drydock opens beside those of the jobs.
const FILES_OF_A_RUN: u64 = 40;

/// The flags, else the processors that this process may use, and the tightest of available memory and group limits, of which a
/// sixteenth stays free. No more jobs than the limit of open files suffices for: a job that cannot be started ends the run.
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
    let (slots, slots_source) = match most_jobs() {
        Some((most, limit)) if most < slots => (most, format!("limited by {limit} open files, instead of {slots}")),
        Some(_) | None => (slots, slots_source),
    };
    let (memory, memory_source) = match parameters.memory {
        Some(memory) => (memory.bytes(), "--memory".to_owned()),
        None => match rooms().into_iter().next() {
            Some((bytes, source)) => {
                (bytes - bytes / MARGIN, format!("15/16 of {} free by {source}", ByteSize::new(bytes)))
            }
            None => (FALLBACK.bytes(), "assumed, because no limit can be read".into()),
        },
    };
    Capacity { slots, slots_source, memory, memory_source }
}

/// The number of jobs that the limit of open files suffices for, and that limit (`ulimit -n`).
fn most_jobs() -> Option<(u32, u64)> {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current?;
    let open = std::fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as u64);
    Some((jobs_within(limit, open), limit))
}

fn jobs_within(limit: u64, open: u64) -> u32 {
    let jobs = limit.saturating_sub(open + FILES_OF_A_RUN) / FILES_OF_A_JOB;
    u32::try_from(jobs).unwrap_or(u32::MAX).max(1)
}

/// The bytes that each limit leaves now, the tightest first.
pub(super) fn rooms() -> Vec<(u64, String)> {
    let available = host::meminfo().available.map(|bytes| (bytes, "MemAvailable".to_owned()));
    let mut rooms: Vec<_> = available.into_iter().chain(containment::memory_room()).collect();
    rooms.sort_by_key(|(bytes, _)| *bytes);
    rooms
}

/// A warning for each number that exceeds the machine.
pub(super) fn warnings(parameters: &RunParameters, capacity: &Capacity) -> Vec<String> {
    let mut warnings = Vec::new();
    let most = most_jobs().zip(parameters.jobs).filter(|((most, _), jobs)| most < jobs);
    if let Some(((most, limit), jobs)) = most {
        warnings.push(format!(
            "{most} jobs at a time instead of {jobs}, since this process may have {limit} files open; raise `ulimit -n`"
        ));
    }
    if let Some((bytes, source)) = rooms().into_iter().next().filter(|(bytes, _)| capacity.memory > *bytes) {
        warnings.push(format!(
            "{} of memory may be reserved, but only {} can be used ({source}): jobs may be killed",
            ByteSize::new(capacity.memory),
            ByteSize::new(bytes)
        ));
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::jobs_within;

    #[test]
    fn the_limit_of_open_files_bounds_the_jobs() {
        for (limit, open, jobs) in
            [(1024, 4, 245), (256, 4, 53), (64, 4, 5), (48, 4, 1), (10, 20, 1), (u64::MAX, 4, u32::MAX)]
        {
            assert_eq!(jobs_within(limit, open), jobs, "{limit} {open}");
        }
    }
}
