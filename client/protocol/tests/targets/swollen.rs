//! Bodies whose memory is large for their size: one array full of the smallest elements.

use tidemark_protocol::guard::shape::{Field, Kind, Shape};

/// What is in the array.
pub struct Fill {
    /// How many elements it says it has.
    pub claimed: usize,
    /// How many it has.
    pub count: usize,
    /// Whether each element has a tagged field that is not known.
    pub tags: bool,
}

/// A body with this fill in the array that is the `which`th from the front, its elements as small
/// as they get; all that is not on the way there is as short as it can be. `None` if there are
/// fewer arrays.
pub fn swollen(shape: &Shape, version: i16, which: usize, fill: &Fill) -> Option<Vec<u8>> {
    let mut writer = Writer {
        version,
        flexible: shape.is_flexible(version),
        before: Some(which),
        inside: false,
        fill,
        out: Vec::new(),
    };
    writer.fields(shape.fields);
    writer.before.is_none().then_some(writer.out)
}

struct Writer<'a> {
    version: i16,
    flexible: bool,
    /// Arrays to come before the one to fill, `None` once that is behind.
    before: Option<usize>,
    inside: bool,
    fill: &'a Fill,
    out: Vec<u8>,
}

impl Writer<'_> {
    fn fields(&mut self, fields: &'static [Field]) {
        let present = fields.iter().filter(|field| field.is_in(self.version));
        let present: Vec<_> = present.collect();
        for field in present.iter().filter(|field| field.tag.is_none()) {
            self.value(&field.kind, field.is_nullable(self.version));
        }
        if !self.flexible {
            return;
        }
        let unknown = self.inside && self.fill.tags;
        // Inside of the array a known tag would only make the elements larger.
        let mut known: Vec<_> = present.iter().filter(|_| !self.inside).collect();
        known.retain(|field| field.tag.is_some());
        self.out.push(known.len() as u8 + u8::from(unknown));
        for field in known {
            let outside = std::mem::take(&mut self.out);
            self.value(&field.kind, field.is_nullable(self.version));
            let value = std::mem::replace(&mut self.out, outside);
            self.varint(field.tag.unwrap_or_default() as usize);
            self.varint(value.len());
            self.out.extend_from_slice(&value);
        }
        if unknown {
            self.out.extend_from_slice(&[100, 0]);
        }
    }

    fn value(&mut self, kind: &'static Kind, nullable: bool) {
        match kind {
            Kind::Fixed(size) => self.out.resize(self.out.len() + size, 0),
            Kind::String => self.length(2, 0),
            Kind::Bytes => self.length(4, 0),
            Kind::Struct(fields) => {
                if nullable {
                    self.out.push(1);
                }
                self.fields(fields);
            }
            Kind::Array(element) => {
                let target = self.before == Some(0) && !self.inside;
                let (claimed, count) = match self.before {
                    _ if target => (self.fill.claimed, self.fill.count),
                    Some(_) if !self.inside => (1, 1),
                    _ => (0, 0),
                };
                if !self.inside {
                    self.before = self.before.and_then(|before| before.checked_sub(1));
                }
                self.inside |= target;
                self.length(4, claimed);
                for _ in 0..count {
                    self.value(element, false);
                }
                self.inside &= !target;
            }
        }
    }

    fn length(&mut self, width: usize, length: usize) {
        match (self.flexible, width) {
            (true, _) => self.varint(length + 1),
            (false, 2) => self.out.extend_from_slice(&(length as i16).to_be_bytes()),
            (false, _) => self.out.extend_from_slice(&(length as i32).to_be_bytes()),
        }
    }

    fn varint(&mut self, mut value: usize) {
        while value >= 0x80 {
            self.out.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.out.push(value as u8);
    }
}
