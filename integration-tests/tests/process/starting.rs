//! Starting: defaults, banner, what stands in the way.

use std::net::TcpListener;

use integration_tests::harness::calls::{
    batch, connect, create_topic, metadata, produce, read_all,
};
use integration_tests::harness::files::{contents, is_marked_clean, names};
use integration_tests::harness::process::Launch;

use super::{check_failed, fill, numbered, start, temp_dir};

/// Ports come from the environment; apart from that this is the bare `tidemark`.
#[tokio::test]
async fn without_arguments_it_serves_with_data_where_it_was_started() {
    let dir = temp_dir();
    let broker = Launch::new(dir.path()).start();
    let banner = broker.banner();
    let listener = broker.bootstrap();
    for line in [
        format!("Tidemark {}", env!("CARGO_PKG_VERSION")),
        format!("  listening   PLAINTEXT://{listener}"),
        "  data        ./tidemark-data".to_owned(),
        format!("  http        http://{}/metrics", broker.http()),
        "  durability  acks=all answers when the data is on disk".to_owned(),
    ] {
        assert!(banner.text.lines().any(|l| l == line), "{line}: {banner:?}");
    }
    assert_eq!(banner.text.lines().count(), 5, "{banner:?}");
    let data = dir.path().join("tidemark-data");
    assert!(names(&data).contains(&"meta.properties".to_owned()));

    let mut connection = connect(listener).await;
    assert_eq!(metadata(&mut connection).await.topics.len(), 0);
    create_topic(&mut connection, "first", 1, &[]).await;
    produce(&mut connection, "first", batch("hello", None), -1).await;
    let read = read_all(&mut connection, "first").await;
    assert_eq!(read, [(0, "hello".to_owned())]);
    assert!(names(&data).contains(&"first-0".to_owned()));
    broker.stop();
}

#[test]
fn the_banner_says_when_acknowledgements_do_not_wait_for_the_disk() {
    let dir = temp_dir();
    let broker = Launch::new(dir.path())
        .set("tidemark.acks.all.durable", "false")
        .set("tidemark.http.listener", "none")
        .start();
    let banner = broker.banner();
    let expected = "acks=all answers from the page cache (tidemark.acks.all.durable=false)";
    assert!(banner.text.contains(expected), "{banner:?}");
    assert_eq!(banner.http, None);
    broker.stop();
}

#[test]
fn a_second_broker_on_the_same_directory_says_so() {
    let dir = temp_dir();
    let first = Launch::new(dir.path()).start();
    let second = Launch::new(dir.path()).output("second").run_to_end();
    check_failed(
        &second,
        1,
        &["tidemark-data", "is in use by another broker"],
    );
    first.stop();
    // The lock goes with its holder.
    Launch::new(dir.path()).start().stop();
}

#[test]
fn a_port_in_use_is_named() {
    let dir = temp_dir();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it is bound").to_string();
    let check = |key: &str, value: &str| {
        let ended = Launch::new(dir.path()).set(key, value).run_to_end();
        let cannot = format!("cannot listen on {address}");
        check_failed(&ended, 1, &[&cannot, "in use"]);
    };
    check("listeners", &format!("PLAINTEXT://{address}"));
    check("tidemark.http.listener", &address);
}

/// The start that fails has done nothing yet that the mark of a clean shutdown would not vouch for.
#[tokio::test]
async fn a_port_in_use_does_not_cost_the_clean_shutdown() {
    let dir = temp_dir();
    let (broker, mut connection) = start(dir.path()).await;
    fill(&mut connection, "kept", &["one"]).await;
    let data = broker.data_dir();
    broker.stop();
    let before = contents(&data);
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it is bound").to_string();
    for (key, value) in [
        ("listeners", format!("PLAINTEXT://{address}")),
        // The ports of others have been taken by then.
        ("tidemark.http.listener", address.clone()),
    ] {
        let ended = Launch::new(dir.path()).set(key, &value).run_to_end();
        check_failed(&ended, 1, &["cannot listen on", &address]);
        assert!(is_marked_clean(&data), "{key}");
        assert_eq!(contents(&data), before, "{key}");
    }
    let (broker, mut connection) = start(dir.path()).await;
    let errors = broker.errors();
    assert!(!errors.contains("recovered"), "{errors}");
    assert_eq!(read_all(&mut connection, "kept").await, numbered(&["one"]));
    broker.stop();
}

#[test]
fn an_unknown_command_or_option_is_refused() {
    let dir = temp_dir();
    for argument in ["--frobnicate", "surplus"] {
        let ended = Launch::new(dir.path()).arg(argument).run_to_end();
        check_failed(&ended, 2, &[argument]);
    }
    let ended = Launch::new(dir.path()).arg("--set").arg("no-equals-sign");
    check_failed(&ended.run_to_end(), 2, &["KEY=VALUE"]);
}
