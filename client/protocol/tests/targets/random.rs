//! Seeded random numbers, bodies and damage.

use bytes::Bytes;
use tidemark_protocol::guard::shape::{Field, Kind, Shape};
use tidemark_protocol::records::{BatchBuilder, Compression};

/// SplitMix64: small, seeded, the same on every machine.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`, or 0.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    pub fn bytes(&mut self, size: usize) -> Vec<u8> {
        (0..size).map(|_| self.next() as u8).collect()
    }

    /// Flips, removes, inserts or overwrites up to four places, preferring values that are special
    /// as lengths.
    pub fn damage(&mut self, bytes: &mut Vec<u8>) {
        const SPECIAL: [u8; 8] = [0, 1, 0x7f, 0x80, 0xff, 0xfe, 2, 0x0f];
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len());
            let special = SPECIAL[self.below(SPECIAL.len())];
            match (self.below(6), bytes.get_mut(at)) {
                (0, Some(byte)) => *byte ^= 1 << (special % 8),
                (1 | 2, Some(byte)) => *byte = special,
                (3, Some(_)) => drop(bytes.remove(at)),
                (4, _) => bytes.insert(at, special),
                (_, Some(_)) => bytes.truncate(at),
                (_, None) => bytes.push(special),
            }
        }
    }

    /// A whole v2 batch with a few records.
    pub fn batch(&mut self) -> Bytes {
        let codec = Compression::ALL[self.below(5)];
        let mut builder = BatchBuilder::new()
            .base_offset(self.below(1000) as i64)
            .compression(codec, None)
            .transactional(self.below(2) == 0);
        for _ in 0..self.below(5) {
            let (key, value, header) = (self.next(), self.below(300), self.below(3));
            let value = self.bytes(value);
            let headers: Vec<(&[u8], Option<&[u8]>)> = vec![(b"h", None); header];
            builder
                .append(
                    self.next() as i64 >> 20,
                    Some(&key.to_be_bytes()),
                    Some(&value),
                    &headers,
                )
                .expect("a small record fits");
        }
        builder.build().expect("a small batch fits")
    }
}

/// A random body of this shape and version, in the one form that an encoder would write.
pub fn body(shape: &Shape, version: i16, random: &mut Random) -> Vec<u8> {
    let flexible = shape.is_flexible(version);
    let mut writer = Writer {
        random,
        version,
        flexible,
        out: Vec::new(),
    };
    writer.fields(shape.fields);
    writer.out
}

struct Writer<'a> {
    random: &'a mut Random,
    version: i16,
    flexible: bool,
    out: Vec<u8>,
}

impl Writer<'_> {
    fn fields(&mut self, fields: &'static [Field]) {
        for field in fields {
            if field.tag.is_none() && field.is_in(self.version) {
                let null = field.is_nullable(self.version) && self.random.below(4) == 0;
                self.value(&field.kind, null, field.is_nullable(self.version));
            }
        }
        if self.flexible {
            self.tagged_fields(fields);
        }
    }

    fn tagged_fields(&mut self, fields: &'static [Field]) {
        let known = fields.iter().filter(|field| field.is_in(self.version));
        let mut known: Vec<_> = known
            .filter_map(|field| Some((field.tag?, field)))
            .collect();
        known.retain(|_| self.random.below(2) == 0);
        known.sort_by_key(|(tag, _)| *tag);
        let unknown = if self.random.below(4) == 0 {
            self.random.below(3)
        } else {
            0
        };
        self.varint((known.len() + unknown) as u32);
        for (tag, field) in known {
            let outside = std::mem::take(&mut self.out);
            // A tagged field with its default value is left out by encoders; the defaults are
            // empty, so a value with some content is drawn.
            // A bool has only 1 for content.
            let least = u8::from(!matches!(field.kind, Kind::Fixed(1)));
            while !self.out.iter().any(|byte| *byte > least) {
                self.out.clear();
                self.value(&field.kind, false, field.is_nullable(self.version));
            }
            let value = std::mem::replace(&mut self.out, outside);
            self.tag(tag, &value);
        }
        for index in 0..unknown {
            let size = self.random.below(200);
            let value = self.random.bytes(size);
            self.tag(100 + index as u32 * 1000, &value);
        }
    }

    fn tag(&mut self, tag: u32, value: &[u8]) {
        self.varint(tag);
        self.varint(value.len() as u32);
        self.out.extend_from_slice(value);
    }

    fn value(&mut self, kind: &'static Kind, null: bool, nullable: bool) {
        match kind {
            // A bool is encoded as 0 or 1 whatever was decoded, so bytes are kept to these.
            Kind::Fixed(1) => self.out.push(self.random.below(2) as u8),
            Kind::Fixed(size) => {
                let value = self.random.bytes(*size);
                self.out.extend_from_slice(&value);
            }
            Kind::Struct(fields) => {
                if nullable {
                    self.out.push(if null { 0xff } else { 1 });
                }
                if !null {
                    self.fields(fields);
                }
            }
            Kind::String | Kind::Bytes => self.sized(kind, null),
            Kind::Array(element) => {
                let count = self.random.below(4);
                self.length(4, (!null).then_some(count));
                for _ in 0..if null { 0 } else { count } {
                    self.value(element, false, false);
                }
            }
        }
    }

    fn sized(&mut self, kind: &Kind, null: bool) {
        const TEXTS: [&str; 5] = ["", "a", "topic-1", "größe", "\u{1f600}"];
        let size = self.random.below(150);
        let (width, value) = match kind {
            Kind::String => (2, TEXTS[self.random.below(TEXTS.len())].as_bytes().to_vec()),
            _ => (4, self.random.bytes(size)),
        };
        self.length(width, (!null).then_some(value.len()));
        if !null {
            self.out.extend_from_slice(&value);
        }
    }

    fn length(&mut self, width: usize, length: Option<usize>) {
        match (self.flexible, width) {
            (true, _) => self.varint(length.map_or(0, |length| length as u32 + 1)),
            (_, 2) => {
                let length = length.map_or(-1, |length| length as i16);
                self.out.extend_from_slice(&length.to_be_bytes());
            }
            _ => {
                let length = length.map_or(-1, |length| length as i32);
                self.out.extend_from_slice(&length.to_be_bytes());
            }
        }
    }

    fn varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.out.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.out.push(value as u8);
    }
}
