//! Bytes made from the definitions alone, so that the generated code has something independent to
//! agree with.

#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(clippy::cast_possible_truncation, reason = "the numbers of test data are small")]

#[path = "../../../../xtask/src/codegen/definition.rs"]
pub(crate) mod definition;

use std::path::Path;

use definition::{Field, Message, Type, Versions};

/// Every message of the definitions.
pub(crate) fn messages() -> Vec<Message> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("definitions");
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .expect("the definitions are committed")
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| path.file_name().is_some_and(|name| name != "error_codes.txt"))
        .collect();
    paths.sort();
    let parse = |path| {
        let text = std::fs::read_to_string(path).expect("a readable file");
        definition::parse(&text).expect("a valid definition")
    };
    paths.iter().flat_map(parse).collect()
}

/// A sequence of numbers that depends on its seed alone.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// The next number (splitmix64).
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

/// Writes values by a definition, at one version.
pub(crate) struct Maker<'a> {
    message: &'a Message,
    version: i16,
    flexible: bool,
    random: Random,
    bytes: Vec<u8>,
}

/// One message of `version` with values that depend on `seed`, in the only form an encoder gives:
/// tagged fields in order, and only those that differ from their defaults.
pub(crate) fn make(message: &Message, version: i16, seed: u64) -> Vec<u8> {
    let flexible = message.flexible.is_some_and(|range| range.contains(version));
    let random = Random(seed ^ u64::from(version.unsigned_abs()) << 32);
    let mut maker = Maker {
        message,
        version,
        flexible,
        random,
        bytes: Vec::new(),
    };
    maker.structure(&message.fields);
    maker.bytes
}

impl Maker<'_> {
    fn structure(&mut self, fields: &[Field]) {
        let version = self.version;
        let present = |field: &&Field| field.versions.contains(version);
        for field in fields.iter().filter(present).filter(|field| field.tag.is_none()) {
            self.value(field, false);
        }
        if !self.flexible {
            return;
        }
        let mut tagged: Vec<&Field> = fields
            .iter()
            .filter(present)
            .filter(|field| field.tag.is_some())
            .collect();
        tagged.sort_by_key(|field| field.tag);
        tagged.retain(|_| self.random.below(2) == 0);
        self.varint(tagged.len());
        for field in tagged {
            let mut value = Maker {
                message: self.message,
                version,
                flexible: true,
                random: Random(self.random.next()),
                bytes: Vec::new(),
            };
            value.value(field, true);
            let value = value.bytes;
            self.varint(field.tag.expect("only tagged fields are left") as usize);
            self.varint(value.len());
            self.bytes.extend(value);
        }
    }

    /// Writes the value of a field; `set` asks for one that is not the default.
    fn value(&mut self, field: &Field, set: bool) {
        let nullable = field.nullable.is_some_and(|range| range.contains(self.version));
        let null_by_default = field.default.as_deref() == Some("null");
        let null = nullable && self.random.below(4) == 0 && !(set && null_by_default);
        match &field.kind {
            Type::Array(element) => {
                let count = if set && !null_by_default { 1 } else { 0 } + self.random.below(3);
                self.length((!null).then_some(count as usize), 4);
                for _ in 0..if null { 0 } else { count } {
                    self.single(element, field, false);
                }
            }
            Type::Struct(_) if nullable => {
                let absent = if field.tag.is_some() { 0 } else { 0xff };
                self.bytes.push(if null { absent } else { 1 });
                if !null {
                    self.single(&field.kind, field, set);
                }
            }
            Type::Primitive(name) if ["string", "bytes", "records"].contains(&name.as_str()) => {
                if null {
                    self.length(None, if name == "string" { 2 } else { 4 });
                } else {
                    self.single(&field.kind, field, set);
                }
            }
            kind => self.single(kind, field, set),
        }
    }

    fn single(&mut self, kind: &Type, field: &Field, set: bool) {
        match kind {
            Type::Array(_) => panic!("an array of arrays"),
            Type::Struct(name) => {
                let message = self.message;
                let fields = find(message, name).expect("a known structure");
                self.structure(fields);
            }
            Type::Primitive(name) => self.primitive(name, field, set),
        }
    }

    fn primitive(&mut self, name: &str, field: &Field, set: bool) {
        let size = match name {
            "bool" => {
                let value = if set {
                    field.default.is_none()
                } else {
                    self.random.below(2) == 0
                };
                return self.bytes.push(u8::from(value));
            }
            "string" | "bytes" | "records" => {
                let length = usize::from(set) + self.random.below(5) as usize;
                self.length(Some(length), if name == "string" { 2 } else { 4 });
                for _ in 0..length {
                    let letter = b'a' + self.random.below(26) as u8;
                    self.bytes.push(letter);
                }
                return;
            }
            "float64" => return self.bytes.extend((self.random.below(1 << 20) as f64).to_be_bytes()),
            "int8" => 1,
            "int16" | "uint16" => 2,
            "int32" => 4,
            "int64" => 8,
            "uuid" => 16,
            other => panic!("unknown primitive {other}"),
        };
        // Neither 0 nor -1 nor any other default begins with this byte.
        self.bytes.push(0x11 + self.random.below(16) as u8);
        for _ in 1..size {
            let byte = self.random.next() as u8;
            self.bytes.push(byte);
        }
    }

    fn length(&mut self, length: Option<usize>, fixed: usize) {
        match (length, self.flexible) {
            (length, true) => self.varint(length.map_or(0, |length| length + 1)),
            (None, false) => self.bytes.extend(std::iter::repeat_n(0xff, fixed)),
            (Some(length), false) => {
                self.bytes.extend(&(length as u64).to_be_bytes()[8 - fixed..]);
            }
        }
    }

    fn varint(&mut self, value: usize) {
        let mut rest = value;
        while rest >= 0x80 {
            self.bytes.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        self.bytes.push(rest as u8);
    }
}

fn find<'a>(message: &'a Message, name: &str) -> Option<&'a [Field]> {
    fn among<'a>(fields: &'a [Field], name: &str) -> Option<&'a [Field]> {
        fields.iter().find_map(|field| match field.kind.structure() {
            Some(found) if found == name && !field.fields.is_empty() => Some(field.fields.as_slice()),
            _ => among(&field.fields, name),
        })
    }
    let shared = message.structures.iter().find(|structure| structure.name == name);
    shared
        .map(|structure| structure.fields.as_slice())
        .or_else(|| among(&message.fields, name))
        .or_else(|| {
            message
                .structures
                .iter()
                .find_map(|structure| among(&structure.fields, name))
        })
}

/// Every version of a message.
pub(crate) fn versions(message: &Message) -> std::ops::RangeInclusive<i16> {
    let Versions { first, last } = message.versions;
    first..=last
}
