//! A parsed value of an option and the way it is printed.

use super::error::ConfigError;
use super::java;
use super::spec::ConfigType;

/// The value of an option in its own type.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// BOOLEAN.
    Bool(bool),
    /// STRING, CLASS and PASSWORD.
    Text(String),
    /// SHORT, INT and LONG; the type says which range was checked.
    Number(i64),
    /// DOUBLE; never NaN or infinite.
    Double(f64),
    /// LIST.
    List(Vec<String>),
}

impl Value {
    /// Reads `text` as Kafka's `ConfigDef.parseType` does.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] when the text is not of the type.
    pub(super) fn parse(key: &str, text: &str, kind: ConfigType) -> Result<Self, ConfigError> {
        let trimmed = java::trim(text);
        let not_a_number =
            || ConfigError::invalid(key, text, format!("Not a number of type {}", kind.name()));
        let number = |min: i64, max: i64| match trimmed.parse::<i64>() {
            Ok(number) if (min..=max).contains(&number) => Ok(Self::Number(number)),
            _ => Err(not_a_number()),
        };
        match kind {
            ConfigType::Boolean if trimmed.eq_ignore_ascii_case("true") => Ok(Self::Bool(true)),
            ConfigType::Boolean if trimmed.eq_ignore_ascii_case("false") => Ok(Self::Bool(false)),
            ConfigType::Boolean => Err(ConfigError::invalid(
                key,
                text,
                "Expected value to be either true or false",
            )),
            ConfigType::String | ConfigType::Class | ConfigType::Password => {
                Ok(Self::Text(trimmed.to_owned()))
            }
            ConfigType::Short => number(i64::from(i16::MIN), i64::from(i16::MAX)),
            ConfigType::Int => number(i64::from(i32::MIN), i64::from(i32::MAX)),
            ConfigType::Long => number(i64::MIN, i64::MAX),
            ConfigType::Double => match trimmed.parse::<f64>() {
                Ok(number) if number.is_finite() => Ok(Self::Double(number)),
                _ => Err(not_a_number()),
            },
            ConfigType::List => Ok(Self::List(java::split_list(trimmed))),
        }
    }

    /// The number as a double, for range checks.
    pub(super) fn as_double(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number as f64),
            Self::Double(number) => Some(*number),
            _ => None,
        }
    }
}

/// The form Kafka reports a value in (`ConfigDef.convertToString`).
impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bool(value) => value.fmt(f),
            Self::Text(value) => value.fmt(f),
            Self::Number(value) => value.fmt(f),
            Self::Double(value) => java::double(*value).fmt(f),
            Self::List(value) => value.join(",").fmt(f),
        }
    }
}
