//! Commands that run for as long as their input or their output does: pipes that are held open,
//! readers that stop, signals.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use integration_tests::harness::cluster::{
    for_each_cluster, for_each_cluster_behind_a_proxy, unique,
};
use integration_tests::harness::process::binary;
use integration_tests::harness::proxy::{Intercepted, Verdict};
use integration_tests::harness::wait::until;
use rustix::process::{Pid, Signal, kill_process};
use tidemark_client::consumer::ConsumerConfig;
use tidemark_client::{Client, ClientConfig};
use tidemark_protocol::messages::{FetchRequest, HeartbeatRequest};

use super::Cli;
use super::member::join;
use super::records::topic;

/// A command that is running. Dropping it kills it.
pub(super) struct Running {
    child: Option<Child>,
    input: Option<ChildStdin>,
    directory: tempfile::TempDir,
}

impl Cli {
    /// Starts a command; its standard input is a pipe that is held open.
    pub(super) fn start(&self, arguments: &[&str]) -> Running {
        let (mut running, file) = Running::prepare();
        running.launch(self, arguments, file.into());
        running
    }

    /// Starts a command whose standard output is a pipe, too.
    fn start_piped(&self, arguments: &[&str]) -> (Running, ChildStdout) {
        let (mut running, _) = Running::prepare();
        let output = running.launch(self, arguments, Stdio::piped());
        (running, output.unwrap())
    }

    /// What a group has committed in partition 0, if it has anything.
    fn committed(&self, group: &str) -> Option<i64> {
        let described = self.json(&["group", "describe", group]);
        described["groups"][0]["offsets"][0]["committed"].as_i64()
    }

    /// The group's first line of its description.
    fn state(&self, group: &str) -> String {
        let described = self.json(&["group", "describe", group]);
        described["groups"][0]["state"].as_str().unwrap().to_owned()
    }
}

impl Running {
    fn prepare() -> (Self, File) {
        let directory = tempfile::tempdir().unwrap();
        let output = File::create(directory.path().join("output")).unwrap();
        let running = Self {
            child: None,
            input: None,
            directory,
        };
        (running, output)
    }

    fn launch(&mut self, cli: &Cli, arguments: &[&str], output: Stdio) -> Option<ChildStdout> {
        let mut command = std::process::Command::new(binary());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("TIDEMARK_") {
                command.env_remove(name);
            }
        }
        let errors = File::create(self.directory.path().join("errors")).unwrap();
        let mut child = command
            .args(arguments)
            .args(["--bootstrap", &cli.bootstrap])
            .stdin(Stdio::piped())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .expect("the binary runs");
        self.input = child.stdin.take();
        let output = child.stdout.take();
        self.child = Some(child);
        output
    }

    fn child(&mut self) -> &mut Child {
        self.child.as_mut().unwrap()
    }

    pub(super) fn signal(&mut self, signal: Signal) {
        kill_process(Pid::from_child(self.child()), signal).unwrap();
    }

    fn file(&self, name: &str) -> String {
        std::fs::read_to_string(self.directory.path().join(name)).unwrap()
    }

    fn write(&mut self, text: &str) {
        let input = self.input.as_mut().unwrap();
        input.write_all(text.as_bytes()).unwrap();
    }

    /// Waits until it has written this to standard output, and nothing else.
    #[track_caller]
    fn says(&mut self, text: &str) {
        until("the command to say so", || {
            if let Some(status) = self.child().try_wait().unwrap() {
                panic!("it ended with {status}: {}", self.file("errors"));
            }
            (self.file("output") == text).then_some(())
        });
    }

    /// Waits until it ends: how, and what it said on both ways.
    #[track_caller]
    pub(super) fn ends(mut self) -> (ExitStatus, String, String) {
        let status = until("the command to end", || self.child().try_wait().unwrap());
        let errors = self.file("errors");
        assert!(!errors.contains("panicked"), "{errors}");
        (status, self.file("output"), errors)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Fails only if it has ended already.
        let _ = self.child().kill();
        let _ = self.child().wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_are_written_while_the_pipe_is_open() {
    for_each_cluster(async |cluster| {
        let cli = Cli::of(cluster);
        let name = topic(&cli, "1");
        let mut producing = cli.start(&["produce", &name]);
        producing.write("one\n");
        cli.becomes(&["consume", &name], &["one\n"]);
        producing.write("two\nthree\n");
        cli.becomes(&["consume", &name], &["one\ntwo\nthree\n"]);
        producing.input = None;
        let (status, output, errors) = producing.ends();
        assert_eq!((status.code(), &*errors), (Some(0), ""));
        assert_eq!(output, format!("3 records written to \"{name}\"\n"));
    })
    .await;
}

/// So many lines of 100 bytes.
fn long_lines(count: usize) -> String {
    (0..count).map(|at| format!("{at:099}\n")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_commits_what_was_written_and_no_more() {
    for_each_cluster(async |cluster| {
        let cli = Cli::of(cluster);
        let (name, group) = (topic(&cli, "1"), unique("group"));
        let lines: String = (0..100).map(|at| format!("{at}\n")).collect();
        cli.writes(&["produce", &name], &lines);
        // All of them lie in one batch.
        let read = ["consume", &name, "-g", &group];
        assert_eq!(cli.ok(&[&read[..], &["-n", "3"]].concat()), "0\n1\n2\n");
        assert_eq!(cli.committed(&group), Some(3));
        assert_eq!(cli.ok(&[&read[..], &["-n", "2"]].concat()), "3\n4\n");
        assert_eq!(cli.ok(&read).lines().next(), Some("5"));
        assert_eq!(cli.committed(&group), Some(100));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_reads_is_not_committed() {
    for_each_cluster(async |cluster| {
        let cli = Cli::of(cluster);
        let (name, group) = (topic(&cli, "1"), unique("group"));
        cli.writes(&["produce", &name], &long_lines(5000));
        let (reading, mut output) = cli.start_piped(&["consume", &name, "-g", &group]);
        let mut first = [0; 1000];
        output.read_exact(&mut first).unwrap();
        // Whoever reads goes away.
        drop(output);
        let (status, _, errors) = reading.ends();
        assert_eq!((status.code(), &*errors), (Some(0), ""));
        // A pipe holds 64 KiB.
        let committed = cli.committed(&group).unwrap();
        assert!((10..=10 + 656).contains(&committed), "{committed}");
        let rest = cli.ok(&["consume", &name, "-g", &group]);
        assert_eq!(rest.lines().next(), Some(&*format!("{committed:099}")));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_whose_output_waits_is_heard_of_and_can_be_stopped() {
    for_each_cluster_behind_a_proxy(async |cluster, proxy| {
        let direct = Cli::of(cluster);
        let through = Cli {
            bootstrap: proxy.address(),
        };
        let (name, group) = (topic(&direct, "1"), unique("group"));
        direct.writes(&["produce", &name], &long_lines(50_000));
        let beats = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&beats);
        proxy.set_script(move |request| {
            if request.is::<HeartbeatRequest>() {
                counted.fetch_add(1, Ordering::Relaxed);
            }
            Verdict::Pass
        });
        let (mut reading, mut output) =
            through.start_piped(&["consume", &name, "-g", &group, "-f"]);
        let mut first = [0; 100];
        output.read_exact(&mut first).unwrap();
        let before = beats.load(Ordering::Relaxed);
        until("two heartbeats", || {
            (beats.load(Ordering::Relaxed) >= before + 2).then_some(())
        });
        assert_eq!(direct.state(&group), "Stable");
        reading.signal(Signal::TERM);
        let (status, _, errors) = reading.ends();
        assert_eq!((status.code(), &*errors), (Some(143), ""));
        assert_eq!(direct.state(&group), "Empty");
        let committed = direct.committed(&group).unwrap();
        assert!((1..=1 + 656).contains(&committed), "{committed}");
        drop(output);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_ends_a_reader_in_order() {
    for_each_cluster(async |cluster| {
        let cli = Cli::of(cluster);
        let (name, group) = (topic(&cli, "1"), unique("group"));
        cli.writes(&["produce", &name], "one\ntwo\n");
        let mut reading = cli.start(&["consume", &name, "-g", &group, "--follow"]);
        reading.says("one\ntwo\n");
        cli.writes(&["produce", &name], "three\n");
        reading.says("one\ntwo\nthree\n");
        reading.signal(Signal::INT);
        let (status, _, errors) = reading.ends();
        assert_eq!((status.code(), &*errors), (Some(130), ""));
        assert_eq!(
            (cli.committed(&group), &*cli.state(&group)),
            (Some(3), "Empty")
        );
        // Without a group, too.
        let mut reading = cli.start(&["consume", &name, "-f", "--from", "2"]);
        reading.says("three\n");
        reading.signal(Signal::TERM);
        assert_eq!(reading.ends().0.code(), Some(143));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_begins_where_it_is_told() {
    for_each_cluster(async |cluster| {
        let cli = Cli::of(cluster);
        let name = topic(&cli, "1");
        let line = |at: i64| format!("{{\"value\":\"{at}\",\"timestamp\":{}}}\n", at * 1000);
        let write = |from: i64, to: i64| {
            let lines: String = (from..to).map(line).collect();
            cli.writes(&["produce", &name, "--format", "json"], &lines);
        };
        write(0, 10);
        let check = |group: &str, from: &str, expected: &str| {
            let said = cli.ok(&["consume", &name, "-g", group, "--from", from]);
            assert_eq!(said, expected, "{from}");
        };
        let groups: Vec<String> = (0..5).map(|_| unique("group")).collect();
        check(&groups[0], "7", "7\n8\n9\n");
        check(&groups[1], "-2", "8\n9\n");
        check(&groups[2], "1970-01-01T00:00:09Z", "9\n");
        check(&groups[3], "latest", "");
        check(&groups[4], "11", "");
        write(10, 13);
        // The group's own offset comes first.
        check(&groups[0], "0", "10\n11\n12\n");
        check(&groups[3], "earliest", "10\n11\n12\n");
        check(&groups[4], "11", "11\n12\n");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_is_given_nothing_says_so() {
    for_each_cluster(async |cluster| {
        let cli = Cli::of(cluster);
        let (name, group) = (topic(&cli, "1"), unique("group"));
        // Partitions are given out in the order of the members' ids, which begin with the client's.
        let config = ClientConfig::new(&cluster.bootstrap()).client_id("first");
        let client = Client::new(config).unwrap();
        let mut first = client.consumer(ConsumerConfig::group(&group)).unwrap();
        first.subscribe([name.as_str()]).unwrap();
        let first = tokio::spawn(async move { while first.recv_batches().await.is_ok() {} });
        until("the first member", || {
            let said = cli.run(&["group", "describe", &group]);
            said.output.contains(", 1 member").then_some(())
        });
        let (status, _, errors) = cli.start(&["consume", &name, "-g", &group]).ends();
        assert_eq!(status.code(), Some(1));
        assert!(errors.contains("its other members have all"), "{errors}");
        assert!(errors.contains(&group), "{errors}");
        first.abort();
        // One that has joined and is not heard of: the group waits for it for a minute.
        let group = unique("group");
        let _silent = join(cluster, &group, None, &name, &[0]).await;
        let reading = cli.start(&["consume", &name, "-g", &group, "--timeout", "2s"]);
        let (status, _, errors) = reading.ends();
        assert_eq!(status.code(), Some(1));
        assert!(errors.contains("none within 2s"), "{errors}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_waits_for_an_offset_that_is_still_to_come() {
    for_each_cluster(async |cluster| {
        let cli = Cli::of(cluster);
        let name = topic(&cli, "1");
        let lines: String = (0..10).map(|at| format!("{at}\n")).collect();
        cli.writes(&["produce", &name], &lines);
        let mut reading = cli.start(&["consume", &name, "--from", "12", "-f"]);
        let mut by_group = {
            let group = unique("group");
            cli.start(&["consume", &name, "--from", "12", "-f", "-g", &group])
        };
        for at in 10..15 {
            cli.writes(&["produce", &name], &format!("{at}\n"));
        }
        reading.says("12\n13\n14\n");
        by_group.says("12\n13\n14\n");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_ends_a_writer_in_order() {
    for_each_cluster(async |cluster| {
        let cli = Cli::of(cluster);
        let name = topic(&cli, "1");
        for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
            let mut producing = cli.start(&["produce", &name, "-k", &code.to_string()]);
            producing.write("line\n");
            let written = format!("{code}\n");
            cli.becomes(&["consume", &name, "--format", r"%k\n"], &[&written]);
            producing.signal(signal);
            let (status, output, errors) = producing.ends();
            assert_eq!((status.code(), &*errors), (Some(code), ""));
            assert_eq!(output, format!("1 record written to \"{name}\"\n"));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_wrote_nothing_has_no_result() {
    for_each_cluster(async |cluster| {
        let cli = Cli::of(cluster);
        let name = topic(&cli, "1");
        let produce = ["produce", &name, "--output", "json"];
        let check = |options: &[&str], input: &str, output: &str| {
            let said = cli.fed(&[&produce[..], options].concat(), input);
            assert_eq!(said.code, Some(1), "{said:?}");
            let found = said.output.replace(char::is_whitespace, "");
            assert_eq!(found, output.replace("TOPIC", &name), "{said:?}");
            assert!(said.errors.starts_with("tidemark: "), "{said:?}");
        };
        check(&["-p", "7"], "x\n", "");
        check(&["-K", ":"], "no separator\n", "");
        // Larger than the topic takes: it is the broker that says so.
        let large = "x".repeat(2_000_000);
        check(&["--max-request-size", "3000000"], &large, "");
        check(
            &["-K", ":"],
            "a:1\nb\n",
            r#"{"bytes":2,"failed":0,"topic":"TOPIC","written":1}"#,
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_member_has_written_another_does_not_write_again() {
    for_each_cluster(async |cluster| {
        let cli = Cli::of(cluster);
        let (name, group) = (topic(&cli, "2"), unique("group"));
        let write = |from: usize, to: usize| {
            let lines: String = (from..to).map(|at| format!("{at}:{at:02}\n")).collect();
            cli.writes(&["produce", &name, "-K", ":"], &lines);
        };
        write(0, 40);
        let follow = ["consume", &name, "-g", &group, "-f"];
        let read = |members: &[&Running]| {
            let all: String = members.iter().map(|member| member.file("output")).collect();
            let mut lines: Vec<usize> = all.lines().map(|line| line.parse().unwrap()).collect();
            lines.sort_unstable();
            lines
        };
        let expected = |count: usize| (0..count).collect::<Vec<_>>();
        let mut first = cli.start(&follow);
        until("the first member to read", || {
            (read(&[&first]) == expected(40)).then_some(())
        });
        let mut second = cli.start(&follow);
        until("both to have a partition", || {
            let described = cli.json(&["group", "describe", &group]);
            let members = described["groups"][0]["members"].as_array().unwrap();
            let each = |member: &serde_json::Value| member["partitions"].as_array().unwrap().len();
            (members.len() == 2 && members.iter().all(|member| each(member) == 1)).then_some(())
        });
        write(40, 80);
        until("all to be read", || {
            (read(&[&first, &second]).len() >= 80).then_some(())
        });
        assert_eq!(read(&[&first, &second]), expected(80));
        assert!(!second.file("output").is_empty());
        for member in [&mut first, &mut second] {
            member.signal(Signal::INT);
        }
        let ends = [first.ends(), second.ends()];
        assert!(ends.iter().all(|end| end.0.code() == Some(130)), "{ends:?}");
        let described = cli.json(&["group", "describe", &group]);
        assert_eq!(described["groups"][0]["lag"], 0, "{described}");
    })
    .await;
}

/// Breaks the third record of the batch that begins with offset 0, but not its checksum.
fn break_third_record(request: &Intercepted) -> Verdict {
    if !request.is::<FetchRequest>() {
        return Verdict::Pass;
    }
    request.rewrite::<FetchRequest>(|answer| {
        let partitions = answer.responses.iter_mut().flat_map(|t| &mut t.partitions);
        for partition in partitions {
            let Some(records) = partition.records.as_mut().filter(|r| !r.is_empty()) else {
                continue;
            };
            let mut batch = records.to_vec();
            // Eight bytes a record; the first is its length.
            let third = batch.len() - 8;
            batch[third] = 0x7f;
            let checksum = crc32c(&batch[21..]);
            batch[17..21].copy_from_slice(&checksum.to_be_bytes());
            *records = batch.into();
        }
    })
}

fn crc32c(bytes: &[u8]) -> u32 {
    let by_bit = |crc: u32| (crc >> 1) ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 };
    let by_byte = |crc: u32, byte: &u8| (0..8).fold(crc ^ u32::from(*byte), |crc, _| by_bit(crc));
    !bytes.iter().fold(!0, by_byte)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_stands_before_an_error_is_written_and_committed() {
    for_each_cluster_behind_a_proxy(async |cluster, proxy| {
        let direct = Cli::of(cluster);
        let through = Cli {
            bootstrap: proxy.address(),
        };
        let (name, group) = (topic(&direct, "1"), unique("group"));
        direct.writes(&["produce", &name], "a\nb\nc\n");
        proxy.set_script(break_third_record);
        let read = ["consume", &name, "-g", &group];
        let said = through.fails(&read, &[&format!("{name}-0: the batch at offset 0")]);
        assert_eq!(said.output, "a\nb\n");
        assert_eq!(direct.committed(&group), Some(2));
        // The cluster's own copy is whole. (Through the proxy, which it advertises.)
        proxy.set_script(|_| Verdict::Pass);
        assert_eq!(direct.ok(&read), "c\n");
    })
    .await;
}
