//! Views of two topics, and topics that are made again, are given partitions, or lose records.

use std::collections::BTreeSet;

use tidemark_client::admin::NewPartitions;

use super::*;

/// They have the same keys, partitions and offsets, and states of their own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_record_of_two_topics_is_in_the_answer_once() {
    let fixture = Fixture::start().await;
    fixture.make(NewTopic::new("others").partitions(2)).await;
    let start = async || {
        let config = fixture.config().workers(2).hold(3);
        let view = view_of("places", 1, &[TOPIC, "others"]);
        Lambda::start(view, config).await.unwrap()
    };
    let write = async |first: usize, second: usize| {
        let mut end = fixture.write(first).await;
        let others = fixture.write_to("others", &[0, 1], second).await;
        for (topic, partition, to) in others.iter() {
            end.set(topic, partition, to);
        }
        end
    };
    let end = write(90, 40).await;
    let lambda = start().await;
    assert_eq!(check(&lambda, &end).await, None);
    let first = covered(&lambda, &end).await;
    assert_eq!(check(&lambda, &end).await, Some(first));
    let end = write(30, 50).await;
    assert_eq!(check(&lambda, &end).await, Some(first));
    let answer = lambda.get(&user(0)).unwrap();
    for part in [answer.batch.unwrap(), answer.speed.unwrap()] {
        let topics: BTreeSet<u32> = part.iter().map(|place| place.topic).collect();
        assert_eq!(topics, BTreeSet::from([0, 1]));
    }
    close(lambda).await;
    let lambda = start().await;
    assert_eq!(check(&lambda, &end).await, Some(first));
    renewed(&lambda, first, &end).await;
    close(lambda).await;
    fixture.end().await;
}

/// Its offsets mean other records: nothing of the one before it is in any answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_is_made_again_is_another_one() {
    let fixture = Fixture::start().await;
    let end = fixture.write(90).await;
    let lambda = fixture.keep(view()).await;
    let first = covered(&lambda, &end).await;
    close(lambda).await;
    let files = || fixture.files("events/topic=events").len();
    let before = files();
    fixture.make_again().await;
    let end = fixture.write(60).await;
    let lambda = fixture.keep(view()).await;
    assert_eq!(lambda.snapshot(), None);
    let trouble = lambda.runs.refresh.trouble().unwrap();
    assert!(trouble.contains("made again"), "{trouble}");
    assert_eq!(check(&lambda, &end).await, None);
    let error = lambda.run_batch().await.unwrap_err().to_string();
    assert!(error.contains("made again"), "{error}");
    let told = lambda.runs.trouble().unwrap();
    assert!(told.contains("the last batch run has failed"), "{told}");
    // It has to be asked for: the log has not got any more what the snapshots have.
    let scratch = fixture.batch(BatchConfig::new().from_scratch(true));
    let second = until("a snapshot that has everything", async || {
        // At the cuts that have been announced by then.
        let BatchOutcome::Published(own) = scratch.run(None).await.unwrap() else {
            return None;
        };
        let manifest = own.manifest;
        lambda.runs.refresh.once().await.unwrap();
        manifest.coverage().includes(&end).then_some(manifest)
    });
    let second = second.await;
    assert!(second.snapshot > first);
    assert_eq!(check(&lambda, &end).await, Some(second.snapshot));
    assert!(files() > before);
    close(lambda).await;
    fixture.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_is_made_again_while_it_is_read_ends_the_view() {
    let fixture = Fixture::start().await;
    let end = fixture.write(30).await;
    let config = fixture.config().poll(Duration::from_millis(100));
    let lambda = Lambda::start(view(), config).await.unwrap();
    lambda.covers(&end).await.unwrap();
    fixture.make_again().await;
    // More than there was: its offsets seem to go on.
    fixture.write(90).await;
    let user = user(0);
    let error = until("the view to end", async || {
        match lambda.get(&user) {
            Err(QueryError::Ended(error)) => return Some(error),
            Ok(answer) => assert!(end.includes(&answer.coverage), "{answer:?}"),
            Err(error) => assert!(error.may_pass(), "{error}"),
        }
        None
    });
    let error = error.await;
    assert!(
        error.contains("made again") || error.contains("does not exist"),
        "{error}"
    );
    let _ = lambda.close(Duration::from_secs(60)).await;
    fixture.end().await;
}

/// The topic has five partitions from now on.
async fn give_it_five(fixture: &Fixture) {
    let five = [(TOPIC, NewPartitions::increase_to(5))];
    let admin = fixture.client.admin();
    let grown = admin.create_partitions(five, Mode::Apply).await;
    grown.unwrap().all().unwrap();
}

/// The next look for snapshots sees it, minutes before the group hears of it. Nothing goes on behind that: no
/// snapshots are made for a view that does not answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_is_given_partitions_while_it_is_read_ends_the_view() {
    let fixture = Fixture::start().await;
    let end = fixture.write(60).await;
    let config = fixture.config().poll(Duration::from_millis(100));
    let config = config.batch_every(Duration::from_millis(50));
    let lambda = Lambda::start(view(), config).await.unwrap();
    lambda.covers(&end).await.unwrap();
    give_it_five(&fixture).await;
    let told = failed(&lambda).await;
    assert!(
        told.contains("has been given more partitions: it had 3, and has 5"),
        "{told}"
    );
    let error = lambda.get(&user(0)).unwrap_err();
    assert_eq!(error, QueryError::Ended(told));
    until("all that it does to end", async || {
        let mut tasks = lambda.tasks.iter();
        tasks.all(JoinHandle::is_finished).then_some(())
    })
    .await;
    let _ = lambda.close(Duration::from_secs(60)).await;
    fixture.end().await;
}

/// The speed layer begins anew, and leaves out what the snapshot has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_may_be_given_more_partitions() {
    let fixture = Fixture::start().await;
    let end = fixture.write(60).await;
    let lambda = fixture.keep(view()).await;
    let first = covered(&lambda, &end).await;
    close(lambda).await;
    give_it_five(&fixture).await;
    let record = ProducerRecord::to("events")
        .key(Bytes::from_static(b"user1"))
        .value(Bytes::from_static(b"{}"))
        .partition(4);
    let producer = fixture.client.producer(ProducerConfig::new()).unwrap();
    producer.send(&record).await.unwrap().await.unwrap();
    let mut end = fixture.write(60).await;
    end.set("events", 4, 1);
    let lambda = fixture.keep(view()).await;
    assert_eq!(check(&lambda, &end).await, Some(first));
    renewed(&lambda, first, &end).await;
    close(lambda).await;
    fixture.end().await;
}

/// What only the speed layer has must not be lost to a first snapshot that begins later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_snapshot_has_what_the_speed_layer_has() {
    let fixture = Fixture::start().await;
    let end = fixture.write(60).await;
    let lambda = fixture.keep(view()).await;
    lambda.covers(&end).await.unwrap();
    until("all origins", async || {
        let announced = lambda.runs.control.announced().await.unwrap();
        (announced.origins.len() == 3).then_some(())
    })
    .await;
    fixture.lose(0, 5).await;
    let error = lambda.run_batch().await.unwrap_err().to_string();
    assert!(
        error.contains("a first snapshot would lose those between"),
        "{error}"
    );
    assert_eq!(check(&lambda, &end).await, None);
    // Unless that is asked for.
    until("a snapshot", async || {
        lambda.run_batch_from_scratch().await.unwrap();
        lambda.snapshot()
    })
    .await;
    let answer = lambda.get(&user(0)).unwrap();
    assert_eq!(answer.begin.get("events", 0), 5);
    close(lambda).await;
    fixture.end().await;
}
