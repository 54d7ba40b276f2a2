//! `tidemark serve`: configuration, banner, signals, exit codes.
//!
//! Exit codes: 0 after a clean shutdown, 1 if the broker cannot start or stop, 2 for a bad command
//! line or configuration.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use tidemark_broker::config::{self, BrokerConfig, Loaded, SourceFile};
use tidemark_broker::environment::Environment;
use tidemark_broker::{Broker, Handle, StartError};

use crate::failure::{FAILED, USAGE as BAD_CONFIGURATION};
use crate::process::logging;
use crate::process::signals::Signals;

/// Options of `tidemark serve`.
#[derive(clap::Args, Default)]
pub(crate) struct Arguments {
    /// A file in Kafka's format (server.properties).
    #[arg(long, env = "TIDEMARK_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Sets one option; overrides the file and the environment. May be repeated.
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    set: Vec<(String, String)>,
}

pub(crate) fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => {
            Ok((key.trim().to_owned(), value.trim().to_owned()))
        }
        _ => Err("expected KEY=VALUE, as in num.partitions=4".into()),
    }
}

/// Runs the broker until a signal stops it.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let Loaded { config, warnings } = match load(arguments) {
        Ok(loaded) => loaded,
        Err(error) => return fail(BAD_CONFIGURATION, &error),
    };
    logging::start("info");
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(serve(config)),
        Err(error) => fail(FAILED, &format!("cannot start threads: {error}")),
    }
}

fn load(arguments: &Arguments) -> Result<Loaded, String> {
    let text = match &arguments.config {
        None => None,
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
            Some((path.display().to_string(), text))
        }
    };
    let file = text.as_ref().map(|(name, text)| SourceFile { name, text });
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    config::load(file, &arguments.set, environment).map_err(|error| error.to_string())
}

async fn serve(config: BrokerConfig) -> ExitCode {
    // Before anything else, so that a signal during the start stops the broker properly.
    let mut signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => return fail(FAILED, &format!("cannot listen for signals: {error}")),
    };
    let durable = config.tidemark_acks_all_durable;
    let mut starting = std::pin::pin!(Broker::start(config, Environment::real()));
    let mut stop_early = false;
    let started = tokio::select! {
        started = &mut starting => started,
        _ = signals.next() => {
            // Logs are being opened, perhaps recovered: once that is done they can be closed in
            // order, and the next start need not do it again.
            tracing::info!("stopping when the start is done; a second signal stops at once");
            stop_early = true;
            tokio::select! {
                started = &mut starting => started,
                _ = signals.next() => exit_at_once(),
            }
        }
    };
    let broker = match started {
        Ok(broker) => broker,
        Err(error) => {
            let code = match error {
                StartError::Config(_) => BAD_CONFIGURATION,
                _ => FAILED,
            };
            return fail(code, &error.to_string());
        }
    };
    if !stop_early {
        print_banner(&broker, durable);
        tokio::select! {
            _ = signals.next() => {}
            failed = broker.failed() => {
                fail(FAILED, &format!("{failed}; what was acknowledged is safe, start it again"));
                exit_at_once();
            }
        }
    }
    tracing::info!("stopping; a second signal stops at once");
    tokio::select! {
        stopped = broker.shutdown() => match stopped {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(FAILED, &format!("the shutdown was not clean: {error}")),
        },
        _ = signals.next() => exit_at_once(),
    }
}

/// Not through main: threads may be waiting for a disk.
fn exit_at_once() -> ! {
    std::process::exit(i32::from(FAILED));
}

fn print_banner(broker: &Handle, durable: bool) {
    let mut text = format!("Tidemark {}\n", env!("CARGO_PKG_VERSION"));
    for (name, address) in broker.addresses() {
        text.push_str(&format!("  listening   {name}://{address}\n"));
    }
    text.push_str(&format!("  data        {}\n", broker.data_dir().display()));
    if let Some(http) = broker.http_address() {
        text.push_str(&format!("  http        http://{http}/metrics\n"));
    }
    text.push_str(match durable {
        true => "  durability  acks=all answers when the data is on disk\n",
        false => {
            "  durability  acks=all answers from the page cache (tidemark.acks.all.durable=false)\n"
        }
    });
    // A closed standard output is no reason to stop.
    let _ = std::io::stdout().write_all(text.as_bytes());
    let _ = std::io::stdout().flush();
}

fn fail(code: u8, message: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "tidemark: {message}");
    ExitCode::from(code)
}
