//! Whether a client of the tutorial's system sees a difference.
//!
//! `cases.json` holds requests with the answers of that system, rebuilt and run. We answer the same,
//! but for what [`contract`] changes in every answer of a kind, and for the single answers in
//! `deviations.json`. Nothing else may differ.

mod case;
mod compare;
mod contract;
mod player;
mod request;
mod variables;

use std::collections::{BTreeMap, BTreeSet};

use case::{Case, Deviations, Step};
use player::Servers;
use serde::Deserialize;

use crate::harness::{Backend, TestApp, TestAppBuilder, on_both_databases};

const CASES: &str = include_str!("../../data/conformance/cases.json");
const DEVIATIONS: &str = include_str!("../../data/conformance/deviations.json");

/// The lifetime of tokens in seconds where a case waits for the end of one.
const SHORT_LIFETIME: u64 = 2;

on_both_databases!(answers_are_the_recorded_ones_or_those_in_the_table);

fn answers_are_the_recorded_ones_or_those_in_the_table(backend: Backend) {
    let plain = as_recorded(TestApp::builder(backend)).start();
    let short_lived = as_recorded(plain.sibling())
        .setting("TOKENHOUSE_TOKEN_LIFETIME", &SHORT_LIFETIME.to_string())
        .start();
    let costly = as_recorded(plain.sibling())
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

/// The reference has a guessable key, takes any password, and turns nobody away.
fn as_recorded(app: TestAppBuilder) -> TestAppBuilder {
    app.setting("API_KEY_TOKEN", variables::API_KEY)
        .setting("TOKENHOUSE_PASSWORD_MIN_LENGTH", "0")
        .setting("TOKENHOUSE_PASSWORD_REFUSE_COMMON", "false")
        .setting("TOKENHOUSE_LIMITS", "off")
}

#[test]
fn the_table_is_about_recorded_exchanges_once_each() {
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
                "{id} step {number} stands there twice"
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
        .expect("the cases have their form")
        .cases
}

fn deviations() -> Deviations {
    serde_json::from_str(DEVIATIONS).expect("the table has its form")
}
