//! `tidemark consume`.

mod format;
mod member;
mod output;
mod progress;
mod range;

use std::collections::BTreeMap;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tidemark_client::consumer::{
    Consumer, ConsumerConfig, ConsumerError, Fetched, IsolationLevel, OffsetReset,
};
use tidemark_client::{Client, Clock, TopicPartition};

use crate::failure::Failure;
use crate::output::{Format, Report};
use crate::process::signals::Signals;
use crate::remote::{self, Remote};
use format::Layout;
use member::Listener;
use output::{Chunk, FULL, Output};
use progress::{Mark, Progress};
use range::{Bound, From, Until};

pub(crate) use format::BASE64;

/// How often the ends are looked at while nothing comes.
const LOOK: Duration = Duration::from_millis(100);
/// How often a member commits what has been written.
const COMMIT: Duration = Duration::from_secs(5);
/// For how long a group that has given this member nothing is looked at: longer than a heartbeat
/// takes to tell of another rebalance.
const SETTLE: Duration = Duration::from_secs(5);
/// After a signal, how long whoever reads the output has to take what is still to be written.
const FLUSH: Duration = Duration::from_secs(2);

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
    /// How a record is written: %t topic, %p partition, %o offset, %k key, %v or %s value, %T
    /// timestamp, %h headers, %% itself; \n, \r, \t, \0, \\.
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
    /// When to commit next.
    commit_at: u64,
    /// Since when nothing has been assigned.
    idle_since: Option<u64>,
}

/// Why reading has ended.
enum End {
    /// All has been read.
    Done,
    /// Nobody reads the output any more.
    Unread,
    /// A signal, with the exit code for it.
    Stopped(u8),
}

/// What a wait has brought.
enum Next {
    Fetched(Fetched),
    /// Nothing, but it is time to look whether it is over.
    Look,
    /// A partition in which the group has no offset, or one that the partition does not have.
    Unplaced(ConsumerError),
    Stopped(u8),
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
        let config = match &self.group {
            // What has been read need not have been written yet; and where to begin is more than
            // either end of a partition.
            Some(group) => ConsumerConfig::group(group)
                .auto_commit(None)
                .offset_reset(OffsetReset::Error),
            None => ConsumerConfig::new().offset_reset(self.reset()),
        };
        let config = config.isolation_level(isolation);
        let consumer = client.consumer(config)?;
        let clock = Clock::system();
        let mut rest = Rest {
            ends: BTreeMap::new(),
            records: self.count.unwrap_or(u64::MAX),
            before: match self.to {
                Some(Until::Time(time)) => Some(time),
                _ => None,
            },
            commit_at: clock.deadline(COMMIT),
            idle_since: None,
        };
        if !self.follow {
            rest.ends = bounds
                .iter()
                .map(|(p, bound)| (p.clone(), bound.end))
                .collect();
        }
        let mut reader = Reader {
            arguments: &self,
            consumer,
            progress: Arc::new(Progress::new()),
            // Not earlier: up to here they end the command by themselves.
            signals: Signals::listen()
                .map_err(|error| Failure::new(format!("cannot listen for signals: {error}")))?,
            clock,
            rest,
            bounds,
        };
        reader.begin()?;
        reader.run().await
    }

    /// Where to go on when a partition no more has what is to be read.
    fn reset(&self) -> OffsetReset {
        match self.from {
            From::Latest => OffsetReset::Latest,
            _ => OffsetReset::Earliest,
        }
    }
}

/// The command at work.
struct Reader<'a> {
    arguments: &'a Arguments,
    consumer: Consumer,
    progress: Arc<Progress>,
    signals: Signals,
    clock: Clock,
    rest: Rest,
    bounds: BTreeMap<TopicPartition, Bound>,
}

impl Reader<'_> {
    fn begin(&mut self) -> Result<(), Failure> {
        if self.arguments.group.is_some() {
            self.consumer.set_rebalance_listener(Listener {
                progress: Arc::clone(&self.progress),
                clock: self.clock.clone(),
            });
            let topics = self.arguments.topics.iter().map(String::as_str);
            self.consumer.subscribe(topics)?;
            return Ok(());
        }
        self.consumer.assign(self.bounds.keys().cloned())?;
        for (partition, bound) in &self.bounds {
            self.consumer.seek(partition, bound.seek)?;
            self.progress.add(partition.clone(), bound.begin);
        }
        Ok(())
    }

    async fn run(mut self) -> Result<Report, Failure> {
        let output = Output::start(&self.progress)
            .map_err(|error| Failure::new(format!("standard output: {error}")))?;
        let read = self.read(&output).await;
        self.signals.end_at_next();
        // What was read before an error counts, and is written.
        let written = match read {
            Ok(End::Stopped(_)) => self.clock.timeout(FLUSH, output.finish()).await,
            _ => Some(output.finish().await),
        };
        let committed = match self.arguments.group {
            Some(_) => member::commit(&mut self.consumer, &self.progress, None).await,
            None => Ok(()),
        };
        let closed = self.consumer.close().await;
        let end = read?;
        if let Some(Err(error)) = written {
            return Err(Failure::new(format!("standard output: {error}")));
        }
        committed?;
        closed?;
        Ok(Report {
            silent: true,
            stopped: match end {
                End::Stopped(code) => Some(code),
                End::Done | End::Unread => None,
            },
            ..Report::default()
        })
    }

    async fn read(&mut self, output: &Output) -> Result<End, Failure> {
        while self.rest.records > 0 && !self.at_end() {
            match self.next().await? {
                Next::Stopped(code) => return Ok(End::Stopped(code)),
                Next::Look => self.check_given()?,
                Next::Unplaced(error) => self.place(error)?,
                Next::Fetched(fetched) => {
                    if let Some(end) = self.write(&fetched, output).await? {
                        return Ok(end);
                    }
                }
            }
            self.commit_if_due().await;
        }
        Ok(End::Done)
    }

    async fn next(&mut self) -> Result<Next, Failure> {
        let mut reading = pin!(self.consumer.recv_batches());
        let mut stopped = None;
        let mut look_at = self.clock.deadline(LOOK);
        loop {
            tokio::select! {
                biased;
                code = self.signals.next(), if stopped.is_none() => stopped = Some(code),
                fetched = &mut reading => {
                    if let Some(code) = stopped {
                        return Ok(Next::Stopped(code));
                    }
                    return match fetched {
                        Ok(fetched) => Ok(Next::Fetched(fetched)),
                        Err(
                            error @ (ConsumerError::NoOffset { .. }
                            | ConsumerError::OffsetOutOfRange { .. }),
                        ) => Ok(Next::Unplaced(error)),
                        Err(error) => Err(error.into()),
                    };
                }
                () = self.clock.sleep_until(look_at) => look_at = self.clock.deadline(LOOK),
            }
            // The read that a listener is at work in has to go on: the next would begin it again.
            if !self.progress.is_busy() {
                return Ok(stopped.map_or(Next::Look, Next::Stopped));
            }
        }
    }

    /// Begins where --from says; where that is not known, or has gone meanwhile, with what there is.
    fn place(&mut self, error: ConsumerError) -> Result<(), Failure> {
        let (partition, reset) = match error {
            ConsumerError::NoOffset { partition } => {
                if let Some(bound) = self.bounds.get(&partition) {
                    self.progress.begin(&partition, bound);
                    self.consumer.seek(&partition, bound.seek)?;
                    return Ok(());
                }
                // It has come since the start: all that it has is new.
                (partition, OffsetReset::Earliest)
            }
            ConsumerError::OffsetOutOfRange { partition, .. } => {
                (partition, self.arguments.reset())
            }
            error => return Err(error.into()),
        };
        match reset {
            OffsetReset::Latest => self.consumer.seek_to_end(&partition)?,
            _ => self.consumer.seek_to_beginning(&partition)?,
        }
        Ok(())
    }

    /// Whether every partition that is read has been read up to its end.
    fn at_end(&mut self) -> bool {
        if self.arguments.follow {
            return false;
        }
        let assigned = self.consumer.assignment();
        // A member that has nothing yet may still get something.
        if assigned.is_empty() {
            return self.arguments.group.is_none();
        }
        assigned.iter().all(|partition| {
            let end = self.rest.ends.get(partition).copied().unwrap_or(0);
            let position = self.consumer.position(partition);
            position.is_some_and(|position| position >= end)
        })
    }

    /// Fails when the group gives this member nothing, and will not soon.
    fn check_given(&mut self) -> Result<(), Failure> {
        let Some(group) = &self.arguments.group else {
            return Ok(());
        };
        if self.arguments.follow || !self.consumer.assignment().is_empty() {
            self.rest.idle_since = None;
            return Ok(());
        }
        let now = self.clock.now().millis;
        let since = *self.rest.idle_since.get_or_insert(now);
        let over = |since: u64, limit: Duration| {
            u128::from(now.saturating_sub(since)) >= limit.as_millis()
        };
        let limit = self.arguments.remote.timeout();
        let why = match self.progress.settled() {
            Some(settled) if over(settled, SETTLE) => {
                "its other members have all partitions".to_owned()
            }
            _ if over(since, limit) => format!("none within {limit:?}, see --timeout"),
            _ => return Ok(()),
        };
        Err(Failure::new(format!(
            "group {group:?} gives this command no partitions: {why}\n  `tidemark group describe \
             {group}` shows who reads; --follow waits"
        )))
    }

    /// Best effort: what has been written is committed at the end, too.
    async fn commit_if_due(&mut self) {
        if self.arguments.group.is_none() || self.clock.now().millis < self.rest.commit_at {
            return;
        }
        if let Err(failure) = member::commit(&mut self.consumer, &self.progress, None).await {
            tracing::warn!(error = failure.message, "not committed");
        }
        self.rest.commit_at = self.clock.deadline(COMMIT);
    }

    /// Writes what belongs to the range. Gives why there is no more to be written, if there is not.
    async fn write(&mut self, fetched: &Fetched, output: &Output) -> Result<Option<End>, Failure> {
        let Some((turn, begin)) = self.progress.turn(&fetched.partition) else {
            return Ok(None);
        };
        let mut chunk = Chunk::new(fetched.partition.clone(), turn);
        let filled = self.fill(fetched, begin, &mut chunk, output).await;
        match &filled {
            Ok(Filled::Ended(_)) => {}
            Ok(Filled::Whole) => chunk.end = Some(behind(fetched)),
            // What stands in front of it counts.
            Ok(Filled::Cut) | Err(_) => {}
        }
        if let Ok(Filled::Ended(end)) = filled {
            return Ok(Some(end));
        }
        let end = self.send(chunk, output).await;
        filled?;
        Ok(end)
    }

    /// Puts records into the chunk; writes it and goes on with the next whenever it is full.
    async fn fill(
        &mut self,
        fetched: &Fetched,
        begin: i64,
        chunk: &mut Chunk,
        output: &Output,
    ) -> Result<Filled, Failure> {
        let partition = &fetched.partition;
        let end = self.rest.ends.get(partition).copied();
        let end = end.unwrap_or(i64::MAX);
        for batch in &fetched.batches {
            let section = batch.decode(partition)?;
            for record in section.records() {
                let record = record.map_err(|error| {
                    let offset = batch.first_offset();
                    Failure::new(format!(
                        "{partition}: the batch at offset {offset}: {error}"
                    ))
                })?;
                if self.rest.records == 0 || record.offset >= end {
                    return Ok(Filled::Cut);
                }
                let late = |before| record.timestamp >= before;
                if record.offset < begin || self.rest.before.is_some_and(late) {
                    continue;
                }
                self.rest.records -= 1;
                match self.arguments.remote.output() {
                    Format::Table => {
                        let layout = &self.arguments.format;
                        layout.write(partition, &record, &mut chunk.bytes);
                    }
                    Format::Json => format::json(partition, batch, &record, &mut chunk.bytes),
                }
                if self.arguments.group.is_some() {
                    let mark = Mark {
                        offset: record.offset.saturating_add(1),
                        epoch: batch.header().partition_leader_epoch,
                    };
                    chunk.records.push((chunk.bytes.len(), mark));
                }
                if chunk.bytes.len() >= FULL {
                    let next = Chunk::new(partition.clone(), chunk.turn);
                    let full = std::mem::replace(chunk, next);
                    if let Some(end) = self.send(full, output).await {
                        return Ok(Filled::Ended(end));
                    }
                }
            }
        }
        Ok(Filled::Whole)
    }

    /// Hands a chunk over to be written; waits as long as others wait.
    async fn send(&mut self, chunk: Chunk, output: &Output) -> Option<End> {
        tokio::select! {
            biased;
            code = self.signals.next() => Some(End::Stopped(code)),
            taken = output.send(chunk) => (!taken).then_some(End::Unread),
        }
    }
}

/// How far records could be put into a chunk.
enum Filled {
    Whole,
    /// The others do not belong to what was asked for.
    Cut,
    Ended(End),
}

/// Where reading goes on when all of it has been read.
fn behind(fetched: &Fetched) -> Mark {
    let last = fetched.batches.last();
    // The epoch of what is left out behind the last batch is not known.
    let last = last.filter(|batch| batch.next_offset() == fetched.next_offset);
    Mark {
        offset: fetched.next_offset,
        epoch: last.map_or(-1, |batch| batch.header().partition_leader_epoch),
    }
}
