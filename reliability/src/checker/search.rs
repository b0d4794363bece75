//! The search for an order of steps that a correct service can follow: the just-in-time form of Wing
//! and Gong's algorithm (G. Lowe, "Testing for linearizability", 2017).
//!
//! It goes through the calls and returns in the order of time, with all configurations in which the
//! user may be by then. A step takes effect no earlier than some return needs it, so a configuration
//! is a state and the set of steps in progress that have taken effect. When no step is in progress
//! only states are left, so quiet moments divide a history.
//!
//! Four more rules keep the configurations few without losing an order:
//!
//! - A step that changes nothing takes effect as soon as it can. In any order in which it comes later
//!   it can be moved to the front.
//! - An optional step takes effect only while a step is in progress that needs it
//!   ([`Step::needs`](super::model::Step::needs)): that is impossible otherwise, or that it cannot come
//!   after. In any other order it can be moved there, or left out.
//! - A configuration without a session that a step in progress uses leads nowhere.
//! - Of two configurations that differ only in the optional steps used up, the one with fewer can do
//!   all that the other can.

use std::collections::HashMap;
use std::time::Instant;

use bit_set::BitSet;

use super::model::{Need, Step};
use super::state::State;
use super::timeline::{TimedStep, Timeline};

/// The limit for configurations at one time: some hundred megabytes.
const MAX_CONFIGURATIONS: usize = 500_000;

/// The number of steps between two checks of the clock.
const CLOCK_CHECK_INTERVAL: u32 = 256;

/// The result of a search.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// There is an order.
    Ordered,
    /// There is an order up to the return before the return of this step, and none up to it.
    Stuck(usize),
    /// Time or memory ran out.
    Undecided,
}

/// Searches for an order of the steps that starts in one of the states.
pub(super) fn search(timeline: &Timeline, starts: &[State], deadline: Instant) -> Outcome {
    let mut search = Search {
        timeline,
        in_progress: Vec::new(),
        deadline,
        ticks: 0,
    };
    let mut configurations = Configurations::default();
    for state in starts {
        configurations.add(Configuration {
            state: state.clone(),
            done: BitSet::new(),
            used: BitSet::new(),
        });
    }
    for event in events(&timeline.steps) {
        match event.kind {
            EventKind::Call => configurations = search.call(event.step, configurations),
            EventKind::Return => match search.pass_return(&event, configurations) {
                None => return Outcome::Undecided,
                Some(passed) if passed.len == 0 => return Outcome::Stuck(event.step),
                Some(passed) => configurations = passed,
            },
        }
    }
    Outcome::Ordered
}

/// Calls come first at the same time, so that operations that only touch count as concurrent.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum EventKind {
    Call,
    Return,
}

struct Event {
    time: u64,
    kind: EventKind,
    step: usize,
}

fn events(steps: &[TimedStep]) -> Vec<Event> {
    let event = |time, kind, step| Event { time, kind, step };
    let mut events: Vec<Event> = Vec::with_capacity(2 * steps.len());
    for (index, step) in steps.iter().enumerate() {
        events.push(event(step.call, EventKind::Call, index));
        let returned = step.returned;
        events.extend(returned.map(|time| event(time, EventKind::Return, index)));
    }
    events.sort_by_key(|event| (event.time, event.kind));
    events
}

struct Search<'a> {
    timeline: &'a Timeline,
    /// The steps in progress. [`Configuration::done`] refers to these slots.
    in_progress: Vec<Option<usize>>,
    deadline: Instant,
    ticks: u32,
}

impl Search<'_> {
    fn call(&mut self, index: usize, configurations: Configurations) -> Configurations {
        let free = self.in_progress.iter().position(Option::is_none);
        let slot = free.unwrap_or(self.in_progress.len());
        if free.is_none() {
            self.in_progress.push(None);
        }
        self.in_progress[slot] = Some(index);
        let step = self.timeline.steps[index].step;
        let mut called = Configurations::default();
        for mut configuration in configurations.into_iter() {
            if step.is_idle(&configuration.state) {
                configuration.done.insert(slot);
            }
            called.add(configuration);
        }
        called
    }

    /// The configurations in which the step has taken effect; `None` when there are too many.
    fn pass_return(
        &mut self,
        event: &Event,
        configurations: Configurations,
    ) -> Option<Configurations> {
        let is_returning = |step: &Option<usize>| *step == Some(event.step);
        let slot = self.in_progress.iter().position(is_returning)?;
        let mut passed = Configurations::default();
        let mut seen = Configurations::default();
        let mut pending: Vec<Configuration> = configurations.into_iter().collect();
        while let Some(mut configuration) = pending.pop() {
            if self.is_exhausted(seen.len + passed.len) {
                return None;
            }
            if configuration.done.contains(slot) {
                configuration.done.remove(slot);
                passed.add(configuration);
                continue;
            }
            for next in self.successors(&configuration, event) {
                if seen.add(next.clone()) {
                    pending.push(next);
                }
            }
        }
        self.in_progress[slot] = None;
        Some(passed)
    }

    /// The configurations after any one of the steps in progress, or after an optional step that one of
    /// them needs.
    fn successors(&self, from: &Configuration, event: &Event) -> Vec<Configuration> {
        let mut successors: Vec<Configuration> = Vec::new();
        for (slot, index) in self.open_slots(from) {
            let step = self.timeline.steps[index].step;
            let states = step.apply(&from.state).into_iter();
            successors.extend(states.map(|state| {
                let mut next = from.clone();
                next.done.insert(slot);
                self.settle(next, state)
            }));
            let mut needs = step.needs(&from.state);
            needs.retain(|need| index == event.step || !need.can_wait());
            for optional in needs
                .into_iter()
                .flat_map(|need| self.serving(need, from, event.time))
            {
                let states = self.timeline.optional[optional].step.apply(&from.state);
                successors.extend(states.into_iter().map(|state| {
                    let mut next = from.clone();
                    next.used.insert(optional);
                    self.settle(next, state)
                }));
            }
        }
        successors.retain(|next| !self.is_hopeless(next));
        successors
    }

    /// Whether a step that has to take effect uses a session that has ended.
    fn is_hopeless(&self, at: &Configuration) -> bool {
        let step = |index: usize| &self.timeline.steps[index];
        let begins = |session| {
            let mut open = self.open_slots(at);
            open.any(
                |(_, index)| matches!(step(index).step, Step::SignIn(token, _) if token == session),
            )
        };
        self.open_slots(at).any(|(_, index)| {
            let ended = step(index).step.ended_session(&at.state);
            step(index).returned.is_some() && ended.is_some_and(|session| !begins(session))
        })
    }

    /// The configuration in this state, after all steps that then change nothing.
    fn settle(&self, mut next: Configuration, state: State) -> Configuration {
        next.state = state;
        for (slot, index) in self.open_slots(&next.clone()) {
            if self.timeline.steps[index].step.is_idle(&next.state) {
                next.done.insert(slot);
            }
        }
        next
    }

    /// The steps in progress that have not taken effect.
    fn open_slots(&self, at: &Configuration) -> impl Iterator<Item = (usize, usize)> {
        let slots = (0..).zip(&self.in_progress);
        slots
            .filter_map(|(slot, index)| Some((slot, (*index)?)).filter(|_| !at.done.contains(slot)))
    }

    /// The unused optional steps, called by then, that serve this need: the first of those with the same
    /// effect, which are interchangeable, since they all stay available.
    fn serving(&self, need: Need, from: &Configuration, time: u64) -> Vec<usize> {
        let optional = &self.timeline.optional;
        let called = optional.partition_point(|step| step.call <= time);
        let state = &from.state;
        let serves =
            |at: &usize| !from.used.contains(*at) && optional[*at].step.serves(need, state);
        let mut serving: Vec<usize> = (0..called).filter(serves).collect();
        if let Need::End(session) = need {
            let mut only = serving.iter().copied();
            if let Some(only) = only.find(|at| optional[*at].step.ends_only(session, state)) {
                return vec![only];
            }
        }
        let mut seen = Vec::new();
        serving.retain(|at| {
            let step = optional[*at].step.canonical(state);
            let is_new = !seen.contains(&step);
            seen.push(step);
            is_new
        });
        serving
    }

    fn is_exhausted(&mut self, configurations: usize) -> bool {
        self.ticks = self.ticks.wrapping_add(1);
        let is_clock_due = self.ticks.is_multiple_of(CLOCK_CHECK_INTERVAL);
        configurations > MAX_CONFIGURATIONS || is_clock_due && Instant::now() >= self.deadline
    }
}

/// One possible situation of a user.
#[derive(Clone, Debug)]
struct Configuration {
    state: State,
    /// The slots of the steps in progress that have taken effect.
    done: BitSet,
    /// The optional steps that have taken effect.
    used: BitSet,
}

/// Configurations without those that another one covers: the same with fewer optional steps used up.
#[derive(Debug, Default)]
struct Configurations {
    used: HashMap<(State, BitSet), Vec<BitSet>>,
    len: usize,
}

impl Configurations {
    /// Adds a configuration, unless another can do as much. Returns whether it was added.
    fn add(&mut self, configuration: Configuration) -> bool {
        let Configuration { state, done, used } = configuration;
        let known = self.used.entry((state, done)).or_default();
        if known.iter().any(|known| known.is_subset(&used)) {
            return false;
        }
        self.len -= known.len();
        known.retain(|known| !used.is_subset(known));
        known.push(used);
        self.len += known.len();
        true
    }

    fn into_iter(self) -> impl Iterator<Item = Configuration> {
        self.used.into_iter().flat_map(|((state, done), known)| {
            known.into_iter().map(move |used| Configuration {
                state: state.clone(),
                done: done.clone(),
                used,
            })
        })
    }
}
