//! `nexmark`.

use integration_tests::harness::cluster::for_each_cluster;

use super::{Running, client, end, run};
use crate::support::until_found;

/// A stateless query, a join and windows; the events are written once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queries_give_what_plain_loops_give_on_any_cluster() {
    for_each_cluster(async |cluster| {
        let bootstrap = cluster.bootstrap();
        let client = client(cluster);
        for query in ["q2", "q3", "q5", "q3"] {
            let printed = run(
                "nexmark",
                &[
                    "--bootstrap",
                    &bootstrap,
                    "--query",
                    query,
                    "--events",
                    "30000",
                    "--partitions",
                    "2",
                    "--until-caught-up",
                    "--check",
                ],
            )
            .await;
            let lines: Vec<&str> = printed.lines().collect();
            assert!(
                lines[0].starts_with(&format!("{query}: 30000 events, ")),
                "{printed}"
            );
            assert_eq!(lines[1], "the results are those of plain loops");
        }
        // Its own topics are gone.
        until_found("its own topics to be gone", async || {
            let topics = client.admin().list_topics().await.unwrap();
            let mut names = topics.iter().map(|topic| &topic.name);
            (!names.any(|name| name.starts_with("nexmark-"))).then_some(())
        })
        .await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_goes_on_until_it_is_told_to_end() {
    let running = Running::start("nexmark", &["--query", "q0", "--events", "1000"]);
    running.line("running; Ctrl-C ends it");
    running.interrupt();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queries_that_are_not_there_are_told() {
    let (status, _, errors) = end("nexmark", &["--query", "q6"]).await;
    assert_eq!(status.code(), Some(2));
    assert!(errors.contains("q5, q7"), "{errors}");
}
