//! What all commands have in common that ask a cluster: where it is, how to prove who one is, how
//! long to wait, and in which form the answer is wanted.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::ValueEnum;
use tidemark_client::{
    Admin, Client, ClientConfig, ClientError, SaslConfig, SaslMechanism, TlsConfig,
};
use tokio::runtime::Builder;

use crate::failure::{FAILED, Failure, option_of};
use crate::output::{self, Format, Report};
use crate::process::logging;
use crate::time;

/// The variable with the password: an option would show in the list of processes.
const PASSWORD: &str = "TIDEMARK_PASSWORD";

/// Options of every command that asks a cluster.
#[derive(Clone, clap::Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct Remote {
    /// Brokers to begin with; the cluster tells of the others.
    #[arg(
        long,
        env = "TIDEMARK_BOOTSTRAP",
        default_value = "localhost:9092",
        value_name = "HOST:PORT,...",
        global = true
    )]
    bootstrap: String,
    /// Encrypts; trusts the certificate authorities in this PEM file, or those of the system.
    #[arg(long, value_name = "FILE|system", global = true)]
    tls_ca: Option<String>,
    /// Shows brokers that ask for it this certificate, a PEM file with its chain.
    #[arg(long, value_name = "FILE", global = true)]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key, a PEM file.
    #[arg(long, value_name = "FILE", global = true)]
    tls_key: Option<PathBuf>,
    /// Authenticates by this mechanism.
    #[arg(long, value_enum, ignore_case = true, global = true)]
    sasl_mechanism: Option<Mechanism>,
    /// Authenticates as this user; the password is in TIDEMARK_PASSWORD or --password-file.
    #[arg(long, global = true)]
    user: Option<String>,
    /// The file with the password; an end of line behind it does not count.
    #[arg(long, value_name = "FILE", global = true)]
    password_file: Option<PathBuf>,
    /// How long each call to the cluster may take: 500ms, 30s, 2m.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = time::duration, global = true)]
    timeout: Duration,
    /// A table for people, or JSON for programs.
    #[arg(long, value_enum, default_value = "table", global = true)]
    output: Format,
}

#[derive(Clone, Copy, ValueEnum)]
enum Mechanism {
    #[value(name = "PLAIN")]
    Plain,
    #[value(name = "SCRAM-SHA-256")]
    ScramSha256,
    #[value(name = "SCRAM-SHA-512")]
    ScramSha512,
}

impl Remote {
    /// How long the command may take for what it waits for.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// In which form the answer is wanted.
    pub(crate) fn output(&self) -> Format {
        self.output
    }

    /// `create` allows the cluster to make topics on demand.
    fn config(&self, create: bool) -> Result<ClientConfig, Failure> {
        let mut config = ClientConfig::new(&self.bootstrap)
            .client_id("tidemark-cli")
            .api_timeout(self.timeout)
            .auto_create_topics(create);
        if let Some(tls) = self.tls()? {
            config = config.tls(tls);
        }
        if let Some(sasl) = self.sasl()? {
            config = config.sasl(sasl);
        }
        Ok(config)
    }

    fn tls(&self) -> Result<Option<TlsConfig>, Failure> {
        let chain = match (&self.tls_cert, &self.tls_key) {
            (Some(cert), Some(key)) => Some((read("--tls-cert", cert)?, read("--tls-key", key)?)),
            (None, None) => None,
            (Some(cert), None) => {
                let cert = cert.display().to_string();
                return Err(Failure::usage(
                    "--tls-cert",
                    &cert,
                    "its key is missing: add --tls-key FILE",
                ));
            }
            (None, Some(key)) => {
                let key = key.display().to_string();
                let fix = "its certificate is missing: add --tls-cert FILE";
                return Err(Failure::usage("--tls-key", &key, fix));
            }
        };
        let tls = match (self.tls_ca.as_deref(), chain) {
            (None, None) => return Ok(None),
            (Some("system"), None) => TlsConfig::system_roots(),
            (Some(ca), None) => TlsConfig::ca(&read("--tls-ca", ca.as_ref())?),
            (Some("system") | None, Some(_)) => {
                let fix = "with --tls-cert, name the file of the authority that signs the brokers";
                let found = self.tls_ca.as_deref().unwrap_or_default();
                return Err(Failure::usage("--tls-ca", found, fix));
            }
            (Some(ca), Some((cert, key))) => {
                TlsConfig::ca_and_client(&read("--tls-ca", ca.as_ref())?, &cert, &key)
            }
        };
        tls.map(Some).map_err(|error| self.tls_failure(error))
    }

    /// The client has seen what is in the files, and not their names.
    fn tls_failure(&self, error: ClientError) -> Failure {
        let ClientError::Config { option, reason, .. } = error else {
            return error.into();
        };
        let option = option_of(option);
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        let value = match option {
            "--tls-cert" => path(&self.tls_cert),
            "--tls-key" => path(&self.tls_key),
            _ => self.tls_ca.clone(),
        };
        Failure::usage(option, &value.unwrap_or_default(), reason)
    }

    fn sasl(&self) -> Result<Option<SaslConfig>, Failure> {
        let (mechanism, user) = match (self.sasl_mechanism, &self.user) {
            (None, None) => return Ok(None),
            (Some(mechanism), Some(user)) => (mechanism, user),
            (None, Some(user)) => {
                let fix = "add --sasl-mechanism PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512";
                return Err(Failure::usage("--user", user, fix));
            }
            (Some(_), None) => {
                let fix = "--sasl-mechanism needs it: name the user";
                return Err(Failure::usage("--user", "", fix));
            }
        };
        let mechanism = match mechanism {
            Mechanism::Plain => SaslMechanism::Plain,
            Mechanism::ScramSha256 => SaslMechanism::ScramSha256,
            Mechanism::ScramSha512 => SaslMechanism::ScramSha512,
        };
        Ok(Some(SaslConfig::new(mechanism, user, self.password(user)?)))
    }

    fn password(&self, user: &str) -> Result<String, Failure> {
        if let Some(path) = &self.password_file {
            let text = String::from_utf8(read("--password-file", path)?);
            let shown = path.display().to_string();
            let text =
                text.map_err(|_| Failure::usage("--password-file", &shown, "it is not UTF-8"))?;
            return Ok(text.trim_end_matches(['\r', '\n']).to_owned());
        }
        std::env::var(PASSWORD).map_err(|_| {
            let fix = format!("the password is missing: set {PASSWORD}, or name --password-file");
            Failure::usage("--user", user, fix)
        })
    }
}

fn read(option: &str, path: &std::path::Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| {
        let fix = format!("cannot read the file: {error}");
        Failure::usage(option, &path.display().to_string(), fix)
    })
}

/// Runs a command that administers a cluster, shows its report and gives the exit code.
pub(crate) fn run<F>(remote: &Remote, work: impl FnOnce(Admin) -> F) -> ExitCode
where
    F: Future<Output = Result<Report, Failure>>,
{
    run_client(remote, false, |client| work(client.admin()))
}

/// The same for a command that reads or writes records. `create` allows the cluster to make topics
/// on demand.
pub(crate) fn run_client<F>(
    remote: &Remote,
    create: bool,
    work: impl FnOnce(Client) -> F,
) -> ExitCode
where
    F: Future<Output = Result<Report, Failure>>,
{
    run_on(&mut Builder::new_current_thread(), remote, create, work)
}

/// The same for a command that computes: it may use all processors.
pub(crate) fn run_computing<F>(remote: &Remote, work: impl FnOnce(Client) -> F) -> ExitCode
where
    F: Future<Output = Result<Report, Failure>>,
{
    run_on(&mut Builder::new_multi_thread(), remote, false, work)
}

fn run_on<F>(
    runtime: &mut Builder,
    remote: &Remote,
    create: bool,
    work: impl FnOnce(Client) -> F,
) -> ExitCode
where
    F: Future<Output = Result<Report, Failure>>,
{
    // Only on request: what a command has to say it says itself.
    if std::env::var_os(logging::VARIABLE).is_some() {
        logging::start("warn");
    }
    let done = match runtime.enable_all().build() {
        Ok(runtime) => runtime.block_on(async {
            let client = Client::new(remote.config(create)?)?;
            let done = work(client.clone()).await;
            client.close();
            done
        }),
        Err(error) => Err(Failure::new(format!("cannot start threads: {error}"))),
    };
    match done {
        Ok(report) => {
            output::show(&report, remote.output);
            match (report.stopped, report.problems.is_empty()) {
                (Some(code), _) => ExitCode::from(code),
                (None, true) => ExitCode::SUCCESS,
                (None, false) => ExitCode::from(FAILED),
            }
        }
        Err(failure) => {
            output::complain(&failure.message);
            ExitCode::from(failure.code)
        }
    }
}
