//! A broker inside the test's process.

use std::path::Path;

use tidemark_broker::config::BrokerConfig;
use tidemark_broker::environment::Environment;
use tidemark_broker::{Broker, Handle};

/// Starts a broker on ports that the system chooses, with its data in `dir` on the environment's
/// disk. `options` come on top.
pub async fn start(dir: &Path, environment: Environment, options: &[(&str, &str)]) -> Handle {
    let dir = dir.to_str().expect("test directories have plain names");
    let base = [
        ("listeners", "PLAINTEXT://127.0.0.1:0"),
        ("tidemark.http.listener", "none"),
        ("group.initial.rebalance.delay.ms", "0"),
        ("offsets.topic.num.partitions", "2"),
        ("log.dirs", dir),
    ];
    let pairs = base.into_iter().chain(options.iter().copied());
    let config = BrokerConfig::from_pairs(pairs).expect("the options are good");
    Broker::start(config, environment)
        .await
        .unwrap_or_else(|error| panic!("the broker does not start: {error}"))
}
