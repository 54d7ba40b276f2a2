//! The Lambda side under load, measured from within: the view `user_totals` over events as in the seed.
//!
//! ```text
//! serving_load fill  BOOTSTRAP TOPIC EVENTS USERS         fills a topic of four partitions: every user, then chance
//! serving_load batch BOOTSTRAP TOPIC DIRECTORY            makes a snapshot of all of it
//! serving_load serve BOOTSTRAP TOPIC DIRECTORY USERS      reads with it, and is asked
//! serving_load ask   ADDRESS CONNECTIONS REQUESTS USERS   asks over HTTP: a process of its own
//! ```
//!
//! Prints one line for each thing that is measured: its name, and numbers. `scripts/bench serving` calls it.

#![allow(clippy::print_stdout, reason = "its output is its purpose")]
#![allow(
    clippy::disallowed_methods,
    reason = "a benchmark measures with the system's clock"
)]

use std::fmt::Write as _;
use std::ops::Range;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use rustix::time::{ClockId, clock_gettime};
use serde_json::value::RawValue;
use tidemark_client::admin::{Mode, NewTopic};
use tidemark_client::producer::{ProducerConfig, ProducerRecord};
use tidemark_client::{Client, ClientConfig, Clock};
use tidemark_streams::serving::views::user_totals;
use tidemark_streams::serving::{
    Aggregate, Batch, BatchConfig, BatchOutcome, Coverage, Lambda, LambdaConfig,
};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const PARTITIONS: i32 = 4;
/// Events that come behind the snapshot.
const NEWER: u64 = 200_000;
/// Questions that are measured one by one.
const QUESTIONS: usize = 1_000_000;
/// Questions in a second while snapshots are made and switched to.
const RATE: u32 = 20_000;
/// Events that come every 20 ms meanwhile: 10,000 in a second.
const FEW: u64 = 200;
const SWITCHES: usize = 4;
const CONNECTIONS: usize = 32;
const REQUESTS: usize = 300_000;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match *arguments {
        ["fill", bootstrap, topic, events, users] => {
            fill(bootstrap, topic, 0..events.parse()?, users.parse()?).await?;
        }
        ["batch", bootstrap, topic, directory] => {
            batch(bootstrap, topic, Path::new(directory)).await?;
        }
        ["serve", bootstrap, topic, directory, users] => {
            serve(bootstrap, topic, Path::new(directory), users.parse()?).await?;
        }
        ["ask", address, connections, requests, users] => {
            ask(
                address,
                connections.parse()?,
                requests.parse()?,
                users.parse()?,
            )
            .await?;
        }
        _ => bail!("fill, batch, serve or ask: see the head of the source"),
    }
    Ok(())
}

fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// A draw of SplitMix64.
fn chance(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut bits = *state;
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

fn user(number: u64) -> String {
    format!("user{number:08}")
}

fn client(bootstrap: &str) -> Result<Client> {
    Ok(Client::new(ClientConfig::new(bootstrap))?)
}

/// Writes the events with these numbers; gives what they end at.
async fn fill(bootstrap: &str, topic: &str, events: Range<u64>, users: u64) -> Result<Coverage> {
    let client = client(bootstrap)?;
    if events.start == 0 {
        let new = NewTopic::new(topic)
            .partitions(PARTITIONS)
            .config("retention.ms", "-1");
        client
            .admin()
            .create_topics([new], Mode::Apply)
            .await?
            .all()?;
    }
    let producer = client.producer(ProducerConfig::new())?;
    let mut state = events.start ^ 7;
    let mut last = Vec::new();
    for number in events {
        let draw = chance(&mut state);
        let name = user(if number < users { number } else { draw % users });
        let record = ProducerRecord::to(topic)
            .value(Bytes::from(event(number, &name, draw)?))
            .key(Bytes::from(name));
        last.push(producer.send(&record).await?);
        if last.len() >= 100_000 {
            for delivery in last.drain(..last.len() - 1) {
                delivery.await?;
            }
        }
    }
    let mut end = Coverage::new();
    for delivery in last {
        let written = delivery.await?;
        let partition = written.partition.partition;
        let behind = end.get(topic, partition).max(written.offset + 1);
        end.set(topic, partition, behind);
    }
    Ok(end)
}

/// The event with that number.
fn event(number: u64, user: &str, draw: u64) -> Result<String> {
    let kinds = ["login", "view", "click", "purchase", "logout"];
    let second = number / 100;
    let mut value = String::new();
    write!(
        value,
        r#"{{"user_id":"{user}","event":"{}","value":{}.{:02},"timestamp":"2023-01-{:02}T{:02}:{:02}:{:02}"}}"#,
        kinds[(draw >> 20) as usize % kinds.len()],
        (draw >> 32) % 1_000,
        (draw >> 48) % 100,
        1 + second / 86_400 % 28,
        second / 3_600 % 24,
        second / 60 % 60,
        second % 60,
    )?;
    Ok(value)
}

/// What an event has, where it lies.
#[derive(serde::Deserialize)]
struct Fields<'a> {
    user_id: &'a str,
    #[serde(borrow)]
    value: &'a RawValue,
    timestamp: &'a str,
}

/// `json EVENTS CPU`: such events as text, read by serde_json alone. How quick a machine is at the moment, and how
/// much of what a batch run takes no reader of JSON could do without.
fn json() -> Result<()> {
    const EVENTS: u64 = 1_000_000;
    let mut state = 7;
    let events: Vec<String> = (0..EVENTS)
        .map(|number| event(number, &user(number), chance(&mut state)))
        .collect::<Result<_>>()?;
    let (cpu, mut bytes) = (cpu_seconds(), 0);
    for event in &events {
        let own: Fields<'_> = serde_json::from_str(event)?;
        bytes += own.user_id.len() + own.value.get().len() + own.timestamp.len();
    }
    let cpu = cpu_seconds() - cpu;
    ensure!(bytes > 0, "events have something");
    println!("json {EVENTS} {cpu:.3}");
    Ok(())
}

fn batch_of(
    bootstrap: &str,
    topic: &str,
    directory: &Path,
) -> Result<Batch<String, impl Aggregate>> {
    Ok(Batch::local(
        Arc::new(user_totals(topic)),
        Arc::new(client(bootstrap)?),
        Clock::system(),
        directory,
        BatchConfig::new(),
    )?)
}

/// `batch EVENTS SECONDS CPU STATES BYTES`
async fn batch(bootstrap: &str, topic: &str, directory: &Path) -> Result<()> {
    let job = batch_of(bootstrap, topic, directory)?;
    let (wall, cpu) = (Instant::now(), cpu_seconds());
    let BatchOutcome::Published(own) = job.run(None).await? else {
        bail!("there was nothing new");
    };
    let (wall, cpu) = (wall.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    let manifest = own.manifest;
    let events = manifest.tally().records;
    let states: u64 = manifest.states.iter().map(|file| file.rows).sum();
    let bytes = manifest.states.iter().map(|file| file.bytes);
    let bytes: u64 = bytes
        .chain(manifest.events.iter().map(|file| file.bytes))
        .sum();
    println!("batch {events} {wall:.3} {cpu:.3} {states} {bytes}");
    json()
}

async fn serve(bootstrap: &str, topic: &str, directory: &Path, users: u64) -> Result<()> {
    let config = LambdaConfig::new(bootstrap, directory)
        .poll(Duration::from_millis(5))
        .wait(Duration::from_secs(600))
        .cut_every(Duration::from_secs(1));
    let (wall, cpu) = (Instant::now(), cpu_seconds());
    let lambda = Arc::new(Lambda::start(user_totals(topic), config).await?);
    println!(
        "start {:.3} {:.3}",
        wall.elapsed().as_secs_f64(),
        cpu_seconds() - cpu
    );
    lambda.snapshot().context("it reads without a snapshot")?;
    // Their numbers are such that users come by chance.
    let end = fill(bootstrap, topic, users..users + NEWER, users).await?;
    lambda.covers(&end).await?;
    println!("point {}", shown(questions(&lambda, users, QUESTIONS)?)?);
    switches(&lambda, bootstrap, topic, directory, users).await?;
    http(&lambda, users).await
}

/// Asks for users by chance, one after the other: how long each question took, in ns.
fn questions<A: Aggregate>(
    lambda: &Lambda<String, A>,
    users: u64,
    count: usize,
) -> Result<Vec<u64>> {
    let mut state = 99;
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let key = user(chance(&mut state) % users);
        let began = Instant::now();
        let answer = lambda.get(&key)?;
        times.push(began.elapsed().as_nanos() as u64);
        answer.value.with_context(|| format!("{key} is unknown"))?;
    }
    Ok(times)
}

/// Asks for users by chance, each question when it is due: [`RATE`] of them in a second, whatever the one before
/// took. Gives when each was due, and how long after that it was answered, in ns: who waits behind a slow one
/// has waited, too.
fn questions_on_time<A: Aggregate>(
    lambda: &Lambda<String, A>,
    users: u64,
    over: &AtomicBool,
) -> Result<Vec<(Instant, u64)>> {
    let mut state = 99;
    let mut times = Vec::new();
    let mut due = Instant::now();
    while !over.load(Ordering::Relaxed) {
        let key = user(chance(&mut state) % users);
        while Instant::now() < due {
            std::hint::spin_loop();
        }
        let answer = lambda.get(&key)?;
        times.push((due, due.elapsed().as_nanos() as u64));
        answer.value.with_context(|| format!("{key} is unknown"))?;
        due += Duration::from_secs(1) / RATE;
    }
    Ok(times)
}

/// `P50 P99 P99.9 MOST` in microseconds.
fn shown(mut nanos: Vec<u64>) -> Result<String> {
    ensure!(
        !nanos.is_empty(),
        "no question was due: the questions are too late"
    );
    nanos.sort_unstable();
    let at = |part: f64| nanos[((nanos.len() - 1) as f64 * part) as usize] as f64 / 1_000.0;
    Ok(format!(
        "{:.1} {:.1} {:.1} {:.1}",
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0)
    ))
}

/// Asks all the time, while events come in, while snapshots are made in this process, read and switched to. From
/// the third on a switch lets go of a snapshot, and of segments.
///
/// `load SECONDS` for each snapshot, from its manifest's being there to the switch; and of the questions that were
/// due in a second in front of a run, in it, while its snapshot was read, and in the 50 ms around the switch:
/// `quiet`, `making`, `loading`, `switch` with percentiles.
async fn switches<A: Aggregate>(
    lambda: &Arc<Lambda<String, A>>,
    bootstrap: &str,
    topic: &str,
    directory: &Path,
    users: u64,
) -> Result<()> {
    let over = Arc::new(AtomicBool::new(false));
    let asking = {
        let (lambda, over) = (Arc::clone(lambda), Arc::clone(&over));
        std::thread::spawn(move || questions_on_time(&lambda, users, &over))
    };
    let filling = tokio::spawn(fill_steadily(
        bootstrap.to_owned(),
        topic.to_owned(),
        users,
        Arc::clone(&over),
    ));
    // As another process would make them; they are found by polling.
    let batch = batch_of(bootstrap, topic, directory)?;
    let mut rounds = Vec::new();
    while rounds.len() < SWITCHES {
        tokio::time::sleep(Duration::from_secs(2)).await;
        rounds.push(switch(lambda, &batch, directory).await?);
    }
    // So that those that were due around the last switch are asked, too: they come late on a busy machine.
    tokio::time::sleep(Duration::from_secs(2)).await;
    over.store(true, Ordering::Relaxed);
    filling.await??;
    let asked = asking
        .join()
        .map_err(|_| anyhow::anyhow!("the questions have panicked"))??;
    let within = |from: Instant, to: Instant| -> Vec<u64> {
        let own = asked.iter().filter(|(due, _)| (from..to).contains(due));
        own.map(|(_, nanos)| *nanos).collect()
    };
    let (second, around) = (Duration::from_secs(1), Duration::from_millis(25));
    for [began, published, switched] in rounds {
        println!("load {:.3}", (switched - published).as_secs_f64());
        println!("quiet {}", shown(within(began - second, began))?);
        println!("making {}", shown(within(began, published))?);
        println!("loading {}", shown(within(published, switched))?);
        println!(
            "switch {}",
            shown(within(switched - around, switched + around))?
        );
    }
    Ok(())
}

/// Makes a snapshot and waits until it is read with: when its run began, when its manifest was there, and when it
/// had been switched to.
async fn switch<A: Aggregate>(
    lambda: &Lambda<String, A>,
    batch: &Batch<String, impl Aggregate>,
    directory: &Path,
) -> Result<[Instant; 3]> {
    let next = lambda.snapshot().context("it reads without a snapshot")? + 1;
    let manifest = directory.join(format!("user_totals/manifests/{next:020}.json"));
    let began = Instant::now();
    // Without a snapshot there is nothing to wait for.
    let run = async {
        match batch.run(None).await? {
            BatchOutcome::Published(_) => Ok(()),
            BatchOutcome::NothingNew { .. } => bail!("there was nothing new"),
        }
    };
    let seen = async {
        let mut tick = tokio::time::interval(Duration::from_millis(1));
        while !manifest.exists() {
            tick.tick().await;
        }
        let published = Instant::now();
        while lambda.snapshot() < Some(next) {
            tick.tick().await;
            // It may never be: a measurement is of what goes well.
            let patience = Duration::from_secs(60);
            ensure!(
                published.elapsed() < patience,
                "snapshot {next} is not read with"
            );
        }
        Ok((published, Instant::now()))
    };
    let ((), (published, switched)) = tokio::try_join!(run, seen)?;
    Ok([began, published, switched])
}

/// Writes some events every 20 ms until it is over.
async fn fill_steadily(
    bootstrap: String,
    topic: String,
    users: u64,
    over: Arc<AtomicBool>,
) -> Result<()> {
    let mut number = users + NEWER;
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    while !over.load(Ordering::Relaxed) {
        tick.tick().await;
        fill(&bootstrap, &topic, number..number + FEW, users).await?;
        number += FEW;
    }
    Ok(())
}

/// `http REQUESTS SECONDS CPU`: the CPU is that of this process, which serves.
async fn http<A: Aggregate>(lambda: &Lambda<String, A>, users: u64) -> Result<()> {
    let server = lambda.serve("127.0.0.1:0").await?;
    let numbers = [CONNECTIONS, REQUESTS, users as usize].map(|number| number.to_string());
    let (wall, cpu) = (Instant::now(), cpu_seconds());
    let mut command = Command::new(std::env::current_exe()?);
    command
        .arg("ask")
        .arg(server.address().to_string())
        .args(numbers);
    let asked = tokio::task::spawn_blocking(move || command.output()).await??;
    let (wall, cpu) = (wall.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    if !asked.status.success() {
        bail!(
            "asking has failed: {}",
            String::from_utf8_lossy(&asked.stderr)
        );
    }
    println!("http {REQUESTS} {wall:.3} {cpu:.3}");
    print!("{}", String::from_utf8_lossy(&asked.stdout));
    Ok(())
}

/// `latency P50 P99 P99.9 MOST` over HTTP, with so many connections that are always busy.
async fn ask(address: &str, connections: usize, requests: usize, users: u64) -> Result<()> {
    let mut working = tokio::task::JoinSet::new();
    for number in 0..connections {
        let address = address.to_owned();
        let own = requests / connections + usize::from(number < requests % connections);
        working.spawn(async move { ask_over_one(&address, own, number as u64, users).await });
    }
    let mut all = Vec::with_capacity(requests);
    while let Some(done) = working.join_next().await {
        all.extend(done??);
    }
    println!("latency {}", shown(all)?);
    Ok(())
}

async fn ask_over_one(address: &str, requests: usize, seed: u64, users: u64) -> Result<Vec<u64>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    let mut state = seed;
    let (mut times, mut line, mut body) = (Vec::with_capacity(requests), String::new(), Vec::new());
    for _ in 0..requests {
        let key = user(chance(&mut state) % users);
        let request =
            format!("GET /views/user_totals/keys/{key} HTTP/1.1\r\nhost: {address}\r\n\r\n");
        let began = Instant::now();
        stream.write_all(request.as_bytes()).await?;
        let (mut length, mut first) = (0, true);
        loop {
            line.clear();
            stream.read_line(&mut line).await?;
            let text = line.trim_end();
            if std::mem::take(&mut first) && !text.starts_with("HTTP/1.1 200") {
                bail!("{key}: {text}");
            }
            if text.is_empty() {
                break;
            }
            let header = text.to_ascii_lowercase();
            if let Some(own) = header.strip_prefix("content-length:") {
                length = own.trim().parse()?;
            }
        }
        body.resize(length, 0);
        stream.read_exact(&mut body).await?;
        times.push(began.elapsed().as_nanos() as u64);
        if !body.starts_with(br#"{"key":"user"#) {
            bail!("{key}: {}", String::from_utf8_lossy(&body));
        }
    }
    Ok(times)
}
