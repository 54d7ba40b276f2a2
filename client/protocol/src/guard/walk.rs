//! The walk over a request's body, field by field, without building anything.

use super::shape::{Field, Kind, Shape};
use super::{GuardErrorKind, Walked};
use crate::reader::{ReadError, Reader};

/// Kafka's decoders refuse longer strings, also where the compact length could say more.
const MAX_STRING: usize = i16::MAX as usize;
/// Tag and size take a byte each.
const MIN_TAGGED_FIELD: usize = 2;

/// Where the walk stopped and why. The path is gathered from the inside out.
pub(super) struct Failure {
    pub(super) kind: GuardErrorKind,
    pub(super) offset: usize,
    pub(super) path: Vec<Step>,
}

/// One step of a path into a body.
pub(super) enum Step {
    Field(&'static str),
    Element(usize),
}

pub(super) fn walk(
    shape: &Shape,
    version: i16,
    body: &[u8],
    max_elements: usize,
) -> Result<Walked, Failure> {
    let flexible = shape.is_flexible(version);
    let mut walker = Walker {
        reader: Reader::new(body),
        version,
        flexible,
        elements: 0,
        max_elements,
    };
    walker.fields(shape.fields)?;
    let Walker {
        reader, elements, ..
    } = walker;
    Ok(Walked {
        consumed: reader.position(),
        trailing: reader.remaining(),
        elements,
    })
}

struct Walker<'a> {
    reader: Reader<'a>,
    version: i16,
    flexible: bool,
    elements: usize,
    max_elements: usize,
}

impl<'a> Walker<'a> {
    fn fail<T>(&self, kind: impl Into<GuardErrorKind>) -> Result<T, Failure> {
        let (kind, offset) = (kind.into(), self.reader.position());
        Err(Failure {
            kind,
            offset,
            path: Vec::new(),
        })
    }

    /// Turns a failed read into a failure at the place where the value begins.
    fn read<T>(
        &mut self,
        read: impl FnOnce(&mut Reader<'a>) -> Result<T, ReadError>,
    ) -> Result<T, Failure> {
        let mut reader = self.reader;
        let value = read(&mut reader).or_else(|error| self.fail(error))?;
        self.reader = reader;
        Ok(value)
    }

    fn fields(&mut self, fields: &'static [Field]) -> Result<(), Failure> {
        for field in fields {
            if field.tag.is_none() && field.is_in(self.version) {
                self.field(field)?;
            }
        }
        if self.flexible {
            self.tagged_fields(fields)
        } else {
            Ok(())
        }
    }

    fn field(&mut self, field: &'static Field) -> Result<(), Failure> {
        let nullable = field.is_nullable(self.version);
        self.value(&field.kind, nullable).map_err(|mut failure| {
            failure.path.push(Step::Field(field.name));
            failure
        })
    }

    fn value(&mut self, kind: &'static Kind, nullable: bool) -> Result<(), Failure> {
        match kind {
            Kind::Fixed(size) => self.read(|reader| reader.take(*size)).map(drop),
            Kind::String => self.sized(2, nullable, MAX_STRING),
            Kind::Bytes => self.sized(4, nullable, usize::MAX),
            Kind::Array(element) => self.array(element, nullable),
            Kind::Struct(fields) if nullable => match self.read(Reader::i8)? {
                1 => self.fields(fields),
                -1 => Ok(()),
                other => self.fail(GuardErrorKind::BadPresence(other)),
            },
            Kind::Struct(fields) => self.fields(fields),
        }
    }

    /// A string or bytes behind their length.
    fn sized(&mut self, width: usize, nullable: bool, limit: usize) -> Result<(), Failure> {
        let start = self.reader;
        let Some(length) = self.length(width, nullable)? else {
            return Ok(());
        };
        let remaining = self.reader.remaining();
        if length > remaining.min(limit) {
            self.reader = start;
            return self.fail(GuardErrorKind::TooLong { length, remaining });
        }
        self.read(|reader| reader.take(length)).map(drop)
    }

    fn array(&mut self, element: &'static Kind, nullable: bool) -> Result<(), Failure> {
        let start = self.reader;
        let Some(count) = self.length(4, nullable)? else {
            return Ok(());
        };
        let remaining = self.reader.remaining();
        // This is the check the decoder lacks: it sets memory aside for as many elements as the
        // count says.
        let least = element.min_size(self.version, self.flexible).max(1);
        if count > remaining / least {
            self.reader = start;
            return self.fail(GuardErrorKind::TooMany { count, remaining });
        }
        self.count(count, start)?;
        for index in 0..count {
            self.value(element, false).map_err(|mut failure| {
                failure.path.push(Step::Element(index));
                failure
            })?;
        }
        Ok(())
    }

    /// Counts the elements of an array or a set of tagged fields that begins at `start`.
    fn count(&mut self, count: usize, start: Reader<'a>) -> Result<(), Failure> {
        // Each takes a byte at least, so the sum is no more than the body's size.
        self.elements += count;
        let (elements, max) = (self.elements, self.max_elements);
        if elements > max {
            self.reader = start;
            return self.fail(GuardErrorKind::TooManyElements { elements, max });
        }
        Ok(())
    }

    /// A length or count: compact, or an integer of `width` bytes. `None` is null.
    fn length(&mut self, width: usize, nullable: bool) -> Result<Option<usize>, Failure> {
        let start = self.reader;
        let length = match (self.flexible, width) {
            (true, _) => i64::from(self.read(Reader::unsigned_varint)?) - 1,
            (false, 2) => i64::from(self.read(Reader::i16)?),
            (false, _) => i64::from(self.read(Reader::i32)?),
        };
        match usize::try_from(length) {
            Ok(length) => Ok(Some(length)),
            Err(_) if length == -1 && nullable => Ok(None),
            Err(_) => {
                self.reader = start;
                self.fail(match length {
                    -1 => GuardErrorKind::UnexpectedNull,
                    _ => GuardErrorKind::NegativeLength(length),
                })
            }
        }
    }

    fn tagged_fields(&mut self, fields: &'static [Field]) -> Result<(), Failure> {
        let start = self.reader;
        let count = self.read(Reader::unsigned_varint)? as usize;
        let remaining = self.reader.remaining();
        if count > remaining / MIN_TAGGED_FIELD {
            self.reader = start;
            return self.fail(GuardErrorKind::TooMany { count, remaining });
        }
        self.count(count, start)?;
        for _ in 0..count {
            self.tagged_field(fields)?;
        }
        Ok(())
    }

    fn tagged_field(&mut self, fields: &'static [Field]) -> Result<(), Failure> {
        let start = self.reader;
        let tag = self.read(Reader::unsigned_varint)?;
        let size = self.read(Reader::unsigned_varint)? as usize;
        let remaining = self.reader.remaining();
        if size > remaining {
            self.reader = start;
            return self.fail(GuardErrorKind::TooLong {
                length: size,
                remaining,
            });
        }
        let known = fields
            .iter()
            .find(|field| field.tag == Some(tag) && field.is_in(self.version));
        let Some(field) = known else {
            return self.read(|reader| reader.take(size)).map(drop);
        };
        let begin = self.reader.position();
        self.field(field)?;
        // The decoder ignores the size of a tag it knows, so one that lies would make the walk and
        // the decoder read different fields after it.
        match self.reader.position() - begin {
            read if read == size => Ok(()),
            read => self.fail(GuardErrorKind::TagSize { tag, size, read }),
        }
    }
}
