//! What waits for a hash thread, in turns by network, and how long that will take.

use std::collections::{BTreeMap, HashMap, VecDeque};

use tokio::sync::oneshot;

use super::job_state::JobState;
use crate::network::Network;
use crate::password::computation::{Computation, Digest};
use crate::password::{Cost, Verification};

/// Something for a hash thread to do.
pub(super) enum Work {
    /// A bcrypt, and what becomes of its digest.
    Bcrypt(Computation, Reply),
    /// Anything else.
    Call(Box<dyn FnOnce() + Send>),
}

/// What becomes of a digest.
pub(super) enum Reply {
    /// It goes to the caller.
    Digest(oneshot::Sender<Digest>),
    /// It is compared, and the caller is told whether it matches.
    Verdict(Verification, oneshot::Sender<bool>),
}

/// Work, and whether it is still wanted.
struct Job {
    work: Work,
    state: JobState,
}

/// What a thread takes at a time.
pub(super) enum Batch {
    /// Bcrypts of equal cost, [`Computation::TOGETHER`] at most.
    Bcrypt(Vec<(Computation, Reply)>),
    Call(Box<dyn FnOnce() + Send>),
}

/// Work by network, each network's in the order in which it came. Networks take turns, so that one that
/// sends much waits for itself and not others for it.
#[derive(Default)]
pub(super) struct Queue {
    /// No queue in it is empty.
    waiting: HashMap<Network, VecDeque<Job>>,
    /// The networks that have work waiting, the next one first.
    turns: VecDeque<Network>,
    /// Batches that threads are busy with.
    pub(super) running: usize,
    pub(super) closed: bool,
}

impl Work {
    /// The cost of a bcrypt; other work has none.
    pub(super) fn cost(&self) -> Option<Cost> {
        match self {
            Self::Bcrypt(computation, _) => Some(computation.cost()),
            Self::Call(_) => None,
        }
    }
}

impl Queue {
    /// How much waits.
    pub(super) fn len(&self) -> usize {
        self.waiting.values().map(VecDeque::len).sum()
    }

    pub(super) fn push(&mut self, network: Network, work: Work, state: JobState) {
        let own = self.waiting.entry(network).or_default();
        if own.is_empty() {
            self.turns.push_back(network);
        }
        own.push_back(Job { work, state });
    }

    /// The next work that is still wanted; with a bcrypt, those of equal cost that wait too.
    /// It is never held back for company: there is some, or it is taken alone.
    pub(super) fn take(&mut self) -> Option<Batch> {
        let (first, reply) = match self.take_one(None)? {
            Work::Call(call) => return Some(Batch::Call(call)),
            Work::Bcrypt(computation, reply) => (computation, reply),
        };
        let cost = first.cost();
        let mut together = vec![(first, reply)];
        while together.len() < Computation::TOGETHER
            && let Some(Work::Bcrypt(computation, reply)) = self.take_one(Some(cost))
        {
            together.push((computation, reply));
        }
        Some(Batch::Bcrypt(together))
    }

    /// The first work that is still wanted, bcrypts of this `cost` only if one is given, of the first
    /// network that has such work. It is the last one's turn then.
    fn take_one(&mut self, cost: Option<Cost>) -> Option<Work> {
        let mut turn = 0;
        while let Some(network) = self.turns.get(turn).copied() {
            let own = self.waiting.entry(network).or_default();
            let is_meant = |job: &Job| cost.is_none() || job.work.cost() == cost;
            let Some(job) = own.iter().position(is_meant).and_then(|at| own.remove(at)) else {
                turn += 1;
                continue;
            };
            let is_empty = own.is_empty();
            if is_empty {
                self.waiting.remove(&network);
                self.turns.remove(turn);
            }
            if job.state.begin() {
                if !is_empty {
                    self.turns.remove(turn);
                    self.turns.push_back(network);
                }
                return Some(job.work);
            }
        }
        None
    }

    /// Whether a newcomer of this network may displace work of another that has more than its share.
    pub(super) fn may_displace(&self, newcomer: Network) -> bool {
        self.longest_beside(newcomer).is_some()
    }

    /// Drops the newest work of the network with most of it, if a newcomer of this `network` has less
    /// than that one even when it has been admitted. The caller of what is dropped learns it by the
    /// end of its channel.
    pub(super) fn displace_for(&mut self, newcomer: Network) -> bool {
        let Some(longest) = self.longest_beside(newcomer) else {
            return false;
        };
        // More than one waits there, so the queue is not empty afterwards.
        let dropped = self.waiting.get_mut(&longest).and_then(VecDeque::pop_back);
        dropped.is_some()
    }

    fn longest_beside(&self, newcomer: Network) -> Option<Network> {
        let own = self.waiting.get(&newcomer).map_or(0, VecDeque::len);
        let lengths = self.waiting.iter().map(|(net, jobs)| (jobs.len(), *net));
        let (length, longest) = lengths.max()?;
        (length > own + 1).then_some(longest)
    }

    /// How many batches come before a newcomer, those under way included. A bcrypt of this `cost`
    /// joins the last batch of its kind if there is room in it; other work has `None`.
    pub(super) fn batches_before(&self, cost: Option<Cost>) -> usize {
        let mut of_cost: BTreeMap<Cost, usize> = BTreeMap::new();
        let mut batches = self.running;
        for job in self.waiting.values().flatten() {
            match job.work.cost() {
                Some(cost) => *of_cost.entry(cost).or_default() += 1,
                None => batches += 1,
            }
        }
        for (other, jobs) in of_cost {
            batches += if Some(other) == cost {
                jobs / Computation::TOGETHER
            } else {
                jobs.div_ceil(Computation::TOGETHER)
            };
        }
        batches
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    fn cost(number: u32) -> Cost {
        number.try_into().unwrap()
    }

    fn network(number: u8) -> Network {
        Network::of(Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, number))))
    }

    /// A bcrypt of this cost with a password of one byte, 0 standing for other work.
    fn work(number: u32, password: u8) -> Work {
        match number {
            0 => Work::Call(Box::new(|| ())),
            number => {
                let (answer, _unheard) = oneshot::channel();
                let computation = Computation::new(cost(number), &[password], [0; 16]);
                Work::Bcrypt(computation, Reply::Digest(answer))
            }
        }
    }

    /// A queue of bcrypts of these costs of one network, 0 standing for other work.
    fn queue_of(costs: &[u32]) -> Queue {
        let mut queue = Queue::default();
        for number in costs {
            queue.push(network(1), work(*number, 0), JobState::default());
        }
        queue
    }

    /// A queue in which these networks have so many bcrypts, those of the first one come first.
    fn queue_of_networks(lengths: &[(u8, usize)]) -> Queue {
        let mut queue = Queue::default();
        for (number, length) in lengths {
            for _ in 0..*length {
                queue.push(network(*number), work(4, *number), JobState::default());
            }
        }
        queue
    }

    /// The sizes of the batches that are taken one after the other, 0 standing for other work.
    fn sizes(mut queue: Queue) -> Vec<usize> {
        let next = || queue.take();
        std::iter::from_fn(next)
            .map(|batch| match batch {
                Batch::Bcrypt(together) => together.len(),
                Batch::Call(_) => 0,
            })
            .collect()
    }

    /// The networks whose work is in the next batch.
    fn next_networks(queue: &mut Queue) -> Vec<u8> {
        match queue.take() {
            Some(Batch::Bcrypt(together)) => together
                .iter()
                .map(|(computation, _)| computation.password()[0])
                .collect(),
            _ => Vec::new(),
        }
    }

    fn length_of(queue: &Queue, number: u8) -> usize {
        queue.waiting.get(&network(number)).map_or(0, VecDeque::len)
    }

    #[test]
    fn what_waits_is_taken_together_and_nothing_waits_for_company() {
        assert_eq!(sizes(queue_of(&[])), [0; 0]);
        assert_eq!(sizes(queue_of(&[4])), [1]);
        assert_eq!(sizes(queue_of(&[4, 4, 4])), [3]);
        assert_eq!(sizes(queue_of(&[4; 9])), [4, 4, 1]);
    }

    #[test]
    fn only_equal_costs_go_together_and_the_first_come_goes_first() {
        assert_eq!(sizes(queue_of(&[5, 4, 5, 0, 4, 5, 4])), [3, 3, 0]);
        assert_eq!(sizes(queue_of(&[0, 4, 0, 4])), [0, 2, 0]);
    }

    #[test]
    fn what_is_not_wanted_any_more_is_left_out() {
        let queue = queue_of(&[4, 4, 4, 4]);
        let own = &queue.waiting[&network(1)];
        for place in [0, 2] {
            assert!(own[place].state.give_up());
        }
        assert_eq!(sizes(queue), [2]);
    }

    #[test]
    fn a_newcomer_joins_the_last_batch_of_its_cost() {
        let queue = queue_of(&[4, 4, 4, 5, 0]);
        assert_eq!(queue.batches_before(Some(cost(4))), 2);
        assert_eq!(queue.batches_before(Some(cost(5))), 2);
        assert_eq!(queue.batches_before(None), 3);
        let mut queue = queue_of(&[4; 8]);
        queue.running = 1;
        assert_eq!(queue.batches_before(Some(cost(4))), 3);
    }

    #[test]
    fn networks_take_turns() {
        let mut queue = queue_of_networks(&[(1, 9), (2, 1), (3, 2)]);
        assert_eq!(next_networks(&mut queue), [1, 2, 3, 1]);
        assert_eq!(next_networks(&mut queue), [3, 1, 1, 1]);
        queue.push(network(4), work(4, 4), JobState::default());
        assert_eq!(next_networks(&mut queue), [1, 4, 1, 1]);
        assert_eq!(next_networks(&mut queue), [1]);
        assert_eq!((queue.turns.len(), queue.waiting.len()), (0, 0));
    }

    #[test]
    fn a_network_gives_way_until_its_share_is_left() {
        let mut queue = queue_of_networks(&[(1, 10)]);
        assert!(!queue.displace_for(network(1)));
        for newcomer in [2, 3] {
            while queue.displace_for(network(newcomer)) {
                queue.push(network(newcomer), work(4, newcomer), JobState::default());
            }
        }
        let lengths = [1, 2, 3].map(|number| length_of(&queue, number));
        assert_eq!(lengths.iter().sum::<usize>(), 10);
        assert!(lengths.iter().all(|length| (3..=4).contains(length)));
        assert!(!queue.may_displace(network(1)));
    }

    #[test]
    fn what_is_dropped_is_the_newest_and_its_caller_learns_it() {
        let mut queue = queue_of_networks(&[(1, 1)]);
        let mut callers = Vec::new();
        for _ in 0..2 {
            let (answer, caller) = oneshot::channel();
            let computation = Computation::new(cost(4), b"", [0; 16]);
            let work = Work::Bcrypt(computation, Reply::Digest(answer));
            queue.push(network(1), work, JobState::default());
            callers.push(caller);
        }
        assert!(queue.displace_for(network(2)));
        let told = |caller: &mut oneshot::Receiver<Digest>| {
            caller
                .try_recv()
                .is_err_and(|error| error == oneshot::error::TryRecvError::Closed)
        };
        assert_eq!(
            callers.iter_mut().map(told).collect::<Vec<_>>(),
            [false, true]
        );
    }
}
