//! Background jobs: a table of jobs, and the thread that repeats each of them at its interval.
//!
//! Requests are served correctly without them, but then only [`Auth::flush`] writes the data
//! collected in memory (key uses, sums of denials), and nothing is deleted for its age.

mod maintenance;
#[cfg(feature = "mail")]
mod outbox;

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::AtomicBool;
use std::thread::{self, JoinHandle};
use std::time::Duration;

#[cfg(feature = "mail")]
use futures_util::future::join;
use futures_util::future::{join_all, select};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use crate::auth::Auth;

/// Runs the background jobs of a service until it is dropped.
///
/// `tokenhouse serve` starts one. An app with its own [`Auth`] starts one too, next to its server, and
/// drops it after the server has stopped.
#[derive(Debug)]
pub struct Worker {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// A task that repeats at an interval.
struct Job {
    name: &'static str,
    /// When it runs for the first time after the start.
    delay: Duration,
    interval: Duration,
    /// The interval doubles up to this while the job cannot do its work.
    max_interval: Duration,
    /// Returns whether the job has done its work. If not, the job itself reports the cause.
    run: for<'a> fn(&'a JobContext, since_last: Duration) -> JobFuture<'a>,
}

type JobFuture<'a> = Pin<Box<dyn Future<Output = bool> + 'a>>;

/// The data that the jobs share.
struct JobContext {
    auth: Auth,
    /// Whether the log already says that the clock is not trusted.
    has_warned_of_clock: AtomicBool,
}

impl Worker {
    /// Starts the jobs on a thread of their own.
    ///
    /// # Errors
    /// When the system cannot start a thread.
    pub fn start(auth: &Auth) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()?;
        let (stop, stopped) = oneshot::channel();
        let context = JobContext {
            auth: auth.clone(),
            has_warned_of_clock: AtomicBool::new(false),
        };
        let run = move || {
            // Each job waits on its own, so a slow one does not delay the others.
            let jobs = join_all(maintenance::JOBS.iter().map(|job| job.repeat(&context)));
            #[cfg(not(feature = "mail"))]
            runtime.block_on(select(Box::pin(jobs), stopped));
            #[cfg(feature = "mail")]
            runtime.block_on(async {
                let mut outbox = outbox::Outbox::new(&context.auth);
                select(Box::pin(join(jobs, outbox.run())), stopped).await;
                outbox.finish().await;
            });
        };
        let thread = thread::Builder::new().name("worker".to_owned());
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread.spawn(run)?),
        })
    }
}

impl Drop for Worker {
    /// Waits for the queries in progress, which have timeouts, so that what they write is not lost, and a
    /// little for mails that are being sent.
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            log::error!("a background job panicked");
        }
    }
}

impl Job {
    async fn repeat(&self, context: &JobContext) {
        let mut last = Instant::now();
        let mut interval = self.interval;
        sleep(self.delay).await;
        loop {
            let since_last = last.elapsed();
            last = Instant::now();
            if (self.run)(context, since_last).await {
                interval = self.interval;
            } else {
                log::debug!("job {}: not done", self.name);
                interval = (interval * 2).min(self.max_interval);
            }
            sleep(interval).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::maintenance::JOBS;

    #[test]
    fn job_names_are_unique_and_intervals_positive() {
        let names: HashSet<_> = JOBS.iter().map(|job| job.name).collect();
        assert_eq!(names.len(), JOBS.len());
        for job in JOBS {
            assert!(!job.interval.is_zero(), "{}", job.name);
            assert!(job.interval <= job.max_interval, "{}", job.name);
        }
    }
}
