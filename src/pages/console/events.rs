//! The events of all users.

use askama::Template;
use chrono::NaiveDateTime;

use crate::audit::{Action, Verification};
use crate::auth::Addresses;
use crate::pages::language::fill;
use crate::pages::texts::console::ConsoleTexts;
use crate::pages::texts::console_events::EventsTexts;
use crate::pages::time::ago;
use crate::pages::{FieldView, Frame, Language};
use crate::store::AuditEvent;

use super::event_row::EventRow;
use super::{ConsoleHead, Section};

/// The most problems of the trail that the page lists.
const MAX_PROBLEMS: usize = 5;

/// The filters, as they are in the query.
#[derive(Clone, Debug, Default)]
pub(crate) struct EventFilters {
    pub(crate) action: String,
    pub(crate) who: String,
    pub(crate) since: String,
    pub(crate) until: String,
}

/// Why a filter was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadFilter {
    UnknownUser,
    Since,
    Until,
}

/// How the last verification of the trail ended.
#[derive(Clone, Debug)]
pub(crate) enum ChainState {
    Verified {
        at: NaiveDateTime,
        events: u64,
        problems: Vec<String>,
        count: usize,
    },
    TookTooLong {
        at: NaiveDateTime,
    },
}

impl ChainState {
    /// What the page keeps of a verification.
    pub(crate) fn new(at: NaiveDateTime, verification: &Verification) -> Self {
        let problems = verification.problems.iter().take(MAX_PROBLEMS);
        Self::Verified {
            at,
            events: verification.events,
            problems: problems.map(ToString::to_string).collect(),
            count: verification.problems.len(),
        }
    }
}

/// A page of events, with filters and the state of the chain.
#[derive(Template)]
#[template(path = "console/events.html")]
pub(crate) struct EventsPage {
    frame: Frame,
    t: &'static EventsTexts,
    c: &'static ConsoleTexts,
    head: ConsoleHead,
    filters: EventFilters,
    who: FieldView,
    since: FieldView,
    until: FieldView,
    chain: ChainView,
    is_first: bool,
    events: Vec<EventRow>,
    next: Option<String>,
}

/// The state of the chain.
struct ChainView {
    last_event: String,
    summary: String,
    when: Option<String>,
    is_good: Option<bool>,
    problems: Vec<String>,
    has_more_problems: bool,
}

impl EventsPage {
    /// The page for a user with these scopes, before anything was found.
    pub(crate) fn new(frame: Frame, scopes: &str, filters: EventFilters) -> Self {
        let language = frame.language;
        Self {
            t: EventsTexts::of(language),
            c: ConsoleTexts::of(language),
            frame,
            head: ConsoleHead::new(Section::Events, scopes),
            who: FieldView::new(&filters.who),
            since: FieldView::new(&filters.since),
            until: FieldView::new(&filters.until),
            filters,
            chain: ChainView::new(0, None, NaiveDateTime::MIN, language),
            is_first: true,
            events: Vec::new(),
            next: None,
        }
    }

    /// The same with events at `now`; the next page begins before the event `next`.
    pub(crate) fn with(
        mut self,
        events: &[AuditEvent],
        addresses: &Addresses,
        is_first: bool,
        next: Option<i64>,
        now: NaiveDateTime,
    ) -> Self {
        self.events = EventRow::all(events, addresses, now, self.frame.language);
        self.is_first = is_first;
        self.next = next.map(|before| {
            let EventFilters {
                action,
                who,
                since,
                until,
            } = &self.filters;
            let pairs = [
                ("action", action),
                ("who", who),
                ("since", since),
                ("until", until),
            ];
            let given = pairs.iter().filter(|(_, value)| !value.is_empty());
            form_urlencoded::Serializer::new(String::new())
                .extend_pairs(given)
                .append_pair("before", &before.to_string())
                .finish()
        });
        self
    }

    /// The same with the last event of the trail, and the last verification.
    pub(crate) fn with_chain(
        mut self,
        last_id: i64,
        state: Option<&ChainState>,
        now: NaiveDateTime,
    ) -> Self {
        self.chain = ChainView::new(last_id, state, now, self.frame.language);
        self
    }

    /// The same after a filter was refused.
    pub(crate) fn refused(mut self, bad: BadFilter) -> Self {
        let (field, text) = match bad {
            BadFilter::UnknownUser => (&mut self.who, self.t.unknown_user),
            BadFilter::Since => (&mut self.since, self.t.bad_time),
            BadFilter::Until => (&mut self.until, self.t.bad_time),
        };
        field.error = Some(text.to_owned());
        self.head.problem = Some(text.to_owned());
        self
    }

    fn actions(&self) -> impl Iterator<Item = &'static str> {
        let mut names: Vec<_> = Action::ALL.iter().map(|action| action.name()).collect();
        names.sort_unstable();
        names.into_iter()
    }

    fn is_chosen(&self, action: &str) -> bool {
        self.filters.action == action
    }

    fn has_filters(&self) -> bool {
        let EventFilters {
            action,
            who,
            since,
            until,
        } = &self.filters;
        [action, who, since, until]
            .iter()
            .any(|value| !value.is_empty())
    }
}

impl ChainView {
    fn new(
        last_id: i64,
        state: Option<&ChainState>,
        now: NaiveDateTime,
        language: Language,
    ) -> Self {
        let t = EventsTexts::of(language);
        let when = |at| Some(fill(t.verified_at, "when", &ago(at, now, language)));
        let blank = Self {
            last_event: fill(t.last_event, "n", &last_id.to_string()),
            summary: t.not_verified.to_owned(),
            when: None,
            is_good: None,
            problems: Vec::new(),
            has_more_problems: false,
        };
        match state {
            None => blank,
            Some(ChainState::TookTooLong { at }) => Self {
                summary: t.took_too_long.to_owned(),
                when: when(*at),
                ..blank
            },
            Some(ChainState::Verified {
                at,
                events,
                problems,
                count,
            }) => Self {
                summary: match count {
                    0 => language.count(t.verified, *events),
                    count => language.count(t.problems, *count as u64),
                },
                when: when(*at),
                is_good: Some(*count == 0),
                problems: problems.clone(),
                has_more_problems: *count > problems.len(),
                ..blank
            },
        }
    }
}
