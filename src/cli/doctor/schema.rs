//! Whether the tables, and all that acts on them, are those that the migrations make.

use super::{Finding, Level, finding};
use crate::config::Config;
use crate::store::{self, SchemaComparison};

/// How many differences are listed.
const MAX_SHOWN: usize = 20;

pub(super) fn check(config: &Config) -> Vec<Finding> {
    let about = "tables";
    match store::compare_schema(&config.database) {
        Ok(SchemaComparison::Equal) => {
            vec![finding(Level::Ok, about, "as the migrations make them")]
        }
        Ok(SchemaComparison::Differs(differences)) => {
            let shown = differences.into_iter().take(MAX_SHOWN);
            let says = shown.map(|difference| {
                let says = format!(
                    "{difference}: changed by hand; look at what it does, and put \
                     it right"
                );
                finding(Level::Problem, about, says)
            });
            says.collect()
        }
        Ok(_) => {
            let says = "not compared with the migrations, because the role may not make schemas in \
                        this database; run doctor as its owner once";
            vec![finding(Level::Warning, about, says)]
        }
        Err(error) => {
            let says = format!("cannot be compared with the migrations: {error}");
            vec![finding(Level::Problem, about, says)]
        }
    }
}
