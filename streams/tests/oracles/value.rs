//! Keys and values of whatever type the cases have.

use serde::de::{self, Deserialize, Deserializer};
use serde_json::{Value, json};
use tidemark_streams::time::{Window, Windowed};
use tidemark_streams::{Change, Data, DataError, Payload};

/// What a case has as a key or value. `Null` is Kafka's null.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) enum Dyn {
    #[default]
    Null,
    Int(i64),
    Text(String),
    List(Vec<Dyn>),
    /// A key with the start and the end of its window.
    Windowed(Box<Dyn>, i64, i64),
    /// A new and an old value.
    Change(Box<Dyn>, Box<Dyn>),
}

impl Dyn {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// As Java prints it: null is `null`.
    pub(crate) fn print(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Int(number) => number.to_string(),
            Self::Text(text) => text.clone(),
            other => other.json().to_string(),
        }
    }

    pub(crate) fn int(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(*number),
            Self::Text(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// Null is `None`.
    pub(crate) fn option(self) -> Option<Self> {
        (self != Self::Null).then_some(self)
    }

    pub(crate) fn json(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Int(number) => json!(number),
            Self::Text(text) => json!(text),
            Self::List(list) => list.iter().map(Self::json).collect(),
            Self::Windowed(key, start, end) => json!({"k": key.json(), "w": [start, end]}),
            Self::Change(new, old) => json!({"new": new.json(), "old": old.json()}),
        }
    }

    pub(crate) fn from_json(value: &Value) -> Result<Self, String> {
        match value {
            Value::Null => Ok(Self::Null),
            Value::Number(number) => {
                let number = number.as_i64().ok_or("a number that is no i64")?;
                Ok(Self::Int(number))
            }
            Value::String(text) => Ok(Self::text(text)),
            Value::Array(list) => Ok(Self::List(
                list.iter().map(Self::from_json).collect::<Result<_, _>>()?,
            )),
            Value::Object(fields) => {
                let field = |name: &str| fields.get(name).unwrap_or(&Value::Null);
                match (fields.len(), field("w").as_array()) {
                    (2, Some(window)) if window.len() == 2 => {
                        let bound = |at: usize| window[at].as_i64().ok_or("no window");
                        let key = Self::from_json(field("k"))?;
                        Ok(Self::Windowed(Box::new(key), bound(0)?, bound(1)?))
                    }
                    (2, None) if fields.contains_key("new") && fields.contains_key("old") => {
                        Ok(Self::Change(
                            Box::new(Self::from_json(field("new"))?),
                            Box::new(Self::from_json(field("old"))?),
                        ))
                    }
                    _ => Err(format!("{value} is no key and no value")),
                }
            }
            Value::Bool(_) => Err(format!("{value} is no key and no value")),
        }
    }
}

impl std::fmt::Debug for Dyn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.json())
    }
}

impl<'de> Deserialize<'de> for Dyn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        Self::from_json(&value).map_err(de::Error::custom)
    }
}

impl From<Windowed<Dyn>> for Dyn {
    fn from(key: Windowed<Dyn>) -> Self {
        let Window { start, end } = key.window;
        Self::Windowed(Box::new(key.key), start, end)
    }
}

impl From<Change<Dyn>> for Dyn {
    fn from(change: Change<Dyn>) -> Self {
        Self::Change(
            Box::new(change.new.unwrap_or_default()),
            Box::new(change.old.unwrap_or_default()),
        )
    }
}

impl Dyn {
    /// The change that this is.
    pub(crate) fn change(self) -> Change<Dyn> {
        match self {
            Self::Change(new, old) => Change {
                new: new.option(),
                old: old.option(),
            },
            new => Change {
                new: new.option(),
                old: None,
            },
        }
    }

    /// The windowed key that this is.
    pub(crate) fn windowed(self) -> Result<Windowed<Dyn>, String> {
        match self {
            Self::Windowed(key, start, end) => Ok(Windowed {
                key: *key,
                window: Window { start, end },
            }),
            other => Err(format!("{other:?} is no windowed key")),
        }
    }
}

/// A byte that says what follows; numbers sort as numbers.
impl Data for Dyn {
    fn encode<'a>(&'a self, scratch: &'a mut Vec<u8>) -> Result<Option<&'a [u8]>, DataError> {
        match self {
            Self::Null => return Ok(None),
            Self::Int(number) => {
                scratch.push(b'i');
                scratch.extend_from_slice(&(*number ^ i64::MIN).to_be_bytes());
            }
            Self::Text(text) => {
                scratch.push(b's');
                scratch.extend_from_slice(text.as_bytes());
            }
            other => {
                scratch.push(b'{');
                scratch.extend_from_slice(other.json().to_string().as_bytes());
            }
        }
        Ok(Some(scratch))
    }

    fn decode(payload: Payload<'_>) -> Result<Self, DataError> {
        let Some(bytes) = payload.bytes() else {
            return Ok(Self::Null);
        };
        let bad = || DataError::new("not a value of a case");
        match bytes.split_first().ok_or_else(bad)? {
            (b'i', number) => {
                let number = i64::from_be_bytes(number.try_into().map_err(|_| bad())?);
                Ok(Self::Int(number ^ i64::MIN))
            }
            (b's', text) => Ok(Self::text(String::from_utf8_lossy(text))),
            (_, json) => {
                let value: Value = serde_json::from_slice(json).map_err(|_| bad())?;
                Self::from_json(&value).map_err(DataError::new)
            }
        }
    }

    fn is_null(&self) -> bool {
        *self == Self::Null
    }
}
