//! The jobs that keep the database small and up to date.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Job, JobContext};
use crate::clock::MAX_STEP;
use crate::error::Error;

/// How often the SQLite write-ahead log is checked: it grows little in this time.
const CHECKPOINT_INTERVAL: Duration = Duration::from_millis(100);

/// The longest time between two attempts while a reader prevents the checkpoint: each attempt makes
/// writers wait.
const MAX_CHECKPOINT_INTERVAL: Duration = Duration::from_secs(60);

/// How often data collected in memory is written.
const FLUSH_INTERVAL: Duration = Duration::from_secs(1);

/// How often the stored hashes are checked for the most expensive one: after this time, all processes
/// know of a hash that was stored or renewed.
const PADDING_INTERVAL: Duration = Duration::from_secs(2);

/// How often the tokens are counted, which takes a second with ten million.
const COUNT_INTERVAL: Duration = Duration::from_secs(5 * 60);

/// How often the values of the overview are stored: it shows hours.
#[cfg(feature = "pages")]
const STATISTICS_INTERVAL: Duration = Duration::from_secs(60);

/// How often the mails that wait or have failed are counted.
#[cfg(feature = "mail")]
const MAIL_COUNT_INTERVAL: Duration = Duration::from_secs(60);

/// How often names that another program has written are folded for the search.
const FOLD_INTERVAL: Duration = Duration::from_secs(60);

/// How often the keys that end soon are counted and reported.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// How often the clock is compared with the latest time that any process has seen.
const CLOCK_INTERVAL: Duration = Duration::from_secs(60);

/// When expired data is deleted for the first time, so that short-lived processes do not delete
/// any.
const PRUNE_DELAY: Duration = Duration::from_secs(60);

/// How often expired data is deleted after that.
const PRUNE_INTERVAL: Duration = Duration::from_secs(60 * 60);

pub(super) const JOBS: &[Job] = &[
    Job {
        name: "clock-advance",
        delay: FLUSH_INTERVAL,
        interval: FLUSH_INTERVAL,
        max_interval: FLUSH_INTERVAL,
        run: |context, since_last| {
            context.auth.clock().add_elapsed(since_last);
            Box::pin(std::future::ready(true))
        },
    },
    Job {
        name: "clock-check",
        delay: Duration::ZERO,
        interval: CLOCK_INTERVAL,
        max_interval: CLOCK_INTERVAL,
        run: |context, _| Box::pin(async { check_clock(context).await.is_ok() }),
    },
    Job {
        name: "flush",
        delay: FLUSH_INTERVAL,
        interval: FLUSH_INTERVAL,
        max_interval: FLUSH_INTERVAL,
        run: |context, _| Box::pin(async { context.auth.flush_pending().await.is_ok() }),
    },
    Job {
        name: "pad-refusals",
        delay: Duration::ZERO,
        interval: PADDING_INTERVAL,
        max_interval: PADDING_INTERVAL,
        run: |context, _| {
            Box::pin(async {
                context.auth.pad_refusals().await;
                true
            })
        },
    },
    Job {
        name: "count-tokens",
        delay: FLUSH_INTERVAL,
        interval: COUNT_INTERVAL,
        max_interval: COUNT_INTERVAL,
        run: |context, _| Box::pin(async { count(context).await.is_ok() }),
    },
    #[cfg(feature = "pages")]
    Job {
        name: "store-statistics",
        delay: FLUSH_INTERVAL,
        interval: STATISTICS_INTERVAL,
        max_interval: STATISTICS_INTERVAL,
        run: |context, _| Box::pin(async { context.auth.store_statistics().await.is_ok() }),
    },
    #[cfg(feature = "mail")]
    Job {
        name: "count-mails",
        delay: FLUSH_INTERVAL,
        interval: MAIL_COUNT_INTERVAL,
        max_interval: MAIL_COUNT_INTERVAL,
        run: |context, _| Box::pin(async { context.auth.count_mails().await.is_ok() }),
    },
    Job {
        name: "fold-names",
        delay: FLUSH_INTERVAL,
        interval: FOLD_INTERVAL,
        max_interval: FOLD_INTERVAL,
        run: |context, _| Box::pin(async { context.auth.fold_names().await.is_ok() }),
    },
    Job {
        name: "warn-of-expiring-keys",
        delay: FLUSH_INTERVAL,
        interval: EXPIRY_INTERVAL,
        max_interval: EXPIRY_INTERVAL,
        run: |context, _| Box::pin(async { context.auth.warn_of_expiring_keys().await.is_ok() }),
    },
    Job {
        name: "prune",
        delay: PRUNE_DELAY,
        interval: PRUNE_INTERVAL,
        max_interval: PRUNE_INTERVAL,
        run: |context, _| Box::pin(async { prune(context).await.is_ok() }),
    },
    Job {
        name: "checkpoint",
        delay: Duration::ZERO,
        interval: CHECKPOINT_INTERVAL,
        max_interval: MAX_CHECKPOINT_INTERVAL,
        run: |context, _| {
            Box::pin(async {
                let store = context.auth.store();
                store.checkpoint_wal().await.is_ok_and(|is_done| is_done)
            })
        },
    },
];

/// Checks whether the clock is trusted, and logs a warning when it no longer is.
async fn check_clock(context: &JobContext) -> Result<(), Error> {
    let is_trusted = context.auth.check_clock().await?;
    let has_warned = context
        .has_warned_of_clock
        .swap(!is_trusted, Ordering::Relaxed);
    if !is_trusted && !has_warned {
        log::warn!(
            "the clock is more than {} days ahead of the latest time seen: nothing is deleted for its \
             age until it is right again, or an operator confirms it (tokenhouse audit prune --confirm)",
            MAX_STEP.num_days()
        );
    }
    Ok(())
}

/// Counts what takes longer the more there is.
async fn count(context: &JobContext) -> Result<(), Error> {
    let tokens = context.auth.count_tokens().await?;
    #[cfg(feature = "pages")]
    context.auth.store_totals(tokens).await?;
    #[cfg(not(feature = "pages"))]
    let _ = tokens;
    Ok(())
}

/// Deletes expired data.
async fn prune(context: &JobContext) -> Result<(), Error> {
    let auth = &context.auth;
    auth.prune_tokens().await?;
    auth.prune_keys().await?;
    auth.prune_factors().await?;
    auth.audit().prune().await?;
    auth.throttle().prune().await?;
    #[cfg(feature = "mail")]
    auth.prune_mails().await?;
    #[cfg(feature = "pages")]
    auth.prune_statistics().await?;
    Ok(())
}
