//! A toy machine over a log in memory, with every step written down in the order it happens.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;

use bytes::Bytes;
use parking_lot::Mutex;

use super::*;
use crate::environment::{Clock, ManualClock};
use crate::machine_log::MachineClock;
use crate::partition::Progress;
use crate::types::Timestamp;

/// What has happened, in order, one line each.
type Story = Arc<Mutex<Vec<String>>>;

#[derive(Debug)]
enum Command {
    /// Writes these values as one batch; answers when that is on disk.
    Put(&'static [&'static str]),
    /// Writes these values in as many batches as it takes.
    Clear(&'static [&'static str]),
    /// Remembers a value without writing it; answers at once.
    Note(&'static str),
    /// Answers at once, or when everything written so far is on disk.
    Get(When),
    /// Waits until somebody says [`Command::Release`].
    Park,
    Release,
    /// Writes a value and sets a timer to a moment, or stops it.
    Timer(&'static str, Option<u64>),
}

#[derive(Clone, Debug, PartialEq)]
enum Event {
    Written(String),
    Noted(String),
    Parked(ReplyToken),
}

struct Toy {
    story: Story,
    values: Vec<String>,
    parked: Vec<ReplyToken>,
}

impl Toy {
    fn tell(&self, line: String) {
        self.story.lock().push(line);
    }

    fn answer(&self, token: ReplyToken, when: When) -> Answer<String> {
        let reply = self.values.join(",");
        Answer { token, when, reply }
    }
}

impl Machine for Toy {
    type Command = Command;
    type Reply = String;
    type Event = Event;
    type Timer = &'static str;

    fn decide(&self, now: Now, command: Command, token: ReplyToken) -> Decision<Self> {
        self.tell(format!("decide {command:?} at {}", now.monotonic));
        match command {
            Command::Put(values) => Decision {
                events: values.iter().map(|v| Event::Written((*v).into())).collect(),
                answers: vec![Answer {
                    token,
                    when: When::AfterDurable,
                    reply: format!("put {}", values.join(",")),
                }],
                ..Decision::default()
            },
            Command::Clear(values) => Decision {
                events: values.iter().map(|v| Event::Written((*v).into())).collect(),
                answers: vec![self.answer(token, When::AfterDurable)],
                in_parts: true,
                ..Decision::default()
            },
            Command::Note(value) => Decision {
                events: vec![Event::Noted(value.into())],
                answers: vec![Answer {
                    token,
                    when: When::Now,
                    reply: "noted".into(),
                }],
                ..Decision::default()
            },
            Command::Get(when) => Decision {
                answers: vec![self.answer(token, when)],
                ..Decision::default()
            },
            Command::Park => Decision {
                events: vec![Event::Parked(token)],
                ..Decision::default()
            },
            Command::Release => Decision {
                events: vec![Event::Written("released".into())],
                answers: self
                    .parked
                    .iter()
                    .chain([&token])
                    .map(|token| self.answer(*token, When::AfterDurable))
                    .collect(),
                ..Decision::default()
            },
            Command::Timer(timer, deadline) => Decision {
                events: vec![Event::Written(timer.into())],
                answers: vec![self.answer(token, When::Now)],
                timers: vec![TimerChange {
                    timer,
                    deadline: deadline.map(Monotonic),
                }],
                ..Decision::default()
            },
        }
    }

    fn on_timer(&self, now: Now, timer: &'static str) -> Decision<Self> {
        self.tell(format!("timer {timer} at {}", now.monotonic));
        Decision {
            events: vec![Event::Written(format!("{timer} fired"))],
            ..Decision::default()
        }
    }

    fn on_loaded(&self, _: Now) -> Decision<Self> {
        self.tell(format!("loaded [{}]", self.values.join(",")));
        Decision {
            timers: vec![TimerChange {
                timer: "since load",
                deadline: Some(Monotonic(1_000)),
            }],
            ..Decision::default()
        }
    }

    fn apply(&mut self, offset: Offset, event: Event) {
        self.tell(format!("apply {event:?} at {offset}"));
        match event {
            Event::Written(value) | Event::Noted(value) => self.values.push(value),
            Event::Parked(token) => self.parked.push(token),
        }
    }

    fn encode(&self, event: &Event) -> Option<KeyValue> {
        match event {
            Event::Written(value) => Some(KeyValue {
                key: None,
                value: Some(Bytes::from(value.clone())),
            }),
            Event::Noted(_) | Event::Parked(_) => None,
        }
    }

    fn decode(&self, record: &KeyValue) -> Result<Option<Event>, MalformedRecord> {
        let value = record.value.as_deref().unwrap_or_default();
        match std::str::from_utf8(value) {
            Ok("from another version") => Ok(None),
            Ok(value) => Ok(Some(Event::Written(value.into()))),
            Err(error) => Err(MalformedRecord {
                what: "value",
                why: error.to_string(),
            }),
        }
    }
}

/// A log in memory that is on disk as far as a test says.
struct MemoryLog {
    story: Story,
    records: Mutex<Vec<KeyValue>>,
    full: AtomicBool,
    max_batch_bytes: AtomicUsize,
    durable: Arc<Progress>,
}

impl LogHandle for MemoryLog {
    fn append(&self, records: &[KeyValue], _: Now) -> Result<Offset, Failure> {
        let mut log = self.records.lock();
        let base = Offset(log.len() as i64);
        if self.full.load(Ordering::Relaxed) {
            self.story.lock().push(format!("append fails at {base}"));
            return Err(Unavailable("no space".into()).into());
        }
        let line = format!("append {} at {base}", records.len());
        self.story.lock().push(line);
        log.extend_from_slice(records);
        Ok(base)
    }

    fn end(&self) -> Offset {
        Offset(self.records.lock().len() as i64)
    }

    fn max_batch_bytes(&self) -> usize {
        self.max_batch_bytes.load(Ordering::Relaxed)
    }

    fn durable(&self, end: Offset) -> BoxFuture<Result<(), Unavailable>> {
        let durable = Arc::clone(&self.durable);
        Box::pin(async move {
            let reached = durable.wait(end).await;
            reached.map_err(|_| Unavailable("the disk has failed".into()))
        })
    }

    fn replay(
        &self,
        visit: &mut dyn FnMut(Offset, KeyValue) -> Result<(), LoadError>,
    ) -> Result<(), LoadError> {
        let records = self.records.lock().clone();
        for (offset, record) in records.into_iter().enumerate() {
            visit(Offset(offset as i64), record)?;
        }
        Ok(())
    }
}

type Run = Pin<Box<dyn Future<Output = ()> + Send>>;

struct Stage {
    story: Story,
    log: Arc<MemoryLog>,
    clock: ManualClock,
    /// `None` once the test has let it go.
    mailbox: Option<Mailbox<Toy>>,
    run: Run,
}

fn stage(values: &[&'static [u8]]) -> Result<Stage, LoadError> {
    let story = Story::default();
    let log = Arc::new(MemoryLog {
        story: Arc::clone(&story),
        records: Mutex::default(),
        full: AtomicBool::new(false),
        max_batch_bytes: AtomicUsize::new(1_000),
        durable: Arc::new(Progress::new(Offset(values.len() as i64))),
    });
    let records = values.iter().map(|value| KeyValue {
        key: None,
        value: Some(Bytes::from_static(value)),
    });
    log.records.lock().extend(records);
    let clock = ManualClock::new(Timestamp(0));
    let toy = Toy {
        story: Arc::clone(&story),
        values: Vec::new(),
        parked: Vec::new(),
    };
    let observed = Arc::clone(&story);
    let shared: Arc<dyn Clock> = Arc::new(clock.clone());
    let (mailbox, loaded) = load(
        toy,
        Arc::clone(&log) as Arc<dyn LogHandle>,
        Arc::new(MachineClock(shared)),
        Box::new(move |toy: &Toy| {
            observed
                .lock()
                .push(format!("observe {}", toy.values.len()));
        }),
    )?;
    Ok(Stage {
        story,
        log,
        clock,
        mailbox: Some(mailbox),
        run: Box::pin(loaded.run()),
    })
}

/// What the future has come to, if it has. Outside of tokio's budget, which would have a future that
/// could go on wait for its next turn.
async fn poll<T>(mut future: Pin<&mut (impl Future<Output = T> + ?Sized)>) -> Option<T> {
    let once = std::future::poll_fn(|cx| {
        Poll::Ready(match future.as_mut().poll(cx) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        })
    });
    tokio::task::coop::unconstrained(once).await
}

impl Stage {
    /// Lets the machine work until it waits for something; `false` once it has ended.
    async fn work(&mut self) -> bool {
        poll(self.run.as_mut()).await.is_none()
    }

    async fn submit(&self, command: Command) -> Answering {
        let mailbox = self.mailbox.as_ref().expect("the mailbox is open");
        Box::pin(mailbox.submit(command).await.answer())
    }

    /// The lines since the last call.
    fn lines(&self) -> Vec<String> {
        std::mem::take(&mut *self.story.lock())
    }
}

type Answering = Pin<Box<dyn Future<Output = Result<String, Failure>> + Send>>;

async fn answered(answer: &mut Answering) -> Option<Result<String, Failure>> {
    poll(answer.as_mut()).await
}

fn ok(text: &str) -> Option<Result<String, Failure>> {
    Some(Ok(text.to_owned()))
}

fn unavailable(text: &str) -> Option<Result<String, Failure>> {
    Some(Err(Unavailable(text.to_owned()).into()))
}

#[tokio::test]
async fn the_log_is_replayed_and_observed_before_anything_else() {
    let stage = stage(&[b"a", b"from another version", b"b"]).unwrap();
    assert_eq!(
        stage.lines(),
        [
            "apply Written(\"a\") at 0",
            "apply Written(\"b\") at 2",
            "observe 2",
            "loaded [a,b]",
        ]
    );
}

#[test]
fn a_record_that_makes_no_sense_stops_the_load_and_is_named() {
    let error = stage(&[b"a", b"\xff"]).err().expect("it does not load");
    assert!(
        matches!(
            error,
            LoadError::Record {
                offset: Offset(1),
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn decide_append_apply_observe_then_the_answer_once_it_is_on_disk() {
    let mut stage = stage(&[]).unwrap();
    stage.lines();
    let mut put = stage.submit(Command::Put(&["x", "y"])).await;
    assert!(stage.work().await);
    assert_eq!(
        stage.lines(),
        [
            "decide Put([\"x\", \"y\"]) at 0",
            "append 2 at 0",
            "apply Written(\"x\") at 0",
            "apply Written(\"y\") at 1",
            "observe 2",
        ]
    );
    assert_eq!(answered(&mut put).await, None);
    stage.log.durable.advance(Offset(1));
    stage.work().await;
    assert_eq!(answered(&mut put).await, None, "half of it is not enough");
    stage.log.durable.advance(Offset(2));
    stage.work().await;
    assert_eq!(answered(&mut put).await, ok("put x,y"));
    assert_eq!(stage.lines(), [] as [&str; 0]);
}

#[tokio::test]
async fn a_change_in_memory_writes_nothing_and_has_the_offset_of_the_logs_end() {
    let mut stage = stage(&[b"a"]).unwrap();
    stage.lines();
    let mut note = stage.submit(Command::Note("n")).await;
    stage.work().await;
    assert_eq!(answered(&mut note).await, ok("noted"));
    assert_eq!(
        stage.lines(),
        [
            "decide Note(\"n\") at 0",
            "apply Noted(\"n\") at 1",
            "observe 2"
        ]
    );
}

#[tokio::test]
async fn answers_are_held_until_what_they_tell_of_is_on_disk_and_leave_in_order() {
    let mut stage = stage(&[]).unwrap();
    let mut first = stage.submit(Command::Put(&["x"])).await;
    let mut second = stage.submit(Command::Put(&["y"])).await;
    let mut at_once = stage.submit(Command::Get(When::Now)).await;
    let mut read = stage.submit(Command::Get(When::AfterDurable)).await;
    stage.work().await;
    assert_eq!(answered(&mut at_once).await, ok("x,y"));
    assert_eq!(answered(&mut first).await, None);
    assert_eq!(
        answered(&mut read).await,
        None,
        "it has seen what may be lost"
    );
    stage.log.durable.advance(Offset(1));
    stage.work().await;
    assert_eq!(answered(&mut first).await, ok("put x"));
    assert_eq!(answered(&mut second).await, None);
    assert_eq!(answered(&mut read).await, None);
    stage.log.durable.advance(Offset(2));
    stage.work().await;
    assert_eq!(answered(&mut second).await, ok("put y"));
    assert_eq!(answered(&mut read).await, ok("x,y"));
}

#[tokio::test]
async fn a_failed_append_applies_nothing_and_everybody_concerned_learns_of_it() {
    let mut stage = stage(&[]).unwrap();
    let mut parked = stage.submit(Command::Park).await;
    stage.work().await;
    stage.lines();
    stage.log.full.store(true, Ordering::Relaxed);
    let mut put = stage.submit(Command::Put(&["x"])).await;
    let mut release = stage.submit(Command::Release).await;
    let mut get = stage.submit(Command::Get(When::Now)).await;
    stage.work().await;
    let refused = unavailable("no space");
    assert_eq!(answered(&mut put).await, refused);
    assert_eq!(answered(&mut release).await, refused);
    assert_eq!(answered(&mut parked).await, refused);
    assert_eq!(
        answered(&mut get).await,
        ok(""),
        "what needs no log is served"
    );
    let lines = stage.lines();
    assert!(
        !lines.iter().any(|line| line.starts_with("apply")),
        "{lines:?}"
    );
    // When there is room again, the machine goes on.
    stage.log.full.store(false, Ordering::Relaxed);
    stage.log.durable.advance(Offset(1));
    let mut put = stage.submit(Command::Put(&["y"])).await;
    stage.work().await;
    assert_eq!(answered(&mut put).await, ok("put y"));
}

#[tokio::test]
async fn what_is_larger_than_a_batch_is_refused_and_nothing_of_it_is_applied() {
    let mut stage = stage(&[]).unwrap();
    stage.log.max_batch_bytes.store(3, Ordering::Relaxed);
    stage.log.durable.advance(Offset(9));
    let mut large = stage.submit(Command::Put(&["ab", "cd"])).await;
    let mut small = stage.submit(Command::Put(&["a", "b", "c"])).await;
    stage.work().await;
    let refused = Some(Err(Failure::TooLarge { max: 3 }));
    assert_eq!(answered(&mut large).await, refused);
    assert_eq!(answered(&mut small).await, ok("put a,b,c"));
    let lines = stage.lines();
    let appends: Vec<_> = lines
        .iter()
        .filter(|line| line.starts_with("append"))
        .collect();
    assert_eq!(appends, ["append 3 at 0"]);
    let applied = lines.iter().filter(|line| line.starts_with("apply"));
    assert_eq!(applied.count(), 3);
}

#[tokio::test]
async fn what_may_be_written_in_parts_is_written_in_as_many_batches_as_it_takes() {
    let mut stage = stage(&[]).unwrap();
    stage.work().await;
    stage.lines();
    // Room for two of the records, with all that a record can take besides its value.
    let two = BATCH_HEADER_SIZE + 2 * (RECORD_OVERHEAD + 10);
    stage.log.max_batch_bytes.store(two, Ordering::Relaxed);
    stage.log.durable.advance(Offset(9));
    let values = &["1234567890"; 5];
    let mut clear = stage.submit(Command::Clear(values)).await;
    stage.work().await;
    assert_eq!(answered(&mut clear).await, ok(""));
    let lines = stage.lines();
    let told = |start: &str| {
        let lines = lines.iter().filter(|line| line.starts_with(start));
        lines.cloned().collect::<Vec<_>>()
    };
    assert_eq!(
        told("append"),
        ["append 2 at 0", "append 2 at 2", "append 1 at 4"]
    );
    assert_eq!(told("observe"), ["observe 2", "observe 4", "observe 5"]);
}

#[tokio::test]
async fn a_disk_that_has_failed_is_told_to_those_who_wait_for_it() {
    let mut stage = stage(&[]).unwrap();
    let mut put = stage.submit(Command::Put(&["x"])).await;
    stage.work().await;
    stage.log.durable.close();
    stage.work().await;
    let failed = unavailable("the disk has failed");
    assert_eq!(answered(&mut put).await, failed);
    let mut later = stage.submit(Command::Put(&["y"])).await;
    stage.work().await;
    assert_eq!(answered(&mut later).await, failed);
}

#[tokio::test]
async fn timers_fire_in_the_order_of_their_deadlines_and_only_when_due() {
    let mut stage = stage(&[]).unwrap();
    for (timer, deadline) in [
        ("late", 300),
        ("early", 100),
        ("moved", 100),
        ("stopped", 50),
    ] {
        drop(stage.submit(Command::Timer(timer, Some(deadline))).await);
    }
    drop(stage.submit(Command::Timer("moved", Some(200))).await);
    drop(stage.submit(Command::Timer("stopped", None)).await);
    stage.work().await;
    stage.lines();
    let fired = |stage: &Stage| -> Vec<String> {
        let lines = stage.lines();
        lines
            .into_iter()
            .filter(|line| line.starts_with("timer"))
            .collect()
    };
    stage.clock.advance(99);
    stage.work().await;
    assert_eq!(fired(&stage), [] as [&str; 0]);
    stage.clock.advance(1);
    stage.work().await;
    assert_eq!(fired(&stage), ["timer early at 100"]);
    stage.clock.advance(900);
    stage.work().await;
    let late = [
        "timer moved at 1000",
        "timer late at 1000",
        "timer since load at 1000",
    ];
    assert_eq!(fired(&stage), late);
    stage.clock.advance(10_000);
    stage.work().await;
    assert_eq!(fired(&stage), [] as [&str; 0], "each fires once");
}

#[tokio::test]
async fn a_timer_whose_records_cannot_be_written_fires_again() {
    let mut stage = stage(&[]).unwrap();
    drop(stage.submit(Command::Timer("session", Some(100))).await);
    stage.work().await;
    stage.lines();
    stage.log.full.store(true, Ordering::Relaxed);
    stage.clock.advance(100);
    stage.work().await;
    assert_eq!(stage.lines(), ["timer session at 100", "append fails at 1"]);
    stage.log.full.store(false, Ordering::Relaxed);
    stage.clock.advance(TIMER_RETRY_MS as u64 - 1);
    stage.work().await;
    assert_eq!(stage.lines(), [] as [&str; 0]);
    stage.clock.advance(1);
    stage.work().await;
    assert_eq!(
        stage.lines(),
        [
            "timer session at 600",
            "append 1 at 1",
            "apply Written(\"session fired\") at 1",
            "observe 2",
        ]
    );
}

#[tokio::test]
async fn a_full_mailbox_makes_senders_wait() {
    let mut stage = stage(&[]).unwrap();
    let mailbox = stage.mailbox.clone().expect("the mailbox is open");
    let mut answers = Vec::new();
    for _ in 0..MAILBOX_SIZE {
        let mut submit = Box::pin(mailbox.submit(Command::Get(When::Now)));
        let pending = poll(submit.as_mut()).await.expect("there is room");
        answers.push(pending);
    }
    let mut one_more = Box::pin(mailbox.submit(Command::Get(When::Now)));
    assert!(poll(one_more.as_mut()).await.is_none());
    stage.work().await;
    let pending = poll(one_more.as_mut()).await.expect("there is room again");
    answers.push(pending);
    stage.work().await;
    for answer in answers {
        assert_eq!(answer.answer().await, Ok(String::new()));
    }
}

#[tokio::test]
async fn when_all_mailboxes_are_gone_what_was_begun_is_finished() {
    let mut stage = stage(&[]).unwrap();
    let mut parked = stage.submit(Command::Park).await;
    let mut put = stage.submit(Command::Put(&["x"])).await;
    let mut queued = stage.submit(Command::Get(When::Now)).await;
    stage.mailbox = None;
    assert!(stage.work().await, "an answer waits for the disk");
    assert_eq!(answered(&mut queued).await, ok("x"));
    assert_eq!(answered(&mut put).await, None);
    stage.log.durable.advance(Offset(1));
    assert!(!stage.work().await, "it has ended");
    assert_eq!(answered(&mut put).await, ok("put x"));
    let stopped = unavailable("the coordinator has stopped");
    assert_eq!(
        answered(&mut parked).await,
        stopped,
        "nobody will release it"
    );
}

#[tokio::test]
async fn a_command_after_the_end_is_told_that_the_machine_has_stopped() {
    let mut stage = stage(&[]).unwrap();
    let mailbox = stage.mailbox.clone().expect("the mailbox is open");
    stage.run = Box::pin(std::future::ready(()));
    let answer = mailbox.call(Command::Get(When::Now)).await;
    assert_eq!(
        answer,
        Err(Unavailable("the coordinator has stopped".into()).into())
    );
}
