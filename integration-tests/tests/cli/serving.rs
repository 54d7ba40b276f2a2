//! `tidemark batch`.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use integration_tests::harness::cluster::{
    Cluster, for_each_cluster, for_each_cluster_behind_a_proxy,
};
use integration_tests::harness::proxy::{Intercepted, Verdict};
use integration_tests::harness::wait::until;
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;
use tidemark_protocol::messages::FetchRequest;
use tidemark_streams::serving::views::word_count;
use tidemark_streams::serving::{Coverage, Lambda, LambdaConfig};

use super::records::topic;
use super::{Cli, usage};

/// A view's input, and a folder for its snapshots.
pub(super) struct Site<'a> {
    pub(super) cli: &'a Cli,
    pub(super) view: &'static str,
    pub(super) input: String,
    pub(super) folder: TempDir,
}

impl<'a> Site<'a> {
    pub(super) fn new(cli: &'a Cli, view: &'static str, partitions: &str) -> Self {
        Self {
            input: topic(cli, partitions),
            cli,
            view,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub(super) fn folder(&self) -> &str {
        self.folder.path().to_str().unwrap()
    }

    /// The view's own folder.
    pub(super) fn own(&self) -> PathBuf {
        self.folder.path().join(self.view)
    }

    pub(super) fn batch<'b>(&'b self, more: &[&'b str]) -> Vec<&'b str> {
        let run = ["batch", "run", "--view", self.view, "--input", &self.input];
        [&run[..], &["--snapshots", self.folder()], more].concat()
    }

    pub(super) fn write(&self, partition: &str, lines: &str) {
        self.cli
            .writes(&["produce", &self.input, "-p", partition], lines);
    }

    /// How far a coverage of the input goes.
    fn offsets(&self, coverage: &Value) -> Vec<i64> {
        // Without a snapshot there is none.
        let own = coverage[&self.input].as_object().into_iter();
        let ends = own.flat_map(|own| own.values());
        ends.map(|end| end.as_i64().unwrap()).collect()
    }
}

/// All files below a folder.
pub(super) fn files(folder: &Path) -> Vec<PathBuf> {
    let (mut found, mut open) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = open.pop() {
        // It may go while it is looked at.
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.path() {
                path if path.is_dir() => open.push(path),
                path => found.push(path),
            }
        }
    }
    found.sort();
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_run_goes_on_from_the_last_snapshot() {
    for_each_cluster(async |cluster| {
        let cli = Cli::of(cluster);
        let site = Site::new(&cli, "user_totals", "2");
        site.write(
            "0",
            "{\"user_id\":\"a\",\"value\":1.5}\n{\"user_id\":\"b\"}\nbad\n",
        );
        site.write("1", "{\"user_id\":\"a\"}\n");
        let first = cli.json(&site.batch(&[]));
        let short = |told: &Value| {
            json!([
                told["snapshot"],
                told["parent"],
                told["published"],
                told["records"],
                told["bad"],
                site.offsets(&told["coverage"]),
            ])
        };
        assert_eq!(short(&first), json!([1, null, true, 4, 1, [3, 1]]));
        assert_eq!(
            (&first["view"], &first["taken_up"]),
            (&"user_totals".into(), &Value::Null)
        );
        let sizes = files(&site.own());
        let sizes = sizes
            .iter()
            .filter(|path| path.extension().is_some_and(|end| end == "parquet"));
        let sizes: Vec<u64> = sizes.map(|path| path.metadata().unwrap().len()).collect();
        assert_eq!(first["files"], sizes.len());
        assert_eq!(first["bytes"], sizes.iter().sum::<u64>());
        assert_eq!(
            short(&cli.json(&site.batch(&[]))),
            json!([1, null, false, 4, 1, [3, 1]])
        );
        site.write("1", "{\"user_id\":\"c\"}\n");
        assert_eq!(
            short(&cli.json(&site.batch(&[]))),
            json!([2, 1, true, 5, 1, [3, 2]])
        );
        let scratch = site.batch(&["--from-scratch", "--keep", "1", "--no-events"]);
        let said = cli.ok(&scratch);
        let input = &site.input;
        assert!(
            said.starts_with("snapshot 3 of \"user_totals\", from the beginning of the log\n"),
            "{said}"
        );
        assert!(
            said.contains(&format!("coverage  {input}:0:3,{input}:1:2\n")),
            "{said}"
        );
        assert!(
            said.contains("contents  5 records (1 bad), 2 files, "),
            "{said}"
        );
        // Old states are gone, manifests are not.
        let left = |folder: &str| files(&site.own().join(folder)).len();
        assert_eq!(
            (left("state"), left("manifests"), left("unfinished")),
            (2, 3, 0)
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_run_that_cannot_be_says_why() {
    let cluster = Cluster::tidemark(&[]).await;
    let cli = Cli::of(&cluster);
    let site = Site::new(&cli, "word_count", "1");
    site.write("0", "one two\nthree\n");
    let input = &site.input;
    let missing = ["batch", "run", "--view", "word_count", "--input", "nowhere"];
    let missing = [&missing[..], &["--snapshots", site.folder()]].concat();
    cli.fails(
        &missing,
        &["\"nowhere\" does not exist", "tidemark topic list"],
    );
    cli.ok(&[
        "topic",
        "create",
        "tables",
        "--set",
        "cleanup.policy=compact",
    ]);
    let tables = [&missing[..5], &["tables", "--snapshots", site.folder()]].concat();
    cli.fails(
        &tables,
        &["topic tables is compacted", "cleanup.policy=delete"],
    );
    let beyond = format!("{input}:0:3");
    cli.fails(&site.batch(&["--cut", &beyond]), &["up to offset 2 only"]);
    let other = format!("{input}:7:0");
    let none = format!("{input}-7 is none of the view's partitions");
    cli.fails(&site.batch(&["--cut", &other]), &[&none]);
    // There is no speed layer that would have to use it.
    let part = format!("{input}:0:1");
    let told = cli.json(&site.batch(&["--cut", &part]));
    assert_eq!(
        (&told["records"], site.offsets(&told["coverage"])),
        (&1.into(), vec![1])
    );
    usage(
        &["batch", "run", "--view", "words", "--snapshots", "x"],
        "user_totals, user_windows, word_count",
    );
    usage(&site.batch(&["--cut", "x"]), "topic:partition:offset");
    usage(&site.batch(&["--cut", ""]), "topic:partition:offset");
    usage(&site.batch(&["--keep", "0"]), "--keep");
    usage(
        &[
            "batch",
            "run",
            "--view",
            "word_count",
            "--snapshots",
            site.folder(),
        ],
        "name the one with the lines",
    );
    let file = site.folder.path().join("file");
    File::create(&file).unwrap();
    let at = file.to_str().unwrap();
    let no_folder = [
        "batch",
        "run",
        "--view",
        "word_count",
        "--input",
        input,
        "--snapshots",
        at,
    ];
    cli.fails(&no_folder, &[at]);
    cluster.stop().await;
}

/// What cannot be read is told, not only passed over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_run_tells_which_snapshots_it_has_left_out() {
    let cluster = Cluster::tidemark(&[]).await;
    let cli = Cli::of(&cluster);
    let site = Site::new(&cli, "word_count", "1");
    for _ in 0..2 {
        site.write("0", "one two\n");
        cli.ok(&site.batch(&[]));
    }
    let states = files(&site.own().join("state"));
    let damaged = states.last().unwrap();
    let mut bytes = std::fs::read(damaged).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(damaged, bytes).unwrap();
    site.write("0", "three\n");
    let told = cli.json(&site.batch(&["--memory", "1"]));
    assert_eq!((&told["snapshot"], &told["parent"]), (&3.into(), &1.into()));
    let left_out = told["left_out"].as_array().unwrap();
    assert_eq!(left_out.len(), 1, "{told}");
    assert_eq!(left_out[0]["snapshot"], 2);
    let reason = left_out[0]["reason"].as_str().unwrap();
    assert!(reason.contains("checksum"), "{reason}");
    assert_eq!(told["changed_since"], Value::Null);
    // A manifest that cannot be read, with nothing new behind it.
    std::fs::write(site.own().join("manifests/00000000000000000004.json"), "{}").unwrap();
    let said = cli.ok(&site.batch(&["--cut", &format!("{}:0:1", site.input)]));
    assert!(said.starts_with("snapshot 4 is left out: "), "{said}");
    let nothing = "\nnothing new: snapshot 3 of \"word_count\" is the newest one\n";
    assert!(said.contains(nothing), "{said}");
    let more = format!(
        "{}-0 does not end at 1: a snapshot that has more",
        site.input
    );
    assert!(said.contains(&more), "{said}");
    cluster.stop().await;
}

/// Who holds a folder's lock is a run that is at work.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_batch_runs_one_says_that_the_other_is_at_work() {
    for_each_cluster_behind_a_proxy(async |cluster, proxy| {
        let direct = Cli::of(cluster);
        let through = Cli {
            bootstrap: proxy.address(),
        };
        let site = Site::new(&direct, "word_count", "1");
        site.write("0", "one two\n");
        let drop_fetches = |request: &Intercepted| match request.is::<FetchRequest>() {
            true => Verdict::Drop,
            false => Verdict::Pass,
        };
        proxy.set_script(drop_fetches);
        let first = through.start(&site.batch(&[]));
        let plan = || {
            let left = files(&site.own().join("unfinished"));
            left.iter()
                .any(|path| path.ends_with("run.json"))
                .then_some(())
        };
        until("the first one to begin", plan);
        let folder = site.own();
        let texts = ["another batch run is at work in", folder.to_str().unwrap()];
        direct.fails(&site.batch(&[]), &texts);
        // One that is stopped, or killed, is taken up again.
        let mut first = first;
        first.signal(Signal::TERM);
        let (status, output, errors) = first.ends();
        assert_eq!((status.code(), &*output), (Some(143), ""), "{errors}");
        assert!(errors.contains("the next run goes on from"), "{errors}");
        let mut second = through.start(&site.batch(&[]));
        second.signal(Signal::KILL);
        second.ends();
        proxy.set_script(|_| Verdict::Pass);
        let said = direct.ok(&site.batch(&[]));
        assert!(
            said.starts_with("a run that was not done is taken up again: it had read 0 offsets\n"),
            "{said}"
        );
        assert!(said.contains("\nsnapshot 1 of \"word_count\""), "{said}");
        assert!(files(&site.own().join("unfinished")).is_empty());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_run_ends_where_the_speed_layer_can_use_it() {
    for_each_cluster(async |cluster| {
        let cli = Cli::of(cluster);
        let site = Site::new(&cli, "word_count", "1");
        let folder = site.folder.path();
        let config = LambdaConfig::new(&cli.bootstrap, folder)
            .cut_every(Duration::ZERO)
            .commit_interval(Duration::from_millis(20))
            .poll(Duration::from_millis(20))
            .wait(Duration::from_secs(60));
        let view = Lambda::start(word_count(&site.input), config)
            .await
            .unwrap();
        site.write("0", "one two\nthree\nthree\n");
        let end: Coverage = format!("{}:0:3", site.input).parse().unwrap();
        view.covers(&end).await.unwrap();
        // No cut is in the midst of what has been read at once.
        let between = format!("{}:0:2", site.input);
        let texts = ["offset 2 is no cut that the view's speed layer has announced"];
        cli.fails(&site.batch(&["--cut", &between]), &texts);
        // A cut can be used when it has been saved and announced.
        let told = until("a snapshot of everything", || {
            let told = cli.json(&site.batch(&[]));
            (site.offsets(&told["coverage"]) == [3]).then_some(told)
        });
        assert_eq!(told["records"], 3);
        let snapshot = told["snapshot"].as_u64();
        until("it to be used", || {
            (view.snapshot() == snapshot).then_some(())
        });
        let answer = view.get(&"three".to_owned()).unwrap();
        assert_eq!((answer.value, answer.snapshot), (Some(2), snapshot));
        let at_it = format!("{}:0:3", site.input);
        let again = cli.json(&site.batch(&["--cut", &at_it]));
        assert_eq!(
            (again["snapshot"].as_u64(), &again["published"]),
            (snapshot, &false.into())
        );
        view.close(Duration::from_secs(60)).await.unwrap();
    })
    .await;
}
