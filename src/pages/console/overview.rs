//! The overview: numbers and plots of the last hours.

use askama::Template;

use crate::audit::statistics::{ADDRESSES, OTHERS, REFUSALS, SIGN_INS};
use crate::auth::{HASH_WAITS, LIMITS, SESSIONS, Statistics, USERS};
use crate::pages::Frame;
use crate::pages::language::fill;
use crate::pages::plot::{Plot, Series, short};
use crate::pages::texts::console::ConsoleTexts;
use crate::pages::texts::console_overview::OverviewTexts;

use super::{ConsoleHead, Section};

/// A day, and a week.
pub(crate) const PERIODS: [usize; 2] = [24, 168];

/// The overview.
#[derive(Template)]
#[template(path = "console/overview.html")]
pub(crate) struct OverviewPage {
    frame: Frame,
    t: &'static OverviewTexts,
    c: &'static ConsoleTexts,
    head: ConsoleHead,
    hours: usize,
    cards: Vec<Card>,
    plots: Vec<PlotView>,
    lists: Vec<ListView>,
}

/// A number.
struct Card {
    label: &'static str,
    figure: String,
}

/// A plot with its title and its table.
struct PlotView {
    id: &'static str,
    title: &'static str,
    hint: Option<&'static str>,
    plot: Plot,
}

/// Numbers by label, the largest first.
struct ListView {
    id: &'static str,
    title: &'static str,
    label: &'static str,
    rows: Vec<ListRow>,
}

struct ListRow {
    label: String,
    is_code: bool,
    count: u64,
    /// The share of the largest one, for the bar: 1 to 100.
    share: u64,
}

impl OverviewPage {
    /// The overview of these values for a user with these scopes.
    pub(crate) fn new(frame: Frame, scopes: &str, statistics: &Statistics) -> Self {
        let t = OverviewTexts::of(frame.language);
        let series = |label, class, values| Series {
            label,
            class,
            values,
        };
        let counts = |label| counted(statistics.series(SIGN_INS, label), statistics.hours);
        let (ok, refused) = (counts("ok"), counts("refused"));
        let [usual, longest] = [2, 100].map(|share| waits(statistics, share));
        let sum = |values: &[Option<u64>]| values.iter().flatten().sum::<u64>();
        let known = |value: Option<u64>| value.map_or(t.unknown.to_owned(), short);
        let card = |label, figure| Card { label, figure };
        let cards = vec![
            card(t.ok, short(sum(&ok))),
            card(t.refused, short(sum(&refused))),
            card(t.sessions, known(statistics.latest(SESSIONS))),
            card(t.users, known(statistics.latest(USERS))),
            card(
                t.longest_wait,
                match longest.iter().flatten().max() {
                    Some(most) => format!("{most} ms"),
                    None => t.unknown.to_owned(),
                },
            ),
        ];
        let plot = |id, title, series| PlotView {
            id,
            title,
            hint: None,
            plot: Plot::new(statistics.start, series),
        };
        let plots = vec![
            plot(
                "sign-ins",
                t.sign_ins,
                vec![series(t.ok, "one", ok), series(t.refused, "two", refused)],
            ),
            plot(
                "sessions",
                t.sessions,
                vec![series(t.sessions, "one", statistics.series(SESSIONS, ""))],
            ),
            PlotView {
                id: "waits",
                title: t.waits,
                hint: Some(t.waits_hint),
                plot: Plot::nested(
                    statistics.start,
                    vec![series(t.p50, "one", usual), series(t.p99, "three", longest)],
                ),
            },
        ];
        let lists = vec![
            list(
                "refusals",
                t.refusals,
                t.reason,
                statistics.largest(REFUSALS),
                |label| reason(t, label),
            ),
            list(
                "limits",
                t.limits,
                t.limit,
                statistics.largest(LIMITS),
                |label| limit(t, label),
            ),
            list(
                "addresses",
                t.addresses,
                t.address,
                statistics.largest(ADDRESSES),
                |label| (label == OTHERS).then_some(t.others),
            ),
        ];
        Self {
            t,
            c: ConsoleTexts::of(frame.language),
            head: ConsoleHead::new(Section::Overview, scopes),
            frame,
            hours: statistics.hours,
            cards,
            plots,
            lists,
        }
    }

    fn hint(&self) -> String {
        fill(self.t.hint, "n", &self.hours.to_string())
    }

    fn periods(&self) -> [(usize, &'static str); 2] {
        let [day, week] = PERIODS;
        [(day, self.t.day), (week, self.t.week)]
    }
}

/// Of an hour without an event nothing is stored, so it has none.
fn counted(values: Vec<Option<u64>>, hours: usize) -> Vec<Option<u64>> {
    let mut values = values;
    values.resize(hours, None);
    values
        .into_iter()
        .map(|value| Some(value.unwrap_or(0)))
        .collect()
}

fn list(
    id: &'static str,
    title: &'static str,
    label: &'static str,
    sums: &[(String, u64)],
    name: impl Fn(&str) -> Option<&'static str>,
) -> ListView {
    let most = sums.first().map_or(1, |(_, count)| (*count).max(1));
    let row = |(label, count): &(String, u64)| ListRow {
        label: name(label).unwrap_or(label).to_owned(),
        is_code: name(label).is_none(),
        count: *count,
        share: (u128::from(*count) * 100 / u128::from(most))
            .max(1)
            .try_into()
            .unwrap_or(100),
    };
    ListView {
        id,
        title,
        label,
        rows: sums.iter().map(row).collect(),
    }
}

/// What a reason of the audit trail is called.
fn reason(t: &OverviewTexts, label: &str) -> Option<&'static str> {
    Some(match label {
        "wrong-password" => t.wrong_password,
        "unknown-user" => t.unknown_user,
        "throttled" => t.throttled,
        "disabled" => t.disabled,
        "scope" | "scope.refused" => t.scope,
        "static-key.refused" => t.static_key,
        "login" => t.sign_in_flood,
        _ => return None,
    })
}

/// What a limit of the metrics is called.
fn limit(t: &OverviewTexts, label: &str) -> Option<&'static str> {
    Some(match label {
        "account" => t.limit_account,
        "address" => t.limit_address,
        "registrations" => t.limit_registrations,
        "changes" => t.limit_changes,
        "keys" => t.limit_keys,
        "sign-ins" => t.limit_sign_ins,
        "mails" => t.limit_mails,
        _ => return None,
    })
}

/// For each hour the wait in milliseconds that all but one of `share` passwords did not exceed, rounded up to the
/// bound of a bucket.
fn waits(statistics: &Statistics, share: u64) -> Vec<Option<u64>> {
    let mut buckets: Vec<(u64, Vec<Option<u64>>)> = statistics
        .labels(HASH_WAITS)
        .filter_map(|bound| {
            let values = statistics.series(HASH_WAITS, bound);
            Some((bound.parse().ok()?, values))
        })
        .collect();
    buckets.sort_by_key(|(bound, _)| *bound);
    let of_hour = |hour: usize| {
        let count = |values: &Vec<Option<u64>>| values.get(hour).copied().flatten().unwrap_or(0);
        let all: u64 = buckets.iter().map(|(_, values)| count(values)).sum();
        let enough = all - all / share;
        let mut so_far = 0;
        let found = buckets.iter().find(|(_, values)| {
            so_far += count(values);
            all > 0 && so_far >= enough
        });
        // Beyond the last bound, that one is all that is known.
        found.map(|(bound, _)| (*bound).min(5_000_000).div_ceil(1_000))
    };
    (0..statistics.hours).map(of_hour).collect()
}
