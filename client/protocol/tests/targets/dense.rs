//! Bodies with as many elements as their bytes can hold: what costs a decoder the most.

use tidemark_protocol::guard::shape::{Field, Kind, Shape};

/// Which array of a body is filled, and with what.
#[derive(Clone, Copy, Debug)]
pub struct Fill {
    /// The array, counted in the order of the wire, arrays within arrays included.
    pub array: usize,
    /// How many elements it gets.
    pub count: usize,
    /// How many elements the arrays in each of its elements get.
    pub inner: usize,
    /// Whether each struct has a tagged field that nobody knows.
    pub tagged: bool,
}

/// How many arrays the bodies of a version have.
pub fn arrays(shape: &Shape, version: i16) -> usize {
    shape
        .fields
        .iter()
        .map(|field| arrays_in_field(field, version))
        .sum()
}

fn arrays_in_field(field: &Field, version: i16) -> usize {
    match field.tag.is_none() && field.is_in(version) {
        true => arrays_in(&field.kind, version),
        false => 0,
    }
}

fn arrays_in(kind: &Kind, version: i16) -> usize {
    match kind {
        Kind::Array(element) => 1 + arrays_in(element, version),
        Kind::Struct(fields) => fields
            .iter()
            .map(|field| arrays_in_field(field, version))
            .sum(),
        _ => 0,
    }
}

/// The smallest body with one array filled.
pub fn body(shape: &Shape, version: i16, fill: Fill) -> Vec<u8> {
    let mut writer = Writer {
        version,
        flexible: shape.is_flexible(version),
        fill,
        next: 0,
        inside: false,
        out: Vec::new(),
    };
    writer.fields(shape.fields);
    writer.out
}

struct Writer {
    version: i16,
    flexible: bool,
    fill: Fill,
    /// The number of the next array.
    next: usize,
    /// Whether this is within an element of the array that is filled.
    inside: bool,
    out: Vec<u8>,
}

impl Writer {
    fn fields(&mut self, fields: &[Field]) {
        for field in fields {
            if field.tag.is_none() && field.is_in(self.version) {
                if matches!(field.kind, Kind::Struct(_)) && field.is_nullable(self.version) {
                    self.out.push(1);
                }
                self.value(&field.kind);
            }
        }
        match (self.flexible, self.fill.tagged) {
            (true, true) => self.out.extend([1, 100, 0]),
            (true, false) => self.out.push(0),
            (false, _) => {}
        }
    }

    fn value(&mut self, kind: &Kind) {
        match kind {
            Kind::Fixed(size) => self.out.extend(std::iter::repeat_n(0, *size)),
            Kind::String => self.length(0, 2),
            Kind::Bytes => self.length(0, 4),
            Kind::Struct(fields) => self.fields(fields),
            Kind::Array(element) => self.array(element, arrays_in(kind, self.version)),
        }
    }

    fn array(&mut self, element: &Kind, arrays: usize) {
        let (first, after) = (self.next, self.next + arrays);
        let filled = first == self.fill.array;
        let count = match () {
            () if filled => self.fill.count,
            () if self.inside => self.fill.inner,
            () => usize::from((first..after).contains(&self.fill.array)),
        };
        let inside = self.inside;
        self.inside |= filled;
        self.length(count, 4);
        for _ in 0..count {
            self.next = first + 1;
            self.value(element);
        }
        self.inside = inside;
        self.next = after;
    }

    fn length(&mut self, length: usize, width: usize) {
        if !self.flexible {
            let bytes = (length as u32).to_be_bytes();
            self.out.extend(&bytes[4 - width..]);
            return;
        }
        let mut rest = length + 1;
        while rest >= 0x80 {
            self.out.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        self.out.push(rest as u8);
    }
}
