//! The life of an application, instance after instance.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use integration_tests::applications::{Application, Expected, Input, PARTITIONS};
use integration_tests::rounds::Rounds;
use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use tidemark_client::producer::{Producer, ProducerConfig};
use tidemark_client::{Client, ErrorCode};
use tokio::sync::Notify;

use super::instance::{End, Kind, Setting};
use crate::support::{catch_up, committed, make, read};

/// So many records are written at once.
const AT_ONCE: usize = 10;

pub(crate) struct Life {
    client: Client,
    setting: Setting,
    /// All records so far.
    all: Vec<Input>,
    begun: bool,
}

impl Life {
    pub(crate) fn new(
        application: &'static Application,
        id: &str,
        client: &Client,
        bootstrap: &str,
        state: Option<PathBuf>,
    ) -> Self {
        Self {
            client: client.clone(),
            setting: Setting {
                application,
                id: id.to_owned(),
                bootstrap: bootstrap.to_owned(),
                state,
                commit_interval: Duration::from_millis(50),
                workers: 1,
                chunk: 1024,
            },
            all: Vec::new(),
            begun: false,
        }
    }

    /// Lets instances live and die. How many have died with records that were there and not committed.
    pub(crate) async fn go_on(&mut self, kind: Kind, rounds: &Rounds, count: usize) -> usize {
        self.begin().await;
        let mut amid_work = 0;
        let mut kinds = Vec::new();
        let mut random = rounds.random();
        for round in 0..count {
            let records = random.random_range(40..300);
            if kinds.is_empty() {
                kinds.extend(0..10);
                kinds.shuffle(&mut random);
            }
            let end = choose_end(&mut random, records as u64, kinds.pop());
            self.setting.commit_interval = Duration::from_millis(random.random_range(1..40));
            self.setting.workers = random.random_range(1..=3);
            self.setting.chunk = *[1, 7, 1024].choose(&mut random).unwrap();
            let Setting {
                application,
                commit_interval,
                workers,
                chunk,
                ..
            } = &self.setting;
            eprintln!(
                "{}, round {round}: {records} records, {end:?}, {commit_interval:?}, \
                 {workers} workers, chunks of {chunk}",
                application.name
            );
            let amid = self.round(kind, &mut random, records, end).await;
            amid_work += usize::from(amid);
        }
        eprintln!("{amid_work} of {count} rounds ended amid work");
        amid_work
    }

    async fn begin(&mut self) {
        if std::mem::replace(&mut self.begun, true) {
            return;
        }
        let Setting {
            application, id, ..
        } = &self.setting;
        let topic = |name: &&str| application.topic(id, name);
        let inputs: Vec<_> = application.inputs.iter().map(topic).collect();
        let outputs: Vec<_> = application.outputs.iter().map(topic).collect();
        let inputs = inputs.iter().map(|topic| (&**topic, PARTITIONS));
        let outputs = outputs.iter().map(|topic| (&**topic, 1));
        make(&self.client, &inputs.chain(outputs).collect::<Vec<_>>()).await;
    }

    /// One instance. Some records are there when it starts, others come while it works, and the rest
    /// when it has ended. Whether it has died amid its work.
    async fn round(&mut self, kind: Kind, random: &mut StdRng, records: usize, end: End) -> bool {
        let from = self.all.len();
        self.setting
            .application
            .more(random, &mut self.all, records);
        let (first, rest) = self.all[from..].split_at(records / 2);
        let written = Cell::new(from);
        let running = Notify::new();
        let producer = self.client.producer(ProducerConfig::new()).unwrap();
        let write = async {
            self.write(&producer, first, &written).await;
            running.notified().await;
            self.write(&producer, rest, &written).await;
        };
        let live = async {
            let died = self.setting.live(kind, end, || running.notify_one()).await;
            // What comes from now on was not there.
            let written = written.get();
            // If it has never run.
            running.notify_one();
            self.remove_members().await;
            died && self.committed().await < written
        };
        let ((), amid_work) = tokio::join!(write, live);
        assert_eq!(producer.close(Duration::from_secs(30)).await.failed, 0);
        amid_work
    }

    /// Who is gone without a word is a member until its session ends: the next one must not wait for that.
    async fn remove_members(&self) {
        let admin = self.client.admin();
        let removed = admin.remove_all_members(&self.setting.id, "it died").await;
        let outcomes = match removed {
            Ok(outcomes) => outcomes,
            // Nobody has come so far.
            Err(error) if error.code() == Some(ErrorCode::GroupIdNotFound) => return,
            Err(error) => panic!("{error}"),
        };
        for (member, outcome) in outcomes {
            let Err(error) = outcome else { continue };
            // It has left meanwhile.
            let gone = error.code() == Some(ErrorCode::UnknownMemberId);
            assert!(gone, "{member:?}: {error}");
        }
    }

    async fn write(&self, producer: &Producer, inputs: &[Input], written: &Cell<usize>) {
        let Setting {
            application, id, ..
        } = &self.setting;
        for some in inputs.chunks(AT_ONCE) {
            for input in some {
                let record = application.written(id, input);
                drop(producer.send(&record).await.unwrap());
            }
            producer.flush().await;
            written.set(written.get() + some.len());
        }
    }

    /// How many records of the input have been committed.
    async fn committed(&self) -> usize {
        let Setting {
            application, id, ..
        } = &self.setting;
        let inputs = application.inputs.iter();
        let inputs: Vec<_> = inputs.map(|topic| application.topic(id, topic)).collect();
        committed(&self.client, id, &inputs).await as usize
    }

    /// The last instance, which closes all windows; then everything has to be there.
    pub(crate) async fn end(self) {
        let Setting {
            application, id, ..
        } = &self.setting;
        // Whoever asked to be let in when it died may have come in since.
        self.remove_members().await;
        let topology = application.topology(id);
        catch_up(&topology, self.setting.config()).await;
        for (topic, expected) in application.expected(&self.all) {
            let found =
                read::<String, Option<String>>(&self.client, &application.topic(id, topic)).await;
            let (found, expected): (BTreeSet<_>, _) = match expected {
                Expected::Records(records) => {
                    let found = found.into_iter().map(|(k, v)| (k, v.unwrap_or_default()));
                    (found.collect(), records)
                }
                Expected::Latest(latest) => {
                    let found: BTreeMap<_, _> = found.into_iter().collect();
                    let found = found.into_iter().filter_map(|(k, v)| Some((k, v?)));
                    (found.collect(), latest.into_iter().collect())
                }
            };
            let missing: Vec<_> = expected.difference(&found).collect();
            let strange: Vec<_> = found.difference(&expected).collect();
            assert!(
                missing.is_empty() && strange.is_empty(),
                "{id}, {topic}: {} of {} are missing: {missing:?}; these should not be there: {strange:?}",
                missing.len(),
                expected.len()
            );
        }
    }
}

/// `kind` is one of ten, each of which comes once in ten rounds.
fn choose_end(random: &mut StdRng, records: u64, kind: Option<u64>) -> End {
    let at = random.random_range(1..=records);
    match kind {
        Some(0) => End::Starting(Duration::from_millis(random.random_range(1..150))),
        Some(1) => End::Closed(at),
        Some(2..4) => End::Closing(at, Duration::from_millis(random.random_range(0..15))),
        _ => End::Working(at),
    }
}
