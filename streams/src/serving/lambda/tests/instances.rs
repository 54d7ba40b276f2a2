//! Several instances of one view.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

/// What all keys together have, if this instance has all partitions: each record of the coverage once.
/// Whether it has.
fn look(lambda: &Lambda<Key, Free>) -> bool {
    match lambda.reader().range(.., 99, None) {
        Ok(page) => {
            let rows = page.rows.into_iter().map(|row| row.value);
            assert_eq!(
                offsets(rows),
                all_offsets(lambda, &Coverage::new(), &page.coverage)
            );
            true
        }
        Err(error) => {
            assert!(error.may_pass(), "{error}");
            false
        }
    }
}

/// Waits until that instance does not answer any more, since the other one has some of the partitions. It
/// says so, and what it says until then is exact.
async fn until_elsewhere(lambda: &Lambda<Key, Free>) {
    until("partitions to go elsewhere", async || {
        look(lambda);
        let error = lambda.get(&user(0)).err()?;
        matches!(error, QueryError::Elsewhere(_)).then_some(())
    })
    .await;
    let server = lambda.serve("127.0.0.1:0").await.unwrap();
    let (status, error) = http(&server, "/views/places/keys/user0").await;
    assert_eq!(
        (status, &error["error"]["code"]),
        (503, &"elsewhere".into()),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_take_over_from_one_another_while_records_are_written() {
    let fixture = Fixture::start().await;
    let start = async |name: &str| {
        let config = fixture.config().state_dir(fixture.dir.path().join(name));
        Lambda::start(view(), config).await.unwrap()
    };
    fixture.write(60).await;
    let done = AtomicBool::new(false);
    let write = async {
        let mut end = Coverage::new();
        while !done.load(Ordering::Acquire) {
            end = fixture.write(15).await;
            Clock::system().sleep(Duration::from_millis(5)).await;
        }
        end
    };
    let work = async {
        let one = start("one").await;
        until("answers of the first one", async || {
            look(&one).then_some(())
        })
        .await;
        covered(&one, &Coverage::new()).await;
        for _ in 0..3 {
            let two = start("two").await;
            until_elsewhere(&one).await;
            // Either may make snapshots: it is the log that is read for them.
            let _ = two.run_batch().await;
            close(two).await;
            until("all partitions to come back", async || {
                look(&one).then_some(())
            })
            .await;
            one.run_batch().await.unwrap();
        }
        let two = start("two").await;
        until_elsewhere(&one).await;
        close(one).await;
        until("all partitions to come over", async || {
            look(&two).then_some(())
        })
        .await;
        done.store(true, Ordering::Release);
        two
    };
    let (end, last) = tokio::join!(write, work);
    check(&last, &end).await;
    let snapshot = covered(&last, &end).await;
    assert_eq!(check(&last, &end).await, Some(snapshot));
    close(last).await;
    fixture.end().await;
}
