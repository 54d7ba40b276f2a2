//! Why a command failed, in words that name what to change, and with which exit code it ends.

use tidemark_client::consumer::ConsumerError;
use tidemark_client::{CallError, ClientError, ConnectError, ErrorCode};

/// The exit code of a command that was understood and could not be carried out, or not all of it.
pub(crate) const FAILED: u8 = 1;
/// The exit code for a command line or a configuration that cannot be meant.
pub(crate) const USAGE: u8 = 2;
/// The exit code of a comparison that could not be made: nothing has been found out.
pub(crate) const NOT_COMPARED: u8 = 3;

/// The end of a command.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: u8,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            code: FAILED,
            message: message.into(),
        }
    }

    /// An option that cannot be meant; `fix` says what would be right.
    pub(crate) fn usage(option: &str, value: &str, fix: impl AsRef<str>) -> Self {
        Self {
            code: USAGE,
            message: format!("{option} {value:?}: {}", fix.as_ref()),
        }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let code = match error {
            ClientError::Config { .. } => USAGE,
            _ => FAILED,
        };
        Self {
            code,
            message: explain(&error),
        }
    }
}

impl From<ConsumerError> for Failure {
    fn from(error: ConsumerError) -> Self {
        match error {
            ConsumerError::Client(error) => error.into(),
            ConsumerError::Group {
                group,
                code: code @ (ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration),
                ..
            } => Self::new(format!(
                "group {group:?}: {code}: the group has gone on without this command, which was not \
                 heard of, or whose output was not read, for too long: what it wrote last may be \
                 read again"
            )),
            error => Self::new(error.to_string()),
        }
    }
}

/// The error with what may help against it.
pub(crate) fn explain(error: &ClientError) -> String {
    if let ClientError::Config {
        option,
        value,
        reason,
    } = error
    {
        return format!("{} {value:?}: {reason}", option_of(option));
    }
    match fix(error) {
        Some(fix) => format!("{error}\n  {fix}"),
        None => error.to_string(),
    }
}

/// What the client's options are called on the command line.
pub(crate) fn option_of(option: &'static str) -> &'static str {
    match option {
        "bootstrap" => "--bootstrap",
        "api_timeout" | "delivery_timeout" | "max_block" => "--timeout",
        "tls" | "tls ca" => "--tls-ca",
        "tls client certificate" => "--tls-cert",
        "tls client key" => "--tls-key",
        "max_request_size" => "--max-request-size",
        "compression_level" => "--compression",
        "group" => "--group",
        "topics" => "TOPIC",
        "groups" => "GROUP",
        other => other,
    }
}

fn fix(error: &ClientError) -> Option<&'static str> {
    match error {
        ClientError::Timeout { last, .. } => fix(last.as_ref()?),
        ClientError::Connect(ConnectError::Io { .. } | ConnectError::Timeout { .. }) => {
            Some("is the broker running, and --bootstrap (TIDEMARK_BOOTSTRAP) its address?")
        }
        ClientError::Connect(ConnectError::Authentication { .. }) => {
            Some("check --user, --sasl-mechanism and the password")
        }
        ClientError::Connect(ConnectError::Tls { .. }) => Some("check --tls-ca and --bootstrap"),
        ClientError::Connect(ConnectError::NotKafka { .. }) => {
            Some("check --bootstrap; a listener with TLS needs --tls-ca, one with SASL --user")
        }
        ClientError::Call(CallError::Unsupported { .. }) => {
            Some("the cluster is too old for this command")
        }
        error => fix_of_code(error.code()?),
    }
}

fn fix_of_code(code: ErrorCode) -> Option<&'static str> {
    match code {
        ErrorCode::UnknownTopicOrPartition => Some("`tidemark topic list` shows what there is"),
        ErrorCode::TopicAlreadyExists => Some("--if-not-exists leaves it as it is"),
        ErrorCode::GroupIdNotFound => Some("`tidemark group list` shows what there is"),
        ErrorCode::NonEmptyGroup | ErrorCode::UnknownMemberId => {
            Some("the group has members: stop them first")
        }
        ErrorCode::TopicAuthorizationFailed
        | ErrorCode::GroupAuthorizationFailed
        | ErrorCode::ClusterAuthorizationFailed => Some("--user may not do this"),
        _ => None,
    }
}
