//! Commands that run for as long as their input or their output does: pipes that are held open,
//! readers that stop, signals.

use std::fs::File;
use std::io::Write;
use std::process::{Child, ChildStdin, ExitStatus, Stdio};

use integration_tests::harness::cluster::for_each_cluster;
use integration_tests::harness::process::binary;
use integration_tests::harness::wait::until;

use super::Cli;
use super::records::topic;

/// A command that is running. Dropping it kills it.
struct Running {
    child: Child,
    input: Option<ChildStdin>,
    directory: tempfile::TempDir,
}

impl Cli {
    /// Starts a command; its standard input is a pipe that is held open.
    fn start(&self, arguments: &[&str]) -> Running {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str| File::create(directory.path().join(name)).unwrap();
        let mut command = std::process::Command::new(binary());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("TIDEMARK_") {
                command.env_remove(name);
            }
        }
        let mut child = command
            .args(arguments)
            .args(["--bootstrap", &self.bootstrap])
            .stdin(Stdio::piped())
            .stdout(file("output"))
            .stderr(file("errors"))
            .spawn()
            .expect("the binary runs");
        Running {
            input: child.stdin.take(),
            child,
            directory,
        }
    }
}

impl Running {
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
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("it ended with {status}: {}", self.file("errors"));
            }
            (self.file("output") == text).then_some(())
        });
    }

    /// Waits until it ends: how, and what it said on both ways.
    #[track_caller]
    fn ends(mut self) -> (ExitStatus, String, String) {
        let status = until("the command to end", || self.child.try_wait().unwrap());
        let errors = self.file("errors");
        assert!(!errors.contains("panicked"), "{errors}");
        (status, self.file("output"), errors)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Fails only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
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
