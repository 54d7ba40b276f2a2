//! The choice of a broker, over connections that the test makes.

use std::sync::Arc;

use parking_lot::Mutex;

use super::*;

/// Lets every task run until it waits for something that does not come by itself.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn whoever_has_just_failed_is_asked_last() {
    for seed in 0..10 {
        let tried = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&tried);
        let (clock, _time) = Clock::manual(seed);
        let config =
            ClientConfig::new("a:1,b:1,c:1")
                .clock(clock)
                .transport(move |host: &str, _| {
                    seen.lock().push(host.to_owned());
                    std::future::ready(Err(std::io::ErrorKind::ConnectionRefused.into()))
                });
        let cluster = Cluster::start(config).unwrap();
        for failed in [1, 0] {
            let address = &cluster.inner.bootstrap[failed];
            let link = cluster.inner.pool.link(address, Lane::General).await;
            assert!(link.is_err());
        }
        tried.lock().clear();
        let any = tokio::spawn(async move { cluster.any_link().await.err() });
        settle().await;
        assert_eq!(*tried.lock(), ["c"], "seed {seed}");
        any.abort();
    }
}
