//! Views that were down for so long that they cannot go on where they were.

use super::*;

/// The first partition's log begins there when it has lost records.
const LEFT: i64 = 30;

/// A view that has been closed at offset 20 of each partition, which have 20 records more now; where they end,
/// and the view's snapshot.
async fn closed() -> (Fixture, Coverage, u64) {
    let fixture = Fixture::start().await;
    let end = fixture.write(60).await;
    let lambda = fixture.keep(view()).await;
    let snapshot = covered(&lambda, &end).await;
    close(lambda).await;
    let end = fixture.write(60).await;
    (fixture, end, snapshot)
}

/// Where answers begin when the log has lost records that are in no snapshot.
fn begin() -> Coverage {
    let mut begin = Coverage::new();
    begin.set(TOPIC, 0, LEFT);
    begin
}

async fn published(batch: Batch<Key, Free>, cut: Option<&Coverage>) -> u64 {
    match batch.run(cut).await.unwrap() {
        BatchOutcome::Published(own) => own.manifest.snapshot,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_view_goes_on_where_a_snapshot_from_scratch_ends() {
    let (fixture, mut end, first) = closed().await;
    fixture.lose(0, LEFT).await;
    let refused = fixture.batch(BatchConfig::new()).run(None).await;
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("are lost to this view"), "{refused}");
    let scratch = fixture.batch(BatchConfig::new().from_scratch(true));
    let scratch = published(scratch, None).await;
    assert!(scratch > first);
    let lambda = fixture.keep(view()).await;
    assert_eq!(check_from(&lambda, &begin(), &end).await, Some(scratch));
    let next = covered(&lambda, &end).await;
    assert_eq!(check_from(&lambda, &begin(), &end).await, Some(next));
    // What it has left out is saved, too.
    close(lambda).await;
    end = fixture.write(30).await;
    let lambda = fixture.keep(view()).await;
    assert_eq!(check_from(&lambda, &begin(), &end).await, Some(next));
    close(lambda).await;
    fixture.end().await;
}

/// What the log has lost is in the snapshot: nothing is missing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_view_goes_on_where_a_snapshot_ends_that_is_ahead() {
    let (fixture, mut end, _) = closed().await;
    let ahead = published(fixture.batch(BatchConfig::new()), Some(&end)).await;
    fixture.lose(0, LEFT).await;
    end = fixture.write(30).await;
    let lambda = fixture.keep(view()).await;
    assert_eq!(check(&lambda, &end).await, Some(ahead));
    let next = covered(&lambda, &end).await;
    assert_eq!(check(&lambda, &end).await, Some(next));
    close(lambda).await;
    fixture.end().await;
}

/// Starts it, and it ends, since no snapshot has what the log has lost.
async fn started_in_vain(fixture: &Fixture) -> Lambda<Key, Free> {
    let lambda = fixture.keep(view()).await;
    let told = failed(&lambda).await;
    let words = [
        "events-0: the log begins at offset 30",
        "was to go on at 20",
        "`tidemark batch run --from-scratch`",
        "start the view again",
    ];
    for words in words {
        assert!(told.contains(words), "{words}: {told}");
    }
    assert_eq!(
        lambda.get(&user(0)).unwrap_err(),
        QueryError::Ended(told.clone())
    );
    lambda
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_view_that_cannot_go_on_says_what_helps() {
    let (fixture, end, first) = closed().await;
    fixture.lose(0, LEFT).await;
    let lambda = started_in_vain(&fixture).await;
    let _ = lambda.close(Duration::from_secs(60)).await;
    let lambda = started_in_vain(&fixture).await;
    // It helps also if the view itself is asked for it, though it has ended.
    lambda.run_batch_from_scratch().await.unwrap();
    let _ = lambda.close(Duration::from_secs(60)).await;
    let lambda = fixture.keep(view()).await;
    assert!(lambda.snapshot() > Some(first));
    check_from(&lambda, &begin(), &end).await;
    let next = covered(&lambda, &end).await;
    assert_eq!(check_from(&lambda, &begin(), &end).await, Some(next));
    close(lambda).await;
    fixture.end().await;
}

/// Offsets of a group without members are forgotten after some days (`offsets.retention.minutes`).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_view_whose_group_has_been_forgotten_says_what_helps() {
    let (fixture, end, first) = closed().await;
    let admin = fixture.client.admin();
    let topics = admin.list_topics().await.unwrap().into_iter();
    let topics = topics.map(|topic| topic.name);
    let own: Vec<String> = topics.filter(|name| name.starts_with("places-")).collect();
    let mut names = own.iter();
    let group = names.find_map(|name| name.strip_suffix("-cuts")).unwrap();
    let gone = admin.delete_groups([group]).await.unwrap();
    gone.all().unwrap();
    let lambda = fixture.keep(view()).await;
    let told = failed(&lambda).await;
    let _ = lambda.close(Duration::from_secs(60)).await;
    let words = [
        "the group has no offsets".to_owned(),
        format!("delete the group {group:?}"),
        format!("all topics whose names begin with \"{group}-\""),
    ];
    for words in words {
        assert!(told.contains(&words), "{words}: {told}");
    }
    // What is said helps: the group may be there again, or not.
    let _ = admin.delete_groups([group]).await.unwrap();
    let gone = admin.delete_topics(own.clone()).await.unwrap();
    gone.all().unwrap();
    let lambda = fixture.keep(view()).await;
    assert_eq!(check(&lambda, &end).await, Some(first));
    renewed(&lambda, first, &end).await;
    close(lambda).await;
    fixture.end().await;
}
