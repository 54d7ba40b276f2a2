//! What the body of a request or response looks like: types only, one table for all versions.

/// "From no version on".
pub(super) const NEVER: i16 = i16::MAX;

pub(super) const BOOL: Kind = Kind::Fixed(1);
pub(super) const I8: Kind = Kind::Fixed(1);
pub(super) const I16: Kind = Kind::Fixed(2);
pub(super) const U16: Kind = Kind::Fixed(2);
pub(super) const I32: Kind = Kind::Fixed(4);
pub(super) const I64: Kind = Kind::Fixed(8);
pub(super) const F64: Kind = Kind::Fixed(8);
pub(super) const UUID: Kind = Kind::Fixed(16);
pub(super) const STRING: Kind = Kind::String;
pub(super) const BYTES: Kind = Kind::Bytes;

/// The body of one request or response.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// The API key.
    pub key: i16,
    /// Kafka's name of the API, without "Request" or "Response".
    pub name: &'static str,
    /// The lowest version the decoder knows.
    pub min: i16,
    /// The highest version the decoder knows.
    pub max: i16,
    flexible: i16,
    /// The fields, in the order of the wire.
    pub fields: &'static [Field],
}

impl Shape {
    /// Whether the version uses compact lengths and tagged fields (KIP-482).
    #[must_use]
    pub fn is_flexible(&self, version: i16) -> bool {
        version >= self.flexible
    }
}

/// One field of a body or of a struct in it.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// The name in Kafka's schema, in snake case.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    since: i16,
    until: i16,
    nullable_since: i16,
    /// The tag, if the field is one of the tagged ones.
    pub tag: Option<u32>,
}

impl Field {
    /// Whether the version has the field.
    #[must_use]
    pub fn is_in(&self, version: i16) -> bool {
        self.since <= version && version <= self.until
    }

    /// Whether the field may be null in this version.
    #[must_use]
    pub fn is_nullable(&self, version: i16) -> bool {
        self.nullable_since <= version
    }

    pub(super) const fn since(self, version: i16) -> Self {
        Self {
            since: version,
            ..self
        }
    }

    pub(super) const fn until(self, version: i16) -> Self {
        Self {
            until: version,
            ..self
        }
    }

    pub(super) const fn nullable(self, since: i16) -> Self {
        Self {
            nullable_since: since,
            ..self
        }
    }

    pub(super) const fn tagged(self, tag: u32) -> Self {
        Self {
            tag: Some(tag),
            ..self
        }
    }
}

/// A type on the wire.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A number, a bool or a uuid of so many bytes.
    Fixed(usize),
    /// A string: int16 length, or compact.
    String,
    /// Bytes or records: int32 length, or compact.
    Bytes,
    /// An array: int32 count, or compact.
    Array(&'static Kind),
    /// Fields in a row. If nullable, an int8 before them says whether they are there.
    Struct(&'static [Field]),
}

impl Kind {
    /// The fewest bytes a value can take.
    pub(super) fn min_size(&self, version: i16, flexible: bool) -> usize {
        match self {
            Self::Fixed(size) => *size,
            Self::String if !flexible => 2,
            Self::Bytes | Self::Array(_) if !flexible => 4,
            Self::String | Self::Bytes | Self::Array(_) => 1,
            Self::Struct(fields) => {
                let plain = fields.iter().filter(|field| field.tag.is_none());
                let present = plain.filter(|field| field.is_in(version));
                let least = |field: &Field| match field.kind {
                    Self::Struct(_) if field.is_nullable(version) => 1,
                    kind => kind.min_size(version, flexible),
                };
                present.map(least).sum::<usize>() + usize::from(flexible)
            }
        }
    }
}

pub(super) const fn shape(
    key: i16,
    name: &'static str,
    min: i16,
    max: i16,
    flexible: i16,
    fields: &'static [Field],
) -> Shape {
    Shape {
        key,
        name,
        min,
        max,
        flexible,
        fields,
    }
}

pub(super) const fn field(name: &'static str, kind: Kind) -> Field {
    let (since, until) = (0, i16::MAX);
    Field {
        name,
        kind,
        since,
        until,
        nullable_since: NEVER,
        tag: None,
    }
}

/// An array of numbers, strings or uuids.
pub(super) const fn list(element: &'static Kind) -> Kind {
    Kind::Array(element)
}
