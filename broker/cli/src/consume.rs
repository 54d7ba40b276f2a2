//! `tidemark consume`.

mod format;
mod range;

use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use tidemark_client::consumer::{
    Consumer, ConsumerConfig, ConsumerError, Fetched, IsolationLevel, OffsetReset,
};
use tidemark_client::{Client, Clock, TopicPartition};

use crate::failure::{FAILED, Failure, explain};
use crate::output::{Format, Report};
use crate::remote::{self, Remote};
use format::Layout;
use range::{From, Until};

pub(crate) use format::BASE64;

/// How often the ends are looked at while nothing comes.
const LOOK: Duration = Duration::from_millis(100);

/// Options of `tidemark consume`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    remote: Remote,
    /// The topics.
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,
    /// Reads only this partition. May be repeated.
    #[arg(long, short = 'p', value_name = "NUMBER", conflicts_with = "group")]
    partition: Vec<i32>,
    /// Reads as a member of this group, and commits; --from counts where it has no offset.
    #[arg(long, short = 'g')]
    group: Option<String>,
    /// Where to begin: earliest, latest, an offset, -N (the last N of each partition), a time as in
    /// 2024-05-01T12:00:00Z, or a duration ago as in 1h30m.
    #[arg(long, value_name = "WHERE", default_value = "earliest", allow_hyphen_values = true, value_parser = range::from)]
    from: From,
    /// Where to stop: an offset or a time, both exclusive. Without it, and without --follow, at
    /// what is the end when it starts.
    #[arg(long, value_name = "WHERE", conflicts_with_all = ["follow", "group"], value_parser = range::until)]
    to: Option<Until>,
    /// Goes on at the end: waits for what comes.
    #[arg(long, short = 'f')]
    follow: bool,
    /// Stops after so many records.
    #[arg(long, short = 'n', value_name = "NUMBER")]
    count: Option<u64>,
    /// How a record is written: %t topic, %p partition, %o offset, %k key, %v value, %T timestamp,
    /// %h headers, %% itself; \n, \t.
    #[arg(long, value_name = "TEXT", default_value = r"%v\n", value_parser = format::layout)]
    format: Layout,
    /// Only records of transactions that were committed.
    #[arg(long)]
    read_committed: bool,
}

pub(crate) fn run(arguments: Arguments) -> ExitCode {
    let remote = arguments.remote.clone();
    remote::run_client(&remote, false, |client| async move {
        arguments.run(&client).await
    })
}

/// What is still to come.
struct Rest {
    /// Where each partition ends; none with --follow.
    ends: BTreeMap<TopicPartition, i64>,
    records: u64,
    /// Records from this time on are not written.
    before: Option<i64>,
}

impl Arguments {
    async fn run(self, client: &Client) -> Result<Report, Failure> {
        let admin = client.admin();
        let isolation = if self.read_committed {
            IsolationLevel::ReadCommitted
        } else {
            IsolationLevel::ReadUncommitted
        };
        let partitions = range::partitions(&admin, &self.topics, &self.partition).await?;
        let bounds = range::bounds(&admin, &partitions, &self.from, self.to, isolation).await?;
        let reset = match self.from {
            From::Latest => OffsetReset::Latest,
            _ => OffsetReset::Earliest,
        };
        let config = match &self.group {
            Some(group) => ConsumerConfig::group(group),
            None => ConsumerConfig::new(),
        };
        let config = config.offset_reset(reset).isolation_level(isolation);
        let mut consumer = client.consumer(config)?;
        let mut rest = Rest {
            ends: BTreeMap::new(),
            records: self.count.unwrap_or(u64::MAX),
            before: match self.to {
                Some(Until::Time(time)) => Some(time),
                _ => None,
            },
        };
        if !self.follow {
            rest.ends = bounds
                .iter()
                .map(|(p, bound)| (p.clone(), bound.end))
                .collect();
        }
        match &self.group {
            Some(_) => consumer
                .subscribe(self.topics.iter().map(String::as_str))
                .map_err(told)?,
            None => {
                consumer.assign(bounds.keys().cloned()).map_err(told)?;
                for (partition, bound) in &bounds {
                    consumer.seek(partition, bound.begin).map_err(told)?;
                }
            }
        }
        let read = self.read(&mut consumer, &mut rest).await;
        let closed = consumer.close().await.map_err(told);
        read?;
        closed?;
        Ok(Report {
            silent: true,
            ..Report::default()
        })
    }

    async fn read(&self, consumer: &mut Consumer, rest: &mut Rest) -> Result<(), Failure> {
        let clock = Clock::system();
        let mut out = std::io::BufWriter::new(std::io::stdout().lock());
        while rest.records > 0 && !self.at_end(consumer, rest) {
            let Some(fetched) = clock.timeout(LOOK, consumer.recv_batches()).await else {
                // Whoever reads at the other end sees what there is.
                if out.flush().is_err() {
                    return Ok(());
                }
                continue;
            };
            let fetched = fetched.map_err(told)?;
            // A reader that has gone away is no reason to fail.
            if !self.write(&fetched, rest, &mut out)? {
                return Ok(());
            }
        }
        let _ = out.flush();
        Ok(())
    }

    /// Whether every partition that is read has been read up to its end.
    fn at_end(&self, consumer: &mut Consumer, rest: &Rest) -> bool {
        if self.follow {
            return false;
        }
        let assigned = consumer.assignment();
        // A member that has nothing yet may still get something, one of two groups' members may not.
        if assigned.is_empty() {
            return self.group.is_none();
        }
        assigned.iter().all(|partition| {
            let end = rest.ends.get(partition).copied().unwrap_or(0);
            consumer
                .position(partition)
                .is_some_and(|position| position >= end)
        })
    }

    /// Writes what belongs to the range. `false` when nobody reads the output any more.
    fn write(
        &self,
        fetched: &Fetched,
        rest: &mut Rest,
        out: &mut impl Write,
    ) -> Result<bool, Failure> {
        let end = rest
            .ends
            .get(&fetched.partition)
            .copied()
            .unwrap_or(i64::MAX);
        for batch in &fetched.batches {
            let section = batch.decode(&fetched.partition).map_err(told)?;
            for record in section.records() {
                let record = record.map_err(|error| {
                    let offset = batch.first_offset();
                    let partition = &fetched.partition;
                    Failure::new(format!(
                        "{partition}: the batch at offset {offset}: {error}"
                    ))
                })?;
                if rest.records == 0 || record.offset >= end {
                    return Ok(true);
                }
                if rest.before.is_some_and(|before| record.timestamp >= before) {
                    continue;
                }
                rest.records -= 1;
                let written = match self.remote.output() {
                    Format::Table => self.format.write(&fetched.partition, &record, out),
                    Format::Json => format::json(&fetched.partition, batch, &record, out),
                };
                if written.is_err() {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

fn told(error: ConsumerError) -> Failure {
    Failure {
        code: FAILED,
        message: match &error {
            ConsumerError::Client(error) => explain(error),
            error => error.to_string(),
        },
    }
}
