//! What the examples share: a cluster with topics, and an application that runs until it has caught
//! up or is told to end.
// Each example takes what it needs.
#![allow(dead_code, unreachable_pub, reason = "shared by examples")]

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use tidemark_broker::config::BrokerConfig;
use tidemark_broker::environment::Environment;
use tidemark_broker::{Broker, Handle};
use tidemark_client::admin::{Mode, NewTopic, OffsetSpec};
use tidemark_client::consumer::{Consumer, ConsumerConfig, IsolationLevel, OffsetReset};
use tidemark_client::producer::{ProducerConfig, ProducerRecord};
use tidemark_client::{Client, ClientError, ErrorCode, TopicPartition};
use tidemark_streams::{Streams, StreamsConfig, Topology};
use tokio::signal::unix::{SignalKind, signal};

/// Whatever goes wrong.
pub type Failure = Box<dyn Error + Send + Sync>;

/// How long closing may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The options that all examples have.
#[derive(Args)]
pub struct Common {
    /// The cluster. Without it there is a broker in this process, with sample events in it.
    #[arg(long, value_name = "HOST:PORT")]
    bootstrap: Option<String>,
    /// The application's id: its group, and what the names of its own topics begin with. Instances
    /// with one id share the work.
    #[arg(long, value_name = "ID")]
    application: Option<String>,
    /// Processes what is there, closes every window, and ends.
    #[arg(long)]
    pub until_caught_up: bool,
    /// Where state is kept between runs, so that a start need not read all of it from the cluster.
    #[arg(long, value_name = "DIRECTORY")]
    state_dir: Option<std::path::PathBuf>,
    /// Serves health, metrics and stores there: 127.0.0.1:9700, say.
    #[arg(long, value_name = "HOST:PORT")]
    http: Option<String>,
}

impl Common {
    /// Whether the application was given a name.
    pub fn is_named(&self) -> bool {
        self.application.is_some()
    }
}

/// Says what went wrong, if something did.
pub fn exit(outcome: Result<(), Failure>) -> ExitCode {
    let Err(error) = outcome else {
        return ExitCode::SUCCESS;
    };
    let mut text = format!("error: {error}");
    let mut source = error.source();
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text.push_str(&format!(": {inner_text}"));
        }
        source = inner.source();
    }
    let _ = writeln!(std::io::stderr(), "{text}");
    ExitCode::FAILURE
}

/// Runs an application until it has caught up, or until Ctrl-C, as the options say.
pub async fn run(streams: Streams, common: &Common) -> Result<(), Failure> {
    // From here on: what is said below may be answered at once.
    let mut interrupted = signal(SignalKind::interrupt())?;
    if let Some(address) = streams.http_address() {
        say(&format!("state: http://{address}/"));
    }
    if common.until_caught_up {
        tokio::select! {
            outcome = streams.run_until_caught_up() => outcome?,
            _ = interrupted.recv() => return Err("ended before it had caught up".into()),
        }
        return Ok(());
    }
    say("running; Ctrl-C ends it");
    streams.run_until(interrupted.recv()).await?;
    say("closed");
    Ok(())
}

/// Prints a line; nobody may be listening.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Reads `90s`, `10m`, `1h`, `500ms` or sums of them, `1h30m`; a number alone is seconds.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no time: 90s, 10m, 1h30m, 500ms");
    if let Ok(seconds) = text.parse() {
        return Ok(Duration::from_secs(seconds));
    }
    let (mut sum, mut rest) = (0_u64, text);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, behind) = rest.split_at(digits);
        let letters = behind.find(|c: char| c.is_ascii_digit());
        let (unit, behind) = behind.split_at(letters.unwrap_or(behind.len()));
        let millis = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(wrong()),
        };
        let part = number
            .parse::<u64>()
            .ok()
            .and_then(|n| n.checked_mul(millis));
        sum = part
            .and_then(|part| sum.checked_add(part))
            .ok_or_else(wrong)?;
        rest = behind;
    }
    Ok(Duration::from_millis(sum))
}

/// Where an example runs: a cluster somewhere, or a broker in this process.
pub struct Cluster {
    bootstrap: String,
    client: Client,
    embedded: Option<Handle>,
}

impl Cluster {
    /// The cluster that was named, or one with nothing in it.
    pub async fn of(common: &Common) -> Result<Self, Failure> {
        Self::at(common.bootstrap.as_deref()).await
    }

    /// The cluster of that address, or one with nothing in it.
    pub async fn at(bootstrap: Option<&str>) -> Result<Self, Failure> {
        let embedded = match bootstrap {
            Some(_) => None,
            None => Some(embedded().await?),
        };
        let bootstrap = match (bootstrap, &embedded) {
            (Some(bootstrap), _) => bootstrap.to_owned(),
            (None, Some(broker)) => broker.bootstrap(),
            (None, None) => unreachable!("there is one or the other"),
        };
        if embedded.is_some() {
            say(&format!("bootstrap server: {bootstrap}"));
        }
        Ok(Self {
            client: Client::connect(&bootstrap)?,
            bootstrap,
            embedded,
        })
    }

    /// Makes the topics that are missing: with one partition in this process, else with as many as
    /// the cluster gives.
    pub async fn make_topics(&self, names: &[&str]) -> Result<(), Failure> {
        let topics = names.iter().map(|name| {
            // Event times may be of years ago, and records carry them: deletion by time would take the
            // records away at once.
            let topic = NewTopic::new(*name).config("retention.ms", "-1");
            if self.embedded.is_some() {
                topic.partitions(1)
            } else {
                topic
            }
        });
        let made = self
            .client
            .admin()
            .create_topics(topics, Mode::Apply)
            .await?;
        for (_, outcome) in made {
            match outcome {
                Err(ClientError::Broker {
                    code: ErrorCode::TopicAlreadyExists,
                    ..
                }) => {}
                Err(error) => return Err(error.into()),
                Ok(_) => {}
            }
        }
        Ok(())
    }

    /// Writes keys and values to a topic, if the broker is in this process.
    pub async fn write_samples<'a>(
        &self,
        topic: &str,
        samples: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<(), Failure> {
        if self.embedded.is_none() {
            return Ok(());
        }
        let producer = self.client.producer(ProducerConfig::new())?;
        for (key, value) in samples {
            let record = ProducerRecord::to(topic)
                .key(key.to_owned())
                .value(value.to_owned());
            producer.send(&record).await?.await?;
        }
        producer.close(PATIENCE).await;
        Ok(())
    }

    /// How an application is set up that runs here.
    pub fn config(&self, common: &Common, application: &str) -> StreamsConfig {
        let application = common.application.as_deref().unwrap_or(application);
        let mut config = StreamsConfig::new(application, &self.bootstrap);
        if let Some(dir) = &common.state_dir {
            config = config.state_dir(dir);
        }
        if let Some(address) = &common.http {
            config = config.http(address);
        }
        config
    }

    /// Runs an application until it has caught up, or until Ctrl-C. What it writes to `outputs` is
    /// shown if the broker is in this process. `started` is told when it runs.
    pub async fn run(
        self,
        common: &Common,
        topology: &Topology,
        config: StreamsConfig,
        outputs: &[&str],
        started: impl FnOnce(&Streams) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let streams = Streams::start(topology, config).await?;
        started(&streams)?;
        let shown = async {
            if common.until_caught_up {
                return std::future::pending().await;
            }
            self.show(outputs).await
        };
        tokio::select! {
            ended = run(streams, common) => ended?,
            shown = shown => return shown,
        }
        if common.until_caught_up {
            self.show_all(outputs).await?;
        }
        self.end().await
    }

    /// Where clients find it.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// Ends the broker, if it is in this process.
    pub async fn end(self) -> Result<(), Failure> {
        self.client.close();
        if let Some(broker) = self.embedded {
            broker.shutdown().await?;
        }
        Ok(())
    }

    /// Prints records as they come, for ever.
    async fn show(&self, topics: &[&str]) -> Result<(), Failure> {
        if self.embedded.is_none() {
            return std::future::pending().await;
        }
        let mut consumer = self.reader(topics)?;
        loop {
            show_next(&mut consumer).await?;
        }
    }

    /// Prints the records that there are.
    async fn show_all(&self, topics: &[&str]) -> Result<(), Failure> {
        if self.embedded.is_none() {
            return Ok(());
        }
        let ends = topics
            .iter()
            .map(|topic| (TopicPartition::new(*topic, 0), OffsetSpec::Latest));
        let admin = self.client.admin();
        let ends = admin
            .list_offsets(ends, IsolationLevel::ReadUncommitted)
            .await?
            .all()?;
        let left: i64 = ends.values().filter_map(|end| end.offset).sum();
        let mut consumer = self.reader(topics)?;
        for _ in 0..left {
            show_next(&mut consumer).await?;
        }
        consumer.close().await?;
        Ok(())
    }

    fn reader(&self, topics: &[&str]) -> Result<Consumer, Failure> {
        let config = ConsumerConfig::new().offset_reset(OffsetReset::Earliest);
        let mut consumer = self.client.consumer(config)?;
        consumer.assign(topics.iter().map(|topic| TopicPartition::new(*topic, 0)))?;
        Ok(consumer)
    }
}

async fn show_next(consumer: &mut Consumer) -> Result<(), Failure> {
    let record = consumer.recv().await?;
    let text = |bytes: Option<&[u8]>| match bytes {
        Some(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        None => "null".to_owned(),
    };
    let (key, value) = (text(record.key.as_deref()), text(record.value.as_deref()));
    say(&format!("{:<16} {key:<10} {value}", record.topic));
    Ok(())
}

/// A broker within this process that leaves nothing behind.
async fn embedded() -> Result<Handle, Failure> {
    let options = [
        ("listeners", "PLAINTEXT://127.0.0.1:0"),
        ("tidemark.http.listener", "none"),
        ("group.initial.rebalance.delay.ms", "0"),
        ("log.dirs", "/example"),
    ];
    let config = BrokerConfig::from_pairs(options)?;
    Ok(Broker::start(config, Environment::in_memory()).await?)
}
