//! HTTP: health and metrics.

use integration_tests::harness::calls::{
    PRODUCE, batch, connect, create_topic, produce, produce_request, read_all,
};
use integration_tests::harness::http::{get, metric};
use integration_tests::harness::process::Launch;

use super::temp_dir;

#[tokio::test]
async fn health_and_metrics_say_what_has_happened() {
    let dir = temp_dir();
    let broker = Launch::new(dir.path()).start();
    let http = broker.http();
    for (path, status, body) in [
        ("/health/live", 200, "live\n"),
        ("/health/ready", 200, "ready\n"),
        ("/nothing/here", 404, ""),
    ] {
        let answer = get(http, path);
        assert_eq!((answer.status, answer.body.as_str()), (status, body));
    }
    let value = |name: &str| metric(http, name).unwrap_or_else(|| panic!("no {name}"));
    assert_eq!(value("tidemark_connections"), 0.0);
    assert_eq!(value("tidemark_topics"), 0.0);
    assert_eq!(value("tidemark_received_bytes_total"), 0.0);

    let mut connection = connect(broker.bootstrap()).await;
    create_topic(&mut connection, "counted", 3, &[]).await;
    let record = batch(&"x".repeat(1000), None);
    let size = record.len() as f64;
    for _ in 0..5 {
        produce(&mut connection, "counted", record.clone(), -1).await;
    }
    assert_eq!(read_all(&mut connection, "counted").await.len(), 5);

    assert_eq!(value("tidemark_connections"), 1.0);
    assert_eq!(value("tidemark_topics"), 1.0);
    assert_eq!(value("tidemark_partitions"), 3.0);
    assert_eq!(value("tidemark_log_bytes"), 5.0 * size);
    assert_eq!(value("tidemark_requests_total{api=\"Produce\"}"), 5.0);
    assert_eq!(value("tidemark_requests_total{api=\"Fetch\"}"), 1.0);
    let count = "tidemark_request_duration_seconds_count{api=\"Produce\"}";
    assert_eq!(value(count), 5.0);
    // Both ways the records went once, with some bytes around them.
    let records = 5.0 * size;
    let about = records..records + 5.0 * 300.0;
    for name in ["tidemark_received_bytes_total", "tidemark_sent_bytes_total"] {
        assert!(about.contains(&value(name)), "{name} {}", value(name));
    }
    let errors = "tidemark_errors_total{api=\"Produce\",error=\"UNKNOWN_TOPIC_OR_PARTITION (3)\"}";
    assert_eq!(metric(http, errors), None);
    let missing = produce_request("missing", record, 1);
    let refused = connection.call(PRODUCE, &missing).await;
    refused.expect("Produce is answered");
    assert_eq!(metric(http, errors), Some(1.0));
    let head = get(http, "/metrics").head.to_lowercase();
    assert!(
        head.contains("content-type: application/openmetrics-text"),
        "{head}"
    );
    broker.stop();
}
