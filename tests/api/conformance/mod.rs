//! Compatibility with clients of the tutorial's system.
//!
//! `cases.json` holds requests with the responses recorded from that system, rebuilt and run. The
//! service responds the same, except for what [`contract`] changes in every response of a kind, and
//! for the single responses in `deviations.json`.

mod case;
mod contract;
mod player;

use std::collections::{BTreeMap, BTreeSet};

use case::{Case, Deviations, Step};
use player::Servers;
use serde::Deserialize;

use crate::harness::{Backend, TestApp, TestAppBuilder, on_both_databases};

const CASES: &str = include_str!("../../data/conformance/cases.json");
const DEVIATIONS: &str = include_str!("../../data/conformance/deviations.json");

/// The token lifetime in seconds in cases that wait for expiry.
const SHORT_LIFETIME: u64 = 2;

on_both_databases!(responses_match_the_recording_or_the_deviations);

fn responses_match_the_recording_or_the_deviations(backend: Backend) {
    let plain = like_the_recording(TestApp::builder(backend)).start();
    let short_lived = like_the_recording(plain.sibling())
        .setting("TOKENHOUSE_TOKEN_LIFETIME", &SHORT_LIFETIME.to_string())
        .start();
    let costly = like_the_recording(plain.sibling())
        .setting("TOKENHOUSE_BCRYPT_COST", "12")
        .start();
    let servers = Servers {
        plain: *plain,
        short_lived: *short_lived,
        costly: *costly,
    };

    let cases = cases();
    let outcome = player::play_all(&cases, &deviations(), &servers);
    let lines = &outcome.mismatches;
    assert!(
        lines.is_empty(),
        "{} mismatches:\n{}",
        lines.len(),
        lines.join("\n")
    );
    assert_eq!((cases.len(), outcome.exchanges), (454, 563));
}

/// The recorded system has a guessable key, accepts any password, and limits no client.
fn like_the_recording(app: TestAppBuilder) -> TestAppBuilder {
    app.setting("API_KEY_TOKEN", case::API_KEY)
        .setting("TOKENHOUSE_PASSWORD_MIN_LENGTH", "0")
        .setting("TOKENHOUSE_PASSWORD_REFUSE_COMMON", "false")
        .setting("TOKENHOUSE_LIMITS", "off")
}

#[test]
fn deviations_refer_to_distinct_recorded_exchanges() {
    let cases = cases();
    let cases: BTreeMap<&str, &Case> = cases.iter().map(|case| (case.id.as_str(), case)).collect();
    let mut seen = BTreeSet::new();
    for (id, answers) in deviations()
        .deviations
        .iter()
        .flat_map(|entry| &entry.cases)
    {
        let case = cases
            .get(id.as_str())
            .unwrap_or_else(|| panic!("no case is named {id}"));
        for number in answers.keys() {
            let step = number
                .checked_sub(1)
                .and_then(|index| case.steps.get(index));
            assert!(
                matches!(step, Some(Step::Exchange(_))),
                "{id} has no exchange {number}"
            );
            assert!(
                seen.insert((id.clone(), *number)),
                "{id} step {number} is listed twice"
            );
        }
    }
}

fn cases() -> Vec<Case> {
    #[derive(Deserialize)]
    struct File {
        cases: Vec<Case>,
    }
    serde_json::from_str::<File>(CASES)
        .expect("the cases parse")
        .cases
}

fn deviations() -> Deviations {
    serde_json::from_str(DEVIATIONS).expect("the deviations parse")
}
