//! Admission: which of the ready jobs starts now, within slots and memory. The live run and the simulation share it.

use super::demand::{Demand, Total};

/// The number of jobs that may overtake the first one that does not fit; after that, no job that could delay it may.
pub const MAX_PASSES: u32 = 32;

/// The ready jobs by rank, and the demand of running ones.
#[derive(Debug)]
pub(super) struct Queue {
    slots: usize,
    memory: u64,
    running: usize,
    demand: Total,
    ready: Smallest,
    waiting: Option<Waiting>,
}

/// The first job that was ready and did not fit.
#[derive(Debug)]
struct Waiting {
    rank: usize,
    passes: u32,
    /// The running jobs that passed it since its room is kept, with their demand. Together with it they fit, so it
    /// starts when those that ran before have ended, however many come after.
    beside: Vec<(usize, Demand)>,
}

impl Queue {
    /// An empty queue for so many ranks.
    pub(super) fn new(slots: u32, memory: u64, ranks: usize) -> Queue {
        let slots = (slots as usize).max(1);
        Queue { slots, memory, running: 0, demand: Total::default(), ready: Smallest::new(ranks), waiting: None }
    }

    /// A job is ready to start with this demand, whose mean must not be more than there is.
    pub(super) fn insert(&mut self, rank: usize, demand: Demand) {
        self.ready.set(rank, demand);
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
        self.ready.first().is_some()
    }

    /// The best ready job that fits, now running; the caller must start it.
    pub(super) fn next(&mut self) -> Option<usize> {
        let rank = self.peek()?;
        self.take(rank);
        Some(rank)
    }

    /// A job that [`Queue::peek`] named is started.
    pub(super) fn take(&mut self, rank: usize) {
        let demand = self.ready.get(rank);
        self.ready.clear(rank);
        match &mut self.waiting {
            Some(waiting) if waiting.rank == rank => self.waiting = None,
            Some(waiting) if waiting.passes >= MAX_PASSES => waiting.beside.push((rank, demand)),
            Some(waiting) => waiting.passes += 1,
            None => {}
        }
        self.occupy(demand);
    }

    /// The best job that fits; the head of the queue is remembered when it does not.
    pub(super) fn peek(&mut self) -> Option<usize> {
        if self.running >= self.slots {
            return None;
        }
        let first = self.ready.first()?;
        if self.running == 0 {
            // The job that waits longest; otherwise the first.
            return Some(self.waiting.as_ref().map_or(first, |waiting| waiting.rank));
        }
        let fits = |total: Total| total.fits(self.memory);
        let Some(waiting) = &self.waiting else {
            if fits(self.demand.with(self.ready.get(first))) {
                return Some(first);
            }
            self.waiting = Some(Waiting { rank: first, passes: 0, beside: Vec::new() });
            return self.ready.first_that_fits(self.memory, &[self.demand]);
        };
        let demand = self.ready.get(waiting.rank);
        if fits(self.demand.with(demand)) {
            return Some(waiting.rank);
        }
        if waiting.passes < MAX_PASSES {
            return self.ready.first_that_fits(self.memory, &[self.demand]);
        }
        // Its room is reserved: a job that starts now must leave it memory and a slot.
        if waiting.beside.len() + 1 >= self.slots {
            return None;
        }
        let beside: Total = waiting.beside.iter().map(|(_, demand)| *demand).collect();
        self.ready.first_that_fits(self.memory, &[self.demand, beside.with(demand)])
    }

    /// Counts a running job that was not chosen here.
    pub(super) fn occupy(&mut self, demand: Demand) {
        self.running += 1;
        self.demand = self.demand.with(demand);
    }

    /// Counts further slots of a running job.
    pub(super) fn occupy_slots(&mut self, slots: usize) {
        self.running += slots;
    }

    /// Frees further slots of a job that ended.
    pub(super) fn release_slots(&mut self, slots: usize) {
        self.running -= slots;
    }

    /// Frees the slot and the memory of a job that ended.
    pub(super) fn release(&mut self, rank: usize, demand: Demand) {
        self.running -= 1;
        self.demand = self.demand.without(demand);
        if let Some(waiting) = &mut self.waiting {
            waiting.beside.retain(|(other, _)| *other != rank);
        }
    }

    /// The number of slots that are taken.
    pub(super) fn running(&self) -> usize {
        self.running
    }

    /// Bytes reserved for running jobs together.
    pub(super) fn reserved(&self) -> u64 {
        self.demand.reservation()
    }
}

/// A tree of minima over ranks: finds the first rank whose demand fits beside others, mostly in logarithmic time.
#[derive(Debug)]
struct Smallest {
    leaves: usize,
    /// The least mean and the least standard deviation of the ranks below.
    nodes: Vec<Demand>,
}

/// No job.
const ABSENT: Demand = Demand { mean: u64::MAX, deviation: u64::MAX };

impl Smallest {
    fn new(ranks: usize) -> Smallest {
        let leaves = ranks.next_power_of_two();
        Smallest { leaves, nodes: vec![ABSENT; 2 * leaves] }
    }

    fn get(&self, rank: usize) -> Demand {
        self.nodes[self.leaves + rank]
    }

    fn clear(&mut self, rank: usize) {
        self.set(rank, ABSENT);
    }

    fn set(&mut self, rank: usize, demand: Demand) {
        let mut node = self.leaves + rank;
        self.nodes[node] = demand;
        while node > 1 {
            node /= 2;
            let (left, right) = (self.nodes[2 * node], self.nodes[2 * node + 1]);
            let smaller = Demand { mean: left.mean.min(right.mean), deviation: left.deviation.min(right.deviation) };
            if self.nodes[node] == smaller {
                break;
            }
            self.nodes[node] = smaller;
        }
    }

    /// The first rank with a job.
    fn first(&self) -> Option<usize> {
        self.search(&|demand| demand != ABSENT)
    }

    /// The first rank whose job fits beside each of the others.
    fn first_that_fits(&self, memory: u64, others: &[Total]) -> Option<usize> {
        self.search(&|demand| demand != ABSENT && others.iter().all(|total| total.with(demand).fits(memory)))
    }

    /// The first rank for which `fits` holds. If it does not hold for a demand, it holds for none that is larger.
    fn search(&self, fits: &dyn Fn(Demand) -> bool) -> Option<usize> {
        let mut node = 1;
        loop {
            // The minima of a node may be those of different ranks, so one below it need not fit.
            if fits(self.nodes[node]) {
                if node >= self.leaves {
                    return Some(node - self.leaves);
                }
                node *= 2;
                continue;
            }
            while node % 2 == 1 {
                if node == 1 {
                    return None;
                }
                node /= 2;
            }
            node += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rank_that_fits_is_found() {
        let mut smallest = Smallest::new(5);
        assert_eq!(smallest.first(), None);
        for (rank, value) in [(0, 9), (1, 4), (3, 4), (4, 1)] {
            smallest.set(rank, Demand::fixed(value));
        }
        let found = |smallest: &Smallest, limit| smallest.first_that_fits(limit, &[Total::default()]);
        assert_eq!([9, 4, 3, 0].map(|limit| found(&smallest, limit)), [Some(0), Some(1), Some(4), None]);
        smallest.clear(1);
        assert_eq!(found(&smallest, 4), Some(3));
    }

    /// The big job starts as soon as what ran before its room was kept has ended, although small ones go on passing.
    #[test]
    fn a_job_whose_room_is_kept_is_not_delayed() {
        let mut queue = Queue::new(3, 100, 1000);
        queue.insert(1, Demand::fixed(60));
        queue.insert(0, Demand::fixed(60));
        assert_eq!(queue.next(), Some(0));
        for rank in 2..200 {
            queue.insert(rank, Demand::fixed(20));
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
                queue.release(done, Demand::fixed(20));
            }
        }
        assert!(passed > MAX_PASSES as usize, "small jobs that leave it room go on: {passed}");
        queue.release(0, Demand::fixed(60));
        assert_eq!(queue.next(), Some(1), "{queue:?}");
    }

    #[test]
    fn a_rank_is_found_whose_mean_and_deviation_both_fit() {
        let mut smallest = Smallest::new(4);
        // The minima of the first two fit together, but neither of them does.
        for (rank, mean, deviation) in [(0, 10, 40), (1, 80, 0), (2, 30, 8), (3, 1, 1)] {
            smallest.set(rank, Demand { mean, deviation });
        }
        assert_eq!(smallest.first_that_fits(50, &[Total::default()]), Some(2));
        assert_eq!(smallest.first_that_fits(50, &[Total::default(), Demand::fixed(40).into()]), Some(3));
        assert_eq!(smallest.first_that_fits(0, &[Total::default()]), None);
    }
}
