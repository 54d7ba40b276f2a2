//! The declaration of an option and what follows from it: parsing and validation.

use super::error::ConfigError;
use super::value::Value;

/// The release whose broker first had every option declared without an explicit `since`.
const FIRST_RELEASE: &str = "0.1.0";

/// The type of an option, numbered as DescribeConfigs reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i8)]
pub enum ConfigType {
    /// `true` or `false`, in any case.
    Boolean = 1,
    /// Text.
    String = 2,
    /// A 32-bit integer.
    Int = 3,
    /// A 16-bit integer.
    Short = 4,
    /// A 64-bit integer.
    Long = 5,
    /// A finite 64-bit floating point number.
    Double = 6,
    /// Texts separated by commas.
    List = 7,
    /// The name of a Java class.
    Class = 8,
    /// Text that is never reported.
    Password = 9,
}

impl ConfigType {
    /// The number DescribeConfigs carries.
    pub fn id(self) -> i8 {
        self as i8
    }

    /// Kafka's upper-case name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Boolean => "BOOLEAN",
            Self::String => "STRING",
            Self::Int => "INT",
            Self::Short => "SHORT",
            Self::Long => "LONG",
            Self::Double => "DOUBLE",
            Self::List => "LIST",
            Self::Class => "CLASS",
            Self::Password => "PASSWORD",
        }
    }
}

/// Whether, and for whom, an option can change while the broker runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dynamic {
    /// Fixed at the start.
    ReadOnly,
    /// Can be set for the cluster (an empty resource name) and for a broker.
    ClusterWide,
    /// Can be set for one broker only.
    PerBroker,
}

impl Dynamic {
    /// Kafka's name of the update mode.
    pub fn name(self) -> &'static str {
        match self {
            Self::ReadOnly => "read-only",
            Self::ClusterWide => "cluster-wide",
            Self::PerBroker => "per-broker",
        }
    }
}

/// The values an option accepts beyond what its type says.
#[derive(Clone, Copy, Debug)]
pub enum Valid {
    /// Every value of the type.
    Any,
    /// Numbers from this one on.
    AtLeast(i64),
    /// Numbers from the first to the second, both included.
    Between(i64, i64),
    /// Numbers from the first to the second, or the third, which stands for "the default".
    BetweenOr(i64, i64, i64),
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// A list of these texts without repetitions; it may be empty.
    ListOf(&'static [&'static str]),
    /// A list with at least one entry, without repetitions and without empty entries.
    Entries,
    /// A rule of its own: the check, which says what is allowed instead, and its description.
    Rule(fn(&Value) -> Result<(), String>, &'static str),
}

impl Valid {
    /// The allowed values as the documentation prints them; empty when the type says it all.
    pub fn describe(self) -> String {
        match self {
            Self::Any => String::new(),
            Self::AtLeast(min) => format!("[{min},...]"),
            Self::Between(min, max) => format!("[{min},...,{max}]"),
            Self::BetweenOr(min, max, other) => format!("[{min},...,{max}] or {other}"),
            Self::OneOf(texts) => format!("[{}]", texts.join(", ")),
            Self::ListOf(texts) => format!("list of [{}], may be empty", texts.join(", ")),
            Self::Entries => "non-empty list without repetitions".to_owned(),
            Self::Rule(_, description) => description.to_owned(),
        }
    }

    /// Checks `value`; the error is what is allowed instead.
    fn check(self, value: &Value) -> Result<(), String> {
        let number = value.as_double();
        let below = |min: i64| number.is_some_and(|n| n < min as f64);
        let above = |max: i64| number.is_some_and(|n| n > max as f64);
        match self {
            Self::Any => Ok(()),
            Self::AtLeast(min) | Self::Between(min, _) if below(min) => {
                Err(format!("Value must be at least {min}"))
            }
            Self::Between(_, max) if above(max) => Err(format!("Value must be no more than {max}")),
            Self::AtLeast(_) | Self::Between(..) => Ok(()),
            Self::BetweenOr(min, max, other) => {
                if number == Some(other as f64) || !(below(min) || above(max)) {
                    return Ok(());
                }
                Err(format!(
                    "Value must be between {min} and {max} or equal to {other}"
                ))
            }
            Self::OneOf(texts) => check_text(texts, value),
            Self::ListOf(texts) => check_list(value, true, texts),
            Self::Entries => check_list(value, false, &[]),
            Self::Rule(rule, _) => rule(value),
        }
    }
}

/// One option: the single place that says everything about it.
#[derive(Clone, Copy, Debug)]
pub struct OptionSpec {
    /// Kafka's name, or ours with the prefix `tidemark.`.
    pub name: &'static str,
    /// The type.
    pub kind: ConfigType,
    /// The default as a user would write it; `None` is Kafka's null, "not set".
    pub default: Option<&'static str>,
    /// The values accepted.
    pub valid: Valid,
    /// What the option does, in one or a few sentences.
    pub doc: &'static str,
    /// Whether the broker's value can change at run time. A topic's options always can.
    pub dynamic: Dynamic,
    /// For a topic option, the broker options that give its default, the strongest first.
    /// For a broker option, the names that set the same thing, itself included; empty when there
    /// is no other name.
    pub synonyms: &'static [&'static str],
    /// Accepted but kept out of DescribeConfigs and the documentation, as Kafka's internal ones.
    pub internal: bool,
    /// The first release that had it.
    pub since: &'static str,
}

impl OptionSpec {
    /// A read-only option without synonyms, as old as the broker.
    pub(super) const fn new(
        name: &'static str,
        kind: ConfigType,
        default: Option<&'static str>,
        valid: Valid,
        doc: &'static str,
    ) -> Self {
        Self {
            name,
            kind,
            default,
            valid,
            doc,
            dynamic: Dynamic::ReadOnly,
            synonyms: &[],
            internal: false,
            since: FIRST_RELEASE,
        }
    }

    /// Reads and checks one value.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] names the key, the value and what is allowed.
    pub fn parse(&self, text: &str) -> Result<Value, ConfigError> {
        let value = Value::parse(self.name, text, self.kind)?;
        match self.accepts(&value) {
            Ok(()) => Ok(value),
            Err(reason) => Err(ConfigError::invalid(self.name, text, reason)),
        }
    }

    /// Whether a value of the right type is allowed; the error says what is instead.
    pub(super) fn accepts(&self, value: &Value) -> Result<(), String> {
        self.valid.check(value)
    }

    /// The default in its own type. A default that is not valid is a mistake in the table, which
    /// the tests of the tables catch.
    pub fn default_value(&self) -> Option<Value> {
        self.default.and_then(|text| self.parse(text).ok())
    }

    /// Whether the value must never be shown.
    pub fn is_sensitive(&self) -> bool {
        self.kind == ConfigType::Password
    }
}

/// Finds an option by name in a table.
pub(super) fn find<'a>(table: &'a [OptionSpec], name: &str) -> Option<&'a OptionSpec> {
    table.iter().find(|spec| spec.name == name)
}

/// A field of a typed configuration: made from the value of its option.
pub(super) trait Field: Sized {
    /// `None` when the value is of another type, or not set although the field needs one.
    fn from_value(value: Option<&Value>) -> Option<Self>;
}

macro_rules! field {
    ($($ty:ty: $pattern:pat => $made:expr;)*) => {$(
        impl Field for $ty {
            fn from_value(value: Option<&Value>) -> Option<Self> {
                match value? {
                    $pattern => $made,
                    _ => None,
                }
            }
        }
        impl Field for Option<$ty> {
            fn from_value(value: Option<&Value>) -> Option<Self> {
                match value {
                    None => Some(None),
                    some => <$ty>::from_value(some).map(Some),
                }
            }
        }
    )*};
}
pub(super) use field;

field! {
    bool: Value::Bool(value) => Some(*value);
    i16: Value::Number(value) => i16::try_from(*value).ok();
    i32: Value::Number(value) => i32::try_from(*value).ok();
    i64: Value::Number(value) => Some(*value);
    f64: Value::Double(value) => Some(*value);
    String: Value::Text(value) => Some(value.clone());
    Vec<String>: Value::List(value) => Some(value.clone());
}

/// Declares a table of options and the struct of their typed values in one go.
///
/// Each entry reads `field: RustType = Kind "kafka.name", default, valid, { extras }, "doc";`
/// where the extras are fields of [`OptionSpec`] that differ from the usual.
macro_rules! options {
    (
        $(#[$meta:meta])* $struct:ident, $(#[$table_meta:meta])* $table:ident;
        $($field:ident: $ty:ty = $kind:ident $name:literal, $default:expr, $valid:expr,
            { $($extra:ident: $value:expr),* }, $doc:literal;)*
    ) => {
        $(#[$table_meta])*
        pub static $table: &[$crate::config::spec::OptionSpec] = &[$(
            $crate::config::spec::OptionSpec {
                $($extra: $value,)*
                ..$crate::config::spec::OptionSpec::new(
                    $name,
                    $crate::config::spec::ConfigType::$kind,
                    $default,
                    $valid,
                    $doc,
                )
            },
        )*];

        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $struct {
            $(#[doc = concat!("`", $name, "`: ", $doc)] pub $field: $ty,)*
        }

        impl $struct {
            /// Takes every field from `value_of`, which must answer with a value its option
            /// accepts.
            pub(in $crate::config) fn from_values(value_of: impl Fn(&str) -> Option<$crate::config::Value>) -> Self {
                Self {$(
                    $field: $crate::config::spec::Field::from_value(value_of($name).as_ref())
                        .expect(concat!($name, " is declared with the type of its field")),
                )*}
            }
        }
    };
}
pub(super) use options;

fn check_text(texts: &[&str], value: &Value) -> Result<(), String> {
    match value {
        Value::Text(text) if !texts.contains(&text.as_str()) => {
            Err(format!("String must be one of: {}", texts.join(", ")))
        }
        _ => Ok(()),
    }
}

fn check_list(value: &Value, may_be_empty: bool, texts: &[&str]) -> Result<(), String> {
    let Value::List(entries) = value else {
        return Ok(());
    };
    if entries.is_empty() && !may_be_empty {
        return Err("The list must not be empty".to_owned());
    }
    // An entry that is there twice counts once, as in Kafka since 4.2.
    for entry in entries {
        if entry.is_empty() {
            return Err("Entries of the list must not be empty".to_owned());
        }
        if !texts.is_empty() && !texts.contains(&entry.as_str()) {
            return Err(format!("String must be one of: {}", texts.join(", ")));
        }
    }
    Ok(())
}
