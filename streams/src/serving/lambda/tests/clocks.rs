//! Clocks that jump.

use super::*;
use crate::serving::http::serve;

/// The server's clock has gone back to 1970: nothing is fresher than now, or younger than nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_of_the_future_after_a_clock_has_gone_back() {
    let fixture = Fixture::start().await;
    let end = fixture.write(60).await;
    let lambda = fixture.keep(view()).await;
    let snapshot = covered(&lambda, &end).await;
    let (clock, _stands_still) = Clock::manual(1);
    assert_eq!(clock.now().wall, 0);
    let ServedView(desk) = lambda.served();
    let server = serve("127.0.0.1:0", vec![desk], clock).await.unwrap();
    until("the time of what has been read", async || {
        let (status, answer) = http(&server, "/views/places/keys/user0").await;
        assert_eq!(
            (status, &answer["snapshot"]),
            (200, &snapshot.into()),
            "{answer}"
        );
        let fresh = answer["freshness_ms"].as_i64()?;
        assert_eq!(fresh, 0, "{answer}");
        Some(())
    })
    .await;
    let (_, about) = http(&server, "/views/places").await;
    assert_eq!(about["snapshot"]["age_ms"], 0, "{about}");
    close(lambda).await;
    fixture.end().await;
}
