//! Batch runs and served views that are killed by SIGKILL between every two steps of publishing a snapshot
//! and of switching to one, each a process of its own.
//!
//! What must hold: the next run, and the next process that serves, have every record that was written, once.
//! That is seen with the free monoid, which tells each key's records.
//!
//! `TIDEMARK_CRASH_STEP` tries one step only.

mod amid_switches;
mod amid_work;
mod site;

use std::time::Duration;

use integration_tests::harness::wait::until;
use integration_tests::places::places;
use tidemark_streams::serving::{Lambda, LambdaConfig};

use site::{Site, TOPIC, used};

/// More steps than any run has: something goes round in circles.
const MOST_STEPS: u64 = 400;

/// The steps that are tried, until one is not reached.
struct Steps {
    next: u64,
    only: bool,
    test: &'static str,
}

impl Steps {
    fn of(test: &'static str) -> Self {
        let only = std::env::var("TIDEMARK_CRASH_STEP").ok();
        let only: Option<u64> = only.map(|step| step.parse().expect("a number"));
        Self {
            next: only.unwrap_or(1),
            only: only.is_some(),
            test,
        }
    }

    /// Goes on behind a step; whether there may be more.
    fn go_on(&mut self, killed: bool) -> bool {
        self.next += 1;
        assert!(self.next < MOST_STEPS, "there is no end of steps");
        killed && !self.only
    }
}

impl Drop for Steps {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self { next, test, .. } = self;
            eprintln!(
                "to repeat: TIDEMARK_CRASH_STEP={next} cargo test -p integration-tests --test crash {test}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_run_that_is_killed_at_any_step_loses_nothing() {
    let mut site = Site::start().await;
    let mut steps = Steps::of("views::a_batch_run");
    // This one serves all the time.
    let config = LambdaConfig::new(&site.broker.bootstrap(), site.folder())
        .cut_every(Duration::ZERO)
        .commit_interval(Duration::from_millis(20))
        .poll(Duration::from_millis(20))
        .wait(Duration::from_secs(60));
    let lambda = Lambda::start(places(TOPIC), config).await.expect("a view");
    // So that what is killed goes on from a snapshot, and has one to clear away.
    for _ in 0..3 {
        site.write().await;
        site.cut().await;
        assert!(!site.batch(0));
    }
    loop {
        site.write().await;
        site.cut().await;
        let killed = site.batch(steps.next);
        if killed {
            site.batch(0);
        }
        let snapshot = site.check_snapshot().await;
        until("the snapshot to be read with", || {
            (lambda.snapshot() == Some(snapshot)).then_some(())
        });
        for key in site.written.keys() {
            let answer = lambda
                .get_at_least(key, &site.end)
                .await
                .expect("an answer");
            let value = serde_json::to_value(answer.value).expect("JSON");
            site.check_answer(key, &value);
        }
        if !steps.go_on(killed) {
            break;
        }
    }
    // The last one was not reached.
    let killed = steps.next - 2;
    assert!(steps.only || killed > 20, "killed at {killed} steps only");
    lambda
        .close(Duration::from_secs(60))
        .await
        .expect("it ends");
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_view_that_is_killed_while_it_loads_or_switches_answers_exactly_afterwards() {
    let mut site = Site::with_snapshots().await;
    let mut steps = Steps::of("views::a_view");
    loop {
        site.write().await;
        let mut mortal = site.launch("serve", steps.next);
        let mut killed = true;
        if let Some(address) = mortal.address() {
            // It has loaded a snapshot; now it is given another one.
            site.cut().await;
            site.batch(0);
            let snapshot = site.check_snapshot().await;
            killed = until("it to switch, or to be killed", || {
                let ended = mortal.child.try_wait().expect("a child").is_some();
                (ended || used(&address) == Some(snapshot)).then_some(ended)
            });
        }
        if killed {
            mortal.killed();
        }
        drop(mortal);
        site.check_successor().await;
        if !steps.go_on(killed) {
            break;
        }
    }
    let killed = steps.next - 2;
    assert!(steps.only || killed > 4, "killed at {killed} reads only");
    site.end().await;
}
