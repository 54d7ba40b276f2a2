//! What can be wrong with a configuration, worded so that the reader can mend it.

/// An option, a value or a combination of values that cannot be accepted.
///
/// The texts of single values have the form Kafka's `ConfigException` gives them, because tools
/// print them as they come: key, value, and what is allowed. About a topic's options an API
/// answers INVALID_CONFIG (40), except [`ConfigError::NullValue`], which is INVALID_REQUEST (42);
/// about the broker's it answers INVALID_REQUEST throughout, as Kafka does (KAFKA-13609).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A topic override whose name no topic option has.
    #[error("Unknown topic config name: {0}")]
    UnknownTopicOption(String),
    /// A value that cannot be read as the option's type or is outside the allowed values.
    #[error("Invalid value {value} for configuration {key}: {reason}")]
    Invalid {
        /// The option's name.
        key: String,
        /// The value as it was given.
        value: String,
        /// What is allowed instead.
        reason: String,
    },
    /// Values that are fine one by one and contradict each other, or ask for what is not there.
    #[error("{0}")]
    Conflict(String),
    /// An attempt to change at run time what is fixed at the start.
    #[error("Cannot update these configs dynamically: {0}")]
    ReadOnly(String),
    /// APPEND or SUBTRACT on an option that is not a list.
    #[error("Can't {op} to key {key} because its type is not LIST.")]
    NotAList {
        /// The operation, in Kafka's upper case.
        op: &'static str,
        /// The option's name.
        key: String,
    },
    /// SET, APPEND or SUBTRACT without a value.
    #[error("Null value not supported for : {0}")]
    NullValue(String),
    /// A line of a properties file that cannot be read.
    #[error("line {line}: {reason}")]
    Syntax {
        /// The line's number in the file, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// An error together with the place the value came from.
    #[error("{origin}: {error}")]
    At {
        /// A file and line, an environment variable, or the command line.
        origin: String,
        /// The error itself.
        error: Box<ConfigError>,
    },
    /// Everything that is wrong, so that one start shows all of it.
    #[error("{}", join(.0))]
    Several(Vec<ConfigError>),
}

impl ConfigError {
    /// A bad value of one option.
    pub fn invalid(
        key: impl Into<String>,
        value: impl Into<String>,
        reason: impl Into<String>,
    ) -> Self {
        Self::Invalid {
            key: key.into(),
            value: value.into(),
            reason: reason.into(),
        }
    }

    /// The same error with the place its value came from.
    pub(super) fn at(self, origin: impl Into<String>) -> Self {
        Self::At {
            origin: origin.into(),
            error: Box::new(self),
        }
    }

    /// `Ok` when there is nothing to complain about, the error itself when there is one.
    pub(super) fn collect(mut errors: Vec<Self>) -> Result<(), Self> {
        match errors.len() {
            0 => Ok(()),
            1 => Err(errors.remove(0)),
            _ => Err(Self::Several(errors)),
        }
    }
}

fn join(errors: &[ConfigError]) -> String {
    errors
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}
