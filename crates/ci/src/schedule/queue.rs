//! Admission: which of the ready jobs starts now, within slots and memory. The live run and the simulation share it.

/// The number of jobs that may overtake the first one that does not fit; after that, no job that could delay it may.
pub const MAX_PASSES: u32 = 32;

/// The ready jobs by rank, and the reservations of running ones.
#[derive(Debug)]
pub(super) struct Queue {
    slots: usize,
    memory: u64,
    running: usize,
    reserved: u64,
    ready: Smallest,
    waiting: Option<Waiting>,
}

/// The first job that was ready and did not fit.
#[derive(Debug)]
struct Waiting {
    rank: usize,
    passes: u32,
    /// The running jobs that passed it since its room is kept, with their memory. Together with it they fit, so it
    /// starts when those that ran before have ended, however many come after.
    beside: Vec<(usize, u64)>,
}

impl Queue {
    /// An empty queue for so many ranks.
    pub(super) fn new(slots: u32, memory: u64, ranks: usize) -> Queue {
        let slots = (slots as usize).max(1);
        Queue { slots, memory, running: 0, reserved: 0, ready: Smallest::new(ranks), waiting: None }
    }

    /// A job is ready to start with this much memory, which must not be more than there is.
    pub(super) fn insert(&mut self, rank: usize, memory: u64) {
        self.ready.set(rank, memory);
    }

    /// A ready job is not to start any more.
    pub(super) fn remove(&mut self, rank: usize) {
        self.ready.clear(rank);
        if self.waiting.as_ref().is_some_and(|waiting| waiting.rank == rank) {
            self.waiting = None;
        }
    }

    /// `true` if a job is ready.
    pub(super) fn has_ready(&self) -> bool {
        self.ready.first_at_most(u64::MAX - 1).is_some()
    }

    /// The best ready job that fits, now running; the caller must start it.
    pub(super) fn next(&mut self) -> Option<usize> {
        let rank = self.peek()?;
        self.take(rank);
        Some(rank)
    }

    /// A job that [`Queue::peek`] named is started.
    pub(super) fn take(&mut self, rank: usize) {
        let memory = self.ready.get(rank);
        self.ready.clear(rank);
        match &mut self.waiting {
            Some(waiting) if waiting.rank == rank => self.waiting = None,
            Some(waiting) if waiting.passes >= MAX_PASSES => waiting.beside.push((rank, memory)),
            Some(waiting) => waiting.passes += 1,
            None => {}
        }
        self.occupy(memory);
    }

    /// The best job that fits; the head of the queue is remembered when it does not.
    pub(super) fn peek(&mut self) -> Option<usize> {
        if self.running >= self.slots {
            return None;
        }
        let free = self.memory.saturating_sub(self.reserved);
        let first = self.ready.first_at_most(u64::MAX - 1)?;
        if self.running == 0 {
            // The job that waits longest; otherwise the first.
            return Some(self.waiting.as_ref().map_or(first, |waiting| waiting.rank));
        }
        let Some(waiting) = &self.waiting else {
            if self.ready.get(first) <= free {
                return Some(first);
            }
            self.waiting = Some(Waiting { rank: first, passes: 0, beside: Vec::new() });
            return self.ready.first_at_most(free);
        };
        if self.ready.get(waiting.rank) <= free {
            return Some(waiting.rank);
        }
        if waiting.passes < MAX_PASSES {
            return self.ready.first_at_most(free);
        }
        // Its room is reserved: a job that starts now must leave it memory and a slot.
        if waiting.beside.len() + 1 >= self.slots {
            return None;
        }
        let beside: u64 = waiting.beside.iter().map(|(_, memory)| memory).sum();
        let room = self.memory.saturating_sub(self.ready.get(waiting.rank)).saturating_sub(beside);
        self.ready.first_at_most(free.min(room))
    }

    /// Counts a running job that was not chosen here.
    pub(super) fn occupy(&mut self, memory: u64) {
        self.running += 1;
        self.reserved = self.reserved.saturating_add(memory);
    }

    /// Frees the slot and the memory of a job that ended.
    pub(super) fn release(&mut self, rank: usize, memory: u64) {
        self.running -= 1;
        self.reserved = self.reserved.saturating_sub(memory);
        if let Some(waiting) = &mut self.waiting {
            waiting.beside.retain(|(other, _)| *other != rank);
        }
    }

    /// The number of running jobs.
    pub(super) fn running(&self) -> usize {
        self.running
    }

    /// Bytes reserved for running jobs.
    pub(super) fn reserved(&self) -> u64 {
        self.reserved
    }
}

/// A tree of minima over ranks: finds the first rank with at most so much memory in logarithmic time.
#[derive(Debug)]
struct Smallest {
    leaves: usize,
    nodes: Vec<u64>,
}

/// No job.
const ABSENT: u64 = u64::MAX;

impl Smallest {
    fn new(ranks: usize) -> Smallest {
        let leaves = ranks.next_power_of_two();
        Smallest { leaves, nodes: vec![ABSENT; 2 * leaves] }
    }

    fn get(&self, rank: usize) -> u64 {
        self.nodes[self.leaves + rank]
    }

    fn clear(&mut self, rank: usize) {
        self.set(rank, ABSENT);
    }

    fn set(&mut self, rank: usize, value: u64) {
        let mut node = self.leaves + rank;
        self.nodes[node] = value;
        while node > 1 {
            node /= 2;
            let smaller = self.nodes[2 * node].min(self.nodes[2 * node + 1]);
            if self.nodes[node] == smaller {
                break;
            }
            self.nodes[node] = smaller;
        }
    }

    fn first_at_most(&self, limit: u64) -> Option<usize> {
        if self.nodes[1] > limit {
            return None;
        }
        let mut node = 1;
        while node < self.leaves {
            node *= 2;
            if self.nodes[node] > limit {
                node += 1;
            }
        }
        Some(node - self.leaves)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rank_that_fits_is_found() {
        let mut smallest = Smallest::new(5);
        assert_eq!(smallest.first_at_most(u64::MAX - 1), None);
        for (rank, value) in [(0, 9), (1, 4), (3, 4), (4, 1)] {
            smallest.set(rank, value);
        }
        let found = |smallest: &Smallest, limit| smallest.first_at_most(limit);
        assert_eq!([9, 4, 3, 0].map(|limit| found(&smallest, limit)), [Some(0), Some(1), Some(4), None]);
        smallest.clear(1);
        assert_eq!(found(&smallest, 4), Some(3));
    }

    /// The big job starts as soon as what ran before its room was kept has ended, although small ones go on passing.
    #[test]
    fn a_job_whose_room_is_kept_is_not_delayed() {
        let mut queue = Queue::new(3, 100, 1000);
        queue.insert(1, 60);
        queue.insert(0, 60);
        assert_eq!(queue.next(), Some(0));
        for rank in 2..200 {
            queue.insert(rank, 20);
        }
        let mut small: Vec<usize> = Vec::new();
        let mut passed = 0;
        // Small jobs come and go beside the first, which goes on.
        for _ in 0..100 {
            while let Some(rank) = queue.next() {
                assert_ne!(rank, 1, "it does not fit while the first runs");
                small.push(rank);
                passed += 1;
            }
            if let Some(done) = small.pop() {
                queue.release(done, 20);
            }
        }
        assert!(passed > MAX_PASSES as usize, "small jobs that leave it room go on: {passed}");
        queue.release(0, 60);
        assert_eq!(queue.next(), Some(1), "{queue:?}");
    }
}
