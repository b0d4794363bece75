//! The queue, before one thread that is kept busy.

use std::sync::mpsc;

use super::*;

fn on_runtime<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap()
        .block_on(future)
}

/// Keeps the only thread busy until the returned sender is used or dropped.
async fn occupy(hasher: &PasswordHasher) -> mpsc::Sender<()> {
    let (release, held) = mpsc::channel();
    let (begun, has_begun) = oneshot::channel();
    let hasher = hasher.clone();
    tokio::task::spawn_local(async move {
        hasher
            .run(Network::default(), move || {
                begun.send(()).unwrap();
                let _released_or_gone = held.recv();
            })
            .await
            .unwrap();
    });
    has_begun.await.unwrap();
    release
}

#[test]
fn work_is_done_and_answered() {
    let hasher =
        PasswordHasher::start(2, Duration::from_secs(5), Cost::MIN, Priority::Last).unwrap();
    assert_eq!(on_runtime(hasher.run(Network::default(), || 6 * 7)), Ok(42));
}

#[test]
fn a_wait_past_the_limit_is_refused_and_the_work_not_done() {
    // Long enough for a thread that the scheduler runs last to begin while other tests run.
    const LIMIT: Duration = Duration::from_secs(5);
    let local = tokio::task::LocalSet::new();
    on_runtime(local.run_until(async {
        let hasher = PasswordHasher::start(1, LIMIT, Cost::MIN, Priority::Last).unwrap();
        let release = occupy(&hasher).await;
        let (sender, done) = mpsc::channel();
        let refused = hasher
            .run(Network::default(), move || sender.send(()).unwrap())
            .await;
        assert_eq!(refused, Err(Busy { retry_after: LIMIT }));
        release.send(()).unwrap();
        let mut tries = 0;
        while hasher.run(Network::default(), || 1).await != Ok(1) {
            tries += 1;
            assert!(tries < 10, "the thread does not go on");
        }
        assert!(done.recv().is_err(), "given-up work is dropped, not done");
    }));
}

#[test]
fn a_queue_that_is_too_long_refuses_at_once() {
    let local = tokio::task::LocalSet::new();
    on_runtime(local.run_until(async {
        let hasher =
            PasswordHasher::start(1, Duration::from_secs(3_600), Cost::MIN, Priority::Last)
                .unwrap();
        hasher.0.shared.pace.pretend(Duration::from_secs(4_000));
        let release = occupy(&hasher).await;
        let asked = Instant::now();
        assert!(hasher.run(Network::default(), || ()).await.is_err());
        assert!(
            asked.elapsed() < Duration::from_secs(60),
            "did not wait in line"
        );
        drop(release);
    }));
}

#[test]
fn work_of_a_caller_that_went_away_is_not_done() {
    let local = tokio::task::LocalSet::new();
    on_runtime(local.run_until(async {
        let hasher =
            PasswordHasher::start(1, Duration::from_secs(60), Cost::MIN, Priority::Last).unwrap();
        let release = occupy(&hasher).await;
        let (sender, done) = mpsc::channel::<()>();
        let waiting = hasher.run(Network::default(), move || sender.send(()).unwrap());
        assert!(timeout(Duration::from_millis(20), waiting).await.is_err());
        release.send(()).unwrap();
        hasher.run(Network::default(), || ()).await.unwrap();
        assert!(done.recv().is_err());
    }));
}

#[test]
fn a_panic_costs_one_answer_and_no_thread() {
    let hasher =
        PasswordHasher::start(1, Duration::from_secs(5), Cost::MIN, Priority::Last).unwrap();
    let panicking = || {
        assert!(std::thread::current().name().is_none(), "on a hash thread");
    };
    assert!(on_runtime(hasher.run(Network::default(), panicking)).is_err());
    assert_eq!(on_runtime(hasher.run(Network::default(), || 1)), Ok(1));
}

#[test]
fn computed_together_or_alone_the_digest_is_the_same() {
    let local = tokio::task::LocalSet::new();
    on_runtime(local.run_until(async {
        let hasher =
            PasswordHasher::start(1, Duration::from_secs(60), Cost::MIN, Priority::Last).unwrap();
        let release = occupy(&hasher).await;
        let computation = |number: u8| Computation::new(Cost::MIN, &[number], [number; 16]);
        let waiting: Vec<_> = (1..=9)
            .map(|number| {
                let (hasher, computation) = (hasher.clone(), computation(number));
                tokio::task::spawn_local(async move {
                    hasher.compute(Network::default(), computation).await
                })
            })
            .collect();
        // Until all of them are in the queue.
        while hasher.0.shared.lock().batches_before(Some(Cost::MIN)) < 3 {
            tokio::task::yield_now().await;
        }
        release.send(()).unwrap();
        for (number, digest) in (1..=9).zip(waiting) {
            let digest = digest.await.unwrap().unwrap();
            assert_eq!(digest.bytes(), computation(number).run().bytes());
        }
    }));
}

#[test]
#[cfg(target_os = "linux")]
fn the_threads_give_way_and_have_a_share_still() {
    for (priority, niceness) in [(Priority::Last, "10"), (Priority::Normal, "0")] {
        let hasher = PasswordHasher::start(1, Duration::from_secs(5), Cost::MIN, priority).unwrap();
        let read = || std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        let stat = on_runtime(hasher.run(Network::default(), read)).unwrap();
        // After the name in parentheses: the state is field 3, and niceness is field 19.
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        let fields: Vec<&str> = fields.split(' ').collect();
        assert_eq!(fields[16], niceness, "{stat}");
        let policy = fields[38];
        assert_eq!(policy, "0", "SCHED_OTHER: {stat}");
    }
}
