//! What more slots than processors do to the times of jobs.

/// The wall time in milliseconds that an attempt would have taken if its processes had never waited for a processor; an
/// estimate that is at most the measured wall time.
///
/// While `slots` jobs share `cores` processors, a process waits at most `slots / cores - 1` times as long as it computes.
/// So that share of its CPU time is subtracted; the rest of the wall time was spent asleep, or at work. A job is never
/// quicker than its CPU time, unless it had several threads: then the wall time is kept.
pub fn uncontended(wall_ms: u64, cpu_ms: Option<u64>, cores: u32, slots: u32) -> u64 {
    let (cores, slots) = (u64::from(cores.max(1)), u64::from(slots));
    let Some(cpu_ms) = cpu_ms.filter(|_| slots > cores) else { return wall_ms };
    let waited = cpu_ms.saturating_mul(slots - cores) / cores;
    wall_ms.saturating_sub(waited).max(cpu_ms.min(wall_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_jobs_that_compute_wait_for_processors() {
        for (wall, cpu, cores, slots, expected) in [
            (2000, Some(1000), 2, 4, 1000), // twice as many jobs as processors
            (1000, Some(1000), 2, 4, 1000), // it had a processor all the time
            (2000, Some(10), 2, 4, 1990),   // asleep
            (2000, Some(500), 2, 4, 1500),  // asleep half of the time
            (1000, Some(2000), 2, 4, 1000), // two threads
            (2000, Some(1000), 2, 2, 2000), // as many slots as processors
            (2000, Some(1000), 4, 2, 2000),
            (2000, None, 2, 8, 2000),
        ] {
            assert_eq!(uncontended(wall, cpu, cores, slots), expected, "{wall} {cpu:?} {cores} {slots}");
        }
    }
}
