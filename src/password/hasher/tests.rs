//! The hasher with one thread that is kept busy.

use std::sync::mpsc;

use super::*;

fn on_runtime<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap()
        .block_on(future)
}

fn config(threads: usize, max_wait: Duration) -> HasherConfig {
    HasherConfig {
        threads,
        max_wait,
        cost: Cost::MIN,
        max_cost: Cost::MIN,
        priority: Priority::Low,
    }
}

fn start(threads: usize, max_wait: Duration) -> PasswordHasher {
    PasswordHasher::start(config(threads, max_wait), Arc::default()).unwrap()
}

/// Keeps the only thread busy until the returned sender is used or dropped.
async fn occupy(hasher: &PasswordHasher) -> mpsc::Sender<()> {
    let (release, held) = mpsc::channel();
    let (started, has_started) = oneshot::channel();
    let hasher = hasher.clone();
    tokio::task::spawn_local(async move {
        hasher
            .run(Network::default(), move || {
                started.send(()).unwrap();
                // Fails when the sender is dropped, which is the other way to release the thread.
                let _ = held.recv();
            })
            .await
            .unwrap();
    });
    has_started.await.unwrap();
    release
}

#[test]
fn work_runs_and_returns_its_result() {
    let hasher = start(2, Duration::from_secs(5));
    assert_eq!(on_runtime(hasher.run(Network::default(), || 6 * 7)), Ok(42));
}

#[test]
fn work_that_waits_too_long_is_refused_and_not_run() {
    // Long enough for a low-priority thread to start while other tests run.
    const MAX_WAIT: Duration = Duration::from_secs(5);
    let local = tokio::task::LocalSet::new();
    on_runtime(local.run_until(async {
        let hasher = start(1, MAX_WAIT);
        let release = occupy(&hasher).await;
        let (sender, done) = mpsc::channel();
        let refused = hasher
            .run(Network::default(), move || sender.send(()).unwrap())
            .await;
        assert_eq!(
            refused,
            Err(Busy {
                retry_after: MAX_WAIT
            })
        );
        release.send(()).unwrap();
        let mut tries = 0;
        while hasher.run(Network::default(), || 1).await != Ok(1) {
            tries += 1;
            assert!(tries < 10, "the thread does not continue");
        }
        assert!(done.recv().is_err(), "refused work is dropped, not run");
    }));
}

#[test]
fn full_queue_refuses_immediately() {
    let local = tokio::task::LocalSet::new();
    on_runtime(local.run_until(async {
        let hasher = start(1, Duration::from_secs(3_600));
        hasher
            .0
            .shared
            .pace
            .set_batch_duration(Duration::from_secs(4_000));
        let release = occupy(&hasher).await;
        let started = Instant::now();
        assert!(hasher.run(Network::default(), || ()).await.is_err());
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "the refusal waited in the queue"
        );
        drop(release);
    }));
}

#[test]
fn clients_that_are_looked_up_keep_their_places() {
    let networks = [1, 2].map(|number| Network::new(Some([192, 0, number, 1].into())));
    let hasher = start(1, Duration::from_secs(10));
    let pace = &hasher.0.shared.pace;
    pace.set_batch_duration(Duration::from_secs(1));
    let reserve = |network| hasher.reserve(network).ok();
    let places: Vec<_> = std::iter::from_fn(|| reserve(networks[0])).collect();
    // Ten batches before the last one.
    assert_eq!(places.len(), 11 * MAX_BATCH);
    assert!(hasher.check_capacity(networks[0]).is_err());
    // Another network has its share, and the queue itself is empty.
    assert!(hasher.check_capacity(networks[1]).is_ok());
    assert_eq!(on_runtime(hasher.run(networks[0], || 1)), Ok(1));
    drop(places);
    assert!(hasher.check_capacity(networks[0]).is_ok());
}

#[test]
fn work_of_a_caller_that_stopped_waiting_is_not_run() {
    let local = tokio::task::LocalSet::new();
    on_runtime(local.run_until(async {
        let hasher = start(1, Duration::from_secs(60));
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
fn panic_fails_one_call_and_keeps_the_thread() {
    let hasher = start(1, Duration::from_secs(5));
    let panicking = || {
        assert!(std::thread::current().name().is_none(), "on a hash thread");
    };
    assert!(on_runtime(hasher.run(Network::default(), panicking)).is_err());
    assert_eq!(on_runtime(hasher.run(Network::default(), || 1)), Ok(1));
}

#[test]
fn hashes_computed_in_batches_verify_one_by_one() {
    let local = tokio::task::LocalSet::new();
    on_runtime(local.run_until(async {
        let hasher = start(1, Duration::from_secs(60));
        let release = occupy(&hasher).await;
        let pending: Vec<_> = (1..=9)
            .map(|number| {
                let (hasher, password) = (hasher.clone(), SecretString::from(number.to_string()));
                tokio::task::spawn_local(
                    async move { hasher.hash(Network::default(), &password).await },
                )
            })
            .collect();
        while hasher.0.shared.lock().batches_before(Some(Cost::MIN)) < 3 {
            tokio::task::yield_now().await;
        }
        release.send(()).unwrap();
        for (number, hash) in (1..=9).zip(pending) {
            let hash = hash.await.unwrap().unwrap();
            let password = number.to_string();
            assert_eq!(
                passlib::verify_password(password.as_bytes(), &hash),
                Ok(true)
            );
        }
    }));
}

#[test]
fn verification_requires_right_password_and_readable_hash_within_limits() {
    let hasher = start(1, Duration::from_secs(60));
    let verify = |password: &str, hash: Option<&str>| {
        let (password, hash) = (SecretString::from(password), hash.map(str::to_owned));
        let hash = hash.map(StoredHash::from);
        on_runtime(hasher.verify(Network::default(), &password, hash.as_ref())).unwrap()
    };
    let [own, expensive] = [4, 5].map(|cost| bcrypt::hash("pencil", cost).unwrap());
    assert!(verify("pencil", Some(&own)));
    assert!(!verify("pencil ", Some(&own)));
    assert!(!verify("pencil", Some(&expensive)));
    assert!(!verify("pencil", Some("!")));
    assert!(!verify("", None));
}

#[test]
#[cfg(target_os = "linux")]
fn low_priority_is_niceness_10() {
    // After the name in parentheses: the state is field 3, and the niceness is field 19.
    let niceness_and_policy = || {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        let fields: Vec<&str> = fields.split(' ').collect();
        (fields[16].to_owned(), fields[38].to_owned())
    };
    let (inherited, _) = niceness_and_policy();
    for (priority, expected) in [
        (Priority::Low, "10"),
        (Priority::Normal, inherited.as_str()),
    ] {
        let config = HasherConfig {
            priority,
            ..config(1, Duration::from_secs(5))
        };
        let hasher = PasswordHasher::start(config, Arc::default()).unwrap();
        let (niceness, policy) =
            on_runtime(hasher.run(Network::default(), niceness_and_policy)).unwrap();
        assert_eq!(niceness, expected);
        assert_eq!(policy, "0", "SCHED_OTHER");
    }
}
