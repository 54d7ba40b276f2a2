//! What cannot be kept.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_view_that_makes_no_sense_is_refused() {
    let fixture = Fixture::start().await;
    let refused = async |view: View<Key, Free>| {
        let started = Lambda::start(view, fixture.config()).await;
        started.err().unwrap().to_string()
    };
    let compacted = NewTopic::new("keyed").config("cleanup.policy", "compact");
    fixture.make(compacted).await;
    let cases = [
        (view_of("places", 1, &["keyed"]), "cleanup.policy=compact"),
        (view_of("places", 1, &["missing"]), "missing"),
        (View::new("places", 1, Free::new()), "reads no topic"),
    ];
    for (view, why) in cases {
        let error = refused(view).await;
        assert!(error.contains(why), "{error}");
    }
    fixture.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_runs_at_once_one_is_let_in() {
    let fixture = Fixture::start().await;
    fixture.write(30).await;
    let batch = fixture.batch(BatchConfig::new());
    let held = crate::serving::snapshot::folder::Lock::take(&fixture.snapshots().join("places"));
    let error = batch.run(None).await.unwrap_err().to_string();
    assert!(error.contains("another batch run is at work"), "{error}");
    drop(held);
    let outcome = batch.run(None).await.unwrap();
    assert!(matches!(outcome, BatchOutcome::Published(_)));
    let outcome = batch.run(None).await.unwrap();
    let (snapshot, left_out) = (Some(1), Vec::new());
    assert_eq!(outcome, BatchOutcome::NothingNew { snapshot, left_out });
    fixture.end().await;
}

/// Records that are in no snapshot have gone, and the speed layer begins behind them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hole_in_the_log_is_told_by_runs_and_by_answers() {
    let fixture = Fixture::start().await;
    fixture.write(30).await;
    let batch = fixture.batch(BatchConfig::new());
    batch.run(None).await.unwrap();
    let end = fixture.write(30).await;
    fixture.lose(0, end.get(TOPIC, 0)).await;
    let error = batch.run(None).await.unwrap_err().to_string();
    assert!(error.contains("are lost to this view"), "{error}");
    let lambda = fixture.keep(view()).await;
    let user = user(0);
    let error = until("the partitions", async || match lambda.get(&user) {
        Err(QueryError::Elsewhere(_)) => None,
        other => Some(other.unwrap_err().to_string()),
    });
    assert_eq!(
        error.await,
        "events-0: snapshot 1 ends at offset 10, and the speed layer has no segment that begins there: an answer \
         would have a gap. It is there again with the next snapshot; if batch runs say that records are lost, \
         with the next one that is computed from scratch"
    );
    // As it says.
    let error = lambda.run_batch().await.unwrap_err().to_string();
    assert!(error.contains("are lost to this view"), "{error}");
    let answer = until("a snapshot from scratch", async || {
        lambda.run_batch_from_scratch().await.unwrap();
        lambda.get(&user).ok()
    });
    let begin = answer.await.begin;
    assert_eq!(begin.get(TOPIC, 0), end.get(TOPIC, 0));
    close(lambda).await;
    fixture.end().await;
}
