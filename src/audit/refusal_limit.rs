//! Decides, per minute and process, which denials are written individually and which as sums.

use std::collections::HashMap;

use chrono::{NaiveDateTime, TimeDelta};

use super::{Action, AuditContext, Event};

/// Maximum number of denials of one action from one network that are written individually per
/// minute.
const MAX_ROWS_OF_NETWORK: u32 = 20;

/// Maximum number of denials that are written individually per minute: this many that name a user
/// or a principal, and this many that do not.
const MAX_ROWS: u32 = 600;

/// Maximum number of separate sums per minute, for each of the two; further denials are summed by
/// action.
const MAX_SUMS: usize = 1_000;

/// Maximum number of log lines per minute, for one network and for all.
const MAX_LINES_OF_NETWORK: u32 = 100;
const MAX_LINES: u32 = 3_000;

/// How long the budgets last.
const INTERVAL: TimeDelta = TimeDelta::minutes(1);

/// What the denials of one sum have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Group {
    pub(super) action: Action,
    actor: String,
    pub(super) target: String,
    network: String,
}

/// Denials that were not written individually.
#[derive(Clone, Debug)]
pub(super) struct Sum {
    /// The context of the first denial; `None` when the denials share only the action.
    pub(super) context: Option<AuditContext>,
    pub(super) count: u64,
}

/// The sums of an interval.
#[derive(Clone, Debug, Default)]
pub(super) struct Sums {
    /// When the interval began.
    pub(super) began: Option<NaiveDateTime>,
    /// Sorted by group.
    pub(super) groups: Vec<(Group, Sum)>,
}

/// A count in total and per network.
#[derive(Debug)]
struct Tally<K> {
    of_network: HashMap<K, u32>,
    all: u32,
}

/// The denials of one kind: those that name a user or a principal, or those that do not.
#[derive(Debug, Default)]
struct Kind {
    rows: Tally<(Action, String)>,
    sums: HashMap<Group, Sum>,
}

/// The denials of the current interval. Memory is bounded: every addition is taken from a budget.
#[derive(Debug, Default)]
pub(super) struct RefusalLimit {
    began: Option<NaiveDateTime>,
    named: Kind,
    unnamed: Kind,
    lines: Tally<String>,
}

impl<K> Default for Tally<K> {
    fn default() -> Self {
        Self {
            of_network: HashMap::new(),
            all: 0,
        }
    }
}

impl<K: std::hash::Hash + Eq> Tally<K> {
    /// Takes one from both budgets. Returns whether both had room.
    fn take(&mut self, key: K, max_of_network: u32, max: u32) -> bool {
        let of_network = self.of_network.get(&key).copied().unwrap_or(0);
        let is_room = of_network < max_of_network && self.all < max;
        if is_room {
            self.of_network.insert(key, of_network + 1);
            self.all += 1;
        }
        is_room
    }
}

impl Kind {
    fn take_row(&mut self, context: &AuditContext, event: &Event, network: &str) -> bool {
        let key = (event.action, network.to_owned());
        if self.rows.take(key, MAX_ROWS_OF_NETWORK, MAX_ROWS) {
            return true;
        }
        let group = Group {
            action: event.action,
            actor: context.actor.clone(),
            target: event.target.clone(),
            network: network.to_owned(),
        };
        self.add(group, Some(context.summed()), 1);
        false
    }

    /// Adds to the sum of a group, or to the sum of the action when there are too many groups.
    fn add(&mut self, group: Group, context: Option<AuditContext>, count: u64) {
        let is_room = self.sums.len() < MAX_SUMS || self.sums.contains_key(&group);
        let (group, context) = match is_room {
            true => (group, context),
            false => (Group::of_action(group.action), None),
        };
        let sum = self.sums.entry(group).or_insert(Sum { context, count: 0 });
        sum.count += count;
    }
}

impl Group {
    fn of_action(action: Action) -> Self {
        Self {
            action,
            actor: String::new(),
            target: String::new(),
            network: String::new(),
        }
    }
}

impl RefusalLimit {
    /// Takes a row from the budget and returns whether there was one; otherwise adds the denial to
    /// a sum.
    pub(super) fn take_row(
        &mut self,
        now: NaiveDateTime,
        context: &AuditContext,
        event: &Event,
        network: &str,
    ) -> bool {
        self.renew(now);
        let kind = if event.target.is_empty() && context.is_anonymous() {
            &mut self.unnamed
        } else {
            &mut self.named
        };
        kind.take_row(context, event, network)
    }

    /// Takes a log line from the budget of this network. Returns whether there was one.
    pub(super) fn take_line(&mut self, now: NaiveDateTime, network: &str) -> bool {
        self.renew(now);
        let network = network.to_owned();
        self.lines.take(network, MAX_LINES_OF_NETWORK, MAX_LINES)
    }

    /// Takes the sums of an interval that is over; with `all`, also those of the current one.
    pub(super) fn take_sums(&mut self, now: NaiveDateTime, all: bool) -> Sums {
        if !self.has_sums() || !(all || self.is_over(now)) {
            return Sums::default();
        }
        let Self {
            began,
            named,
            unnamed,
            ..
        } = std::mem::take(self);
        let mut groups: Vec<_> = named.sums.into_iter().chain(unnamed.sums).collect();
        groups.sort_by(|(one, _), (other, _)| one.cmp(other));
        Sums { began, groups }
    }

    /// Puts back sums that could not be written.
    pub(super) fn put_back(&mut self, sums: Sums) {
        for (group, sum) in sums.groups {
            self.named.add(group, sum.context, sum.count);
        }
        self.began = sums.began.or(self.began);
    }

    /// Begins the next interval when the last one is over and its sums were taken.
    fn renew(&mut self, now: NaiveDateTime) {
        if self.is_over(now) && !self.has_sums() {
            *self = Self {
                began: Some(now),
                ..Self::default()
            };
        }
    }

    fn has_sums(&self) -> bool {
        !(self.named.sums.is_empty() && self.unnamed.sums.is_empty())
    }

    /// A clock that is set back ends an interval too.
    fn is_over(&self, now: NaiveDateTime) -> bool {
        self.began
            .is_none_or(|began| now - began >= INTERVAL || now < began)
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn at(second: i64) -> NaiveDateTime {
        chrono::DateTime::from_timestamp(second, 0)
            .unwrap()
            .naive_utc()
    }

    fn client(address: IpAddr) -> AuditContext {
        AuditContext::client(Some(address), b"a client", "an id")
    }

    /// Returns how many of `count` denials are written individually.
    fn written(
        limit: &mut RefusalLimit,
        second: i64,
        from: &AuditContext,
        of: &Event,
        count: u32,
    ) -> u32 {
        let network = from.network().to_string();
        (0..count)
            .map(|_| u32::from(limit.take_row(at(second), from, of, &network)))
            .sum()
    }

    #[test]
    fn floods_hide_no_other_denials() {
        let mut limit = RefusalLimit::default();
        let (unknown, wrong) = (
            Event::refused(Action::Login),
            Event::refused(Action::Login).on_user(7),
        );
        // A botnet with many addresses.
        for number in 0..10_000_u32 {
            let from = client(IpAddr::V4(number.into()));
            written(&mut limit, 0, &from, &unknown, 1);
        }
        let (one, other) = (client([192, 0, 2, 1].into()), client([192, 0, 2, 2].into()));
        assert_eq!(written(&mut limit, 0, &one, &unknown, 50), 0);
        assert_eq!(written(&mut limit, 0, &one, &wrong, 50), 20);
        assert_eq!(written(&mut limit, 0, &other, &wrong, 5), 5);
        // The sums still show the actor, the action and the target.
        let sums = limit.take_sums(at(60), false);
        assert_eq!(sums.began, Some(at(0)));
        let of_user: Vec<_> = sums
            .groups
            .iter()
            .filter(|(group, _)| group.target == "user:7")
            .map(|(group, sum)| {
                (
                    group.actor.as_str(),
                    sum.context.as_ref().unwrap().ip(),
                    sum.count,
                )
            })
            .collect();
        assert_eq!(of_user, [("anonymous", "192.0.2.1".to_owned(), 30)]);
    }

    #[test]
    fn each_minute_has_its_own_budgets() {
        let mut limit = RefusalLimit::default();
        let (from, event) = (client([192, 0, 2, 1].into()), Event::refused(Action::Login));
        assert_eq!(written(&mut limit, 0, &from, &event, 30), 20);
        assert!(limit.take_sums(at(59), false).groups.is_empty());
        let sums = limit.take_sums(at(60), false);
        assert_eq!(sums.groups.len(), 1);
        assert_eq!(sums.groups[0].1.count, 10);
        assert_eq!(written(&mut limit, 60, &from, &event, 30), 20);
        // Sums that could not be written are not lost.
        limit.put_back(sums);
        let sums = limit.take_sums(at(120), false);
        let all: u64 = sums.groups.iter().map(|(_, sum)| sum.count).sum();
        assert_eq!(all, 20);
        assert_eq!(written(&mut limit, 120, &from, &event, 1), 1);
    }

    #[test]
    fn memory_is_bounded_and_no_denial_is_lost() {
        let mut limit = RefusalLimit::default();
        let mut one_by_one = 0;
        for number in 0..20_000_u32 {
            let from = client(IpAddr::V4(number.into()));
            let event = Event::refused(Action::Login);
            let event = match number % 2 {
                0 => event,
                _ => event.on_user(number.into()),
            };
            one_by_one += written(&mut limit, 0, &from, &event, 1);
            limit.take_line(at(0), &number.to_string());
        }
        assert_eq!(one_by_one, 2 * MAX_ROWS);
        assert_eq!(limit.lines.of_network.len(), MAX_LINES as usize);
        let sums = limit.take_sums(at(0), true);
        assert_eq!(sums.groups.len(), 2 * (MAX_SUMS + 1));
        let counted: u64 = sums.groups.iter().map(|(_, sum)| sum.count).sum();
        assert_eq!(counted + u64::from(one_by_one), 20_000);
    }

    #[test]
    fn log_lines_have_a_budget_per_network() {
        let mut limit = RefusalLimit::default();
        let mut lines = |second, network| {
            (0..500)
                .filter(|_| limit.take_line(at(second), network))
                .count()
        };
        assert_eq!(lines(0, "192.0.2.1"), 100);
        assert_eq!(lines(1, "192.0.2.2"), 100);
        assert_eq!(lines(59, "192.0.2.1"), 0);
        assert_eq!(lines(60, "192.0.2.1"), 100);
    }
}
