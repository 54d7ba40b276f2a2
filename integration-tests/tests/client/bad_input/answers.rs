//! Brokers that answer what nobody asked for.

use std::time::Duration;

use bytes::Bytes;
use integration_tests::harness::proxy::Verdict;
use tidemark_client::Client;
use tidemark_protocol::messages::MetadataRequest;

use crate::support::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_in_place_of_answers() {
    behind_a_proxy(async |_, proxy| {
        let config = config(&proxy.address()).api_timeout(Duration::from_millis(900));
        let client = Client::new(config).unwrap();
        for garbage in [
            Bytes::from_static(&[0, 0, 0, 1, 0]),
            Bytes::from_static(&[0xff; 20]),
            Bytes::from_static(&[0x7f, 0xff, 0xff, 0xff]),
        ] {
            script(proxy, move |request| {
                let asked = request.is::<MetadataRequest>();
                asked.then(|| Verdict::Garbage(garbage.clone()))
            });
            let error = client.admin().list_topics().await.unwrap_err().to_string();
            for part in [&*proxy.address(), "answered garbage"] {
                assert!(error.contains(part), "{part}: {error}");
            }
        }
        script(proxy, |_| None);
        assert!(client.admin().list_topics().await.is_ok());
    })
    .await;
}
