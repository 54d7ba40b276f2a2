//! Restarts, and other versions of the view.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_record_is_in_the_answer_once() {
    let fixture = Fixture::start().await;
    let mut end = fixture.write(100).await;
    let lambda = fixture.keep(view()).await;
    assert_eq!(check(&lambda, &end).await, None);
    let first = covered(&lambda, &end).await;
    assert_eq!(check(&lambda, &end).await, Some(first));
    end = fixture.write(100).await;
    assert_eq!(check(&lambda, &end).await, Some(first));
    // It goes on where it was, with its segments and the snapshot.
    close(lambda).await;
    end = fixture.write(50).await;
    let lambda = fixture.keep(view()).await;
    assert_eq!(check(&lambda, &end).await, Some(first));
    renewed(&lambda, first, &end).await;
    // From the beginning it is the same.
    let scratch = fixture.batch(BatchConfig::new().from_scratch(true));
    let cut = lambda.runs.control.announced().await.unwrap().newest();
    let outcome = scratch.run(Some(&cut)).await.unwrap();
    let BatchOutcome::Published(scratch) = outcome else {
        panic!("{outcome:?}");
    };
    let scratch = scratch.manifest;
    assert_eq!(scratch.parent, None);
    lambda.runs.refresh.once().await.unwrap();
    assert_eq!(check(&lambda, &end).await, Some(scratch.snapshot));
    close(lambda).await;
    fixture.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_view_is_computed_anew() {
    let fixture = Fixture::start().await;
    let end = fixture.write(60).await;
    let lambda = fixture.keep(view()).await;
    let first = covered(&lambda, &end).await;
    close(lambda).await;
    let lambda = fixture.keep(view_of("places", 2, &[TOPIC])).await;
    assert_eq!(lambda.snapshot(), None);
    let trouble = lambda.runs.refresh.trouble().unwrap();
    assert!(
        trouble.contains("places version 1") && trouble.contains("version 2"),
        "{trouble}"
    );
    assert_eq!(check(&lambda, &end).await, None);
    let second = covered(&lambda, &end).await;
    assert!(second > first);
    for number in first + 1..=second {
        let manifest = lambda
            .runs
            .batch
            .snapshots()
            .manifest(number)
            .await
            .unwrap();
        // The first one goes on from nothing; events are written once, whatever is computed of them.
        let parent = (number > first + 1).then(|| number - 1);
        assert_eq!((manifest.parent, manifest.events.len()), (parent, 0));
    }
    assert_eq!(check(&lambda, &end).await, Some(second));
    close(lambda).await;
    fixture.end().await;
}
