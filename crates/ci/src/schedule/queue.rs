//! Admission: which of the ready jobs starts now, within slots and memory. The live run and the simulation share it.

use super::demand::{Demand, Safety, Total};

/// The number of jobs that may overtake the first one that does not fit; after that, no job that could delay it may.
pub const MAX_PASSES: u32 = 64;

/// The ready jobs by rank, and the demand of running ones.
#[derive(Debug)]
pub(super) struct Queue {
    slots: usize,
    memory: u64,
    running: Vec<(usize, Demand)>,
    /// Slots of running jobs that take several, beyond their first.
    further: usize,
    /// Of all that run.
    demand: Total,
    /// The largest mean of those that run.
    largest: u64,
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
        let (running, demand, ready) = (Vec::new(), Total::default(), Smallest::new(ranks));
        Queue { slots, memory, running, further: 0, demand, largest: 0, ready, waiting: None }
    }

    /// A job is ready to start with this demand, whose mean must not be more than there is.
    pub(super) fn insert(&mut self, rank: usize, demand: Demand) {
        self.ready.set(rank, demand);
    }

    /// The same for many jobs at once.
    pub(super) fn insert_all(&mut self, jobs: impl Iterator<Item = (usize, Demand)>) {
        self.ready.set_all(jobs);
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
        self.occupy(rank, demand);
    }

    /// The best job that fits; the head of the queue is remembered when it does not.
    pub(super) fn peek(&mut self) -> Option<usize> {
        if self.running() >= self.slots {
            return None;
        }
        let kept = self.waiting.as_ref().filter(|waiting| waiting.passes >= MAX_PASSES);
        if self.running.is_empty() {
            return kept.map(|waiting| waiting.rank).or_else(|| self.ready.first());
        }
        let Some(waiting) = kept else {
            if self.waiting.is_none() {
                let first = self.ready.first()?;
                if self.fits(self.ready.get(first)) {
                    return Some(first);
                }
                self.waiting = Some(Waiting { rank: first, passes: 0, beside: Vec::new() });
            }
            return self.ready.find(|demand, is_job| self.may_fit(demand, is_job));
        };
        let demand = self.ready.get(waiting.rank);
        if self.fits(demand) {
            return Some(waiting.rank);
        }
        // Its room is reserved: a job that starts now must leave it memory and a slot.
        if waiting.beside.len() + 1 >= self.slots {
            return None;
        }
        let beside = waiting.beside.iter().map(|(_, demand)| *demand).collect::<Total>().with(demand);
        self.ready.find(|demand, is_job| {
            self.may_fit(demand, is_job) && beside.with(demand).fits(self.memory, Safety::most())
        })
    }

    /// The safety with which a job of that demand starts now.
    pub(super) fn safety(&self, demand: Demand) -> Safety {
        Safety::new(demand, self.largest)
    }

    /// `true` if a job of that demand fits beside what runs.
    fn fits(&self, demand: Demand) -> bool {
        self.demand.with(demand).fits(self.memory, self.safety(demand))
    }

    /// The same for a job; for the minima of several, whether one of them may.
    fn may_fit(&self, demand: Demand, is_job: bool) -> bool {
        let safety = if is_job { self.safety(demand) } else { Safety::least() };
        self.demand.with(demand).fits(self.memory, safety)
    }

    /// Counts a running job that was not chosen here.
    pub(super) fn occupy(&mut self, rank: usize, demand: Demand) {
        self.running.push((rank, demand));
        self.demand = self.demand.with(demand);
        self.largest = self.largest.max(demand.mean);
    }

    /// A running job is now expected to need that.
    pub(super) fn observe(&mut self, rank: usize, demand: Demand) {
        let Some(position) = self.position(rank) else { return };
        let before = std::mem::replace(&mut self.running[position].1, demand);
        self.demand = self.demand.without(before).with(demand);
        self.settle_largest(before, demand.mean);
        if let Some(waiting) = &mut self.waiting {
            waiting.beside.iter_mut().filter(|(other, _)| *other == rank).for_each(|(_, beside)| *beside = demand);
        }
    }

    /// Counts further slots of a running job.
    pub(super) fn occupy_slots(&mut self, slots: usize) {
        self.further += slots;
    }

    /// Frees further slots of a job that ended.
    pub(super) fn release_slots(&mut self, slots: usize) {
        self.further -= slots;
    }

    /// Frees the slot and the memory of a job that ended.
    pub(super) fn release(&mut self, rank: usize) {
        let Some(position) = self.position(rank) else { return };
        let (_, demand) = self.running.swap_remove(position);
        self.demand = self.demand.without(demand);
        self.settle_largest(demand, 0);
        if let Some(waiting) = &mut self.waiting {
            waiting.beside.retain(|(other, _)| *other != rank);
        }
    }

    /// Those that started last are mostly asked for.
    fn position(&self, rank: usize) -> Option<usize> {
        self.running.iter().rposition(|(other, _)| *other == rank)
    }

    fn settle_largest(&mut self, before: Demand, now: u64) {
        self.largest = if before.mean >= self.largest {
            self.running.iter().map(|(_, demand)| demand.mean).max().unwrap_or(0)
        } else {
            self.largest.max(now)
        };
    }

    /// Gives ready and waiting jobs other ranks: pairs of the rank before and after, of which both sides name the same
    /// ranks. Whoever waits for its room keeps its place.
    pub(super) fn renumber(&mut self, ranks: &[(usize, usize)]) {
        let demands: Vec<(usize, Demand)> = ranks.iter().map(|(from, to)| (*to, self.ready.get(*from))).collect();
        for (rank, demand) in demands {
            self.ready.set(rank, demand);
        }
        if let Some(waiting) = &mut self.waiting {
            let renumbered = ranks.iter().find(|(from, _)| *from == waiting.rank);
            waiting.rank = renumbered.map_or(waiting.rank, |(_, to)| *to);
        }
    }

    /// The number of slots that are taken.
    pub(super) fn running(&self) -> usize {
        self.running.len() + self.further
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
            let smaller = self.smaller(node);
            if self.nodes[node] == smaller {
                break;
            }
            self.nodes[node] = smaller;
        }
    }

    /// Sets many, and then makes each minimum once.
    fn set_all(&mut self, ranks: impl Iterator<Item = (usize, Demand)>) {
        for (rank, demand) in ranks {
            self.nodes[self.leaves + rank] = demand;
        }
        for node in (1..self.leaves).rev() {
            self.nodes[node] = self.smaller(node);
        }
    }

    /// The minima of the two nodes below.
    fn smaller(&self, node: usize) -> Demand {
        let (left, right) = (self.nodes[2 * node], self.nodes[2 * node + 1]);
        Demand { mean: left.mean.min(right.mean), deviation: left.deviation.min(right.deviation) }
    }

    /// The first rank with a job.
    fn first(&self) -> Option<usize> {
        self.find(|_, _| true)
    }

    /// The first rank for which `fits` holds, which is asked for a node's minima and `false`, or for a job's demand and
    /// `true`. If it does not hold for minima, it holds for no demand that is as large.
    fn find(&self, fits: impl Fn(Demand, bool) -> bool) -> Option<usize> {
        let mut node = 1;
        loop {
            let (demand, is_job) = (self.nodes[node], node >= self.leaves);
            // The minima of a node may be those of different ranks, so one below it need not fit.
            if demand != ABSENT && fits(demand, is_job) {
                if is_job {
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
        let found = |smallest: &Smallest, limit| smallest.find(|demand, _| demand.mean <= limit);
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
                queue.release(done);
            }
        }
        assert!(passed > MAX_PASSES as usize, "small jobs that leave it room go on: {passed}");
        queue.release(0);
        assert_eq!(queue.next(), Some(1), "{queue:?}");
    }

    #[test]
    fn a_rank_is_found_whose_mean_and_deviation_both_fit() {
        let mut smallest = Smallest::new(4);
        // The minima of the first two fit together, but neither of them does.
        for (rank, mean, deviation) in [(0, 10, 40), (1, 80, 0), (2, 30, 8), (3, 1, 1)] {
            smallest.set(rank, Demand { mean, deviation });
        }
        let found =
            |memory, others: Total| smallest.find(|demand, _| others.with(demand).fits(memory, Safety::least()));
        assert_eq!(found(50, Total::default()), Some(2));
        assert_eq!(found(50, Demand::fixed(45).into()), Some(3));
        assert_eq!(found(0, Total::default()), None);
    }

    /// Beside a job of 60, one of 40 ± 4 needs more room than beside one of 30, where it would be the victim itself.
    #[test]
    fn risk_is_taken_by_those_who_bear_it() {
        let fits = |memory, beside| {
            let mut queue = Queue::new(2, memory, 2);
            queue.occupy(0, Demand::fixed(beside));
            queue.insert(1, Demand { mean: 40, deviation: 4 });
            queue.peek().is_some()
        };
        assert_eq!(
            [(105, 60), (109, 60), (74, 30), (75, 30)].map(|(memory, beside)| fits(memory, beside)),
            [false, true, false, true]
        );
    }

    #[test]
    fn what_is_seen_of_running_jobs_frees_room_or_takes_it() {
        let mut queue = Queue::new(3, 100, 3);
        queue.occupy(0, Demand { mean: 70, deviation: 10 });
        queue.insert(1, Demand::fixed(30));
        assert_eq!(queue.peek(), None);
        queue.observe(0, Demand::fixed(71));
        assert_eq!(queue.peek(), None);
        queue.observe(0, Demand::fixed(65));
        assert_eq!(queue.next(), Some(1));
        assert_eq!(queue.reserved(), 95);
        queue.release(0);
        assert_eq!((queue.reserved(), queue.largest), (30, 30));
    }

    #[test]
    fn new_ranks_keep_demands_and_who_waits() {
        let mut queue = Queue::new(2, 100, 4);
        queue.insert(0, Demand::fixed(60));
        assert_eq!(queue.next(), Some(0));
        queue.insert(1, Demand::fixed(60));
        queue.insert(3, Demand::fixed(50));
        assert_eq!(queue.peek(), None);
        queue.renumber(&[(1, 3), (2, 1), (3, 2)]);
        assert_eq!(queue.waiting.as_ref().map(|waiting| waiting.rank), Some(3));
        queue.release(0);
        assert_eq!((queue.next(), queue.peek()), (Some(2), None));
    }
}
