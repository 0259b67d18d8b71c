//! JSON to the bytes of a message and back, at any version.
//!
//! Fields have Kafka's names. What a request leaves out has its default; what its version lacks is dropped.
//! Bytes, records and uuids are hexadecimal text; records of an answer are kept as hexadecimal text too, and
//! described later.

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::{Map, Value};

use super::schema::{element, is_flexible, structure};
use crate::codegen::definition::{Field, Message, Type};

/// Hexadecimal digits of `bytes`.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of hexadecimal digits.
pub(crate) fn unhex(text: &str) -> Result<Vec<u8>> {
    ensure!(text.len().is_multiple_of(2), "odd number of hexadecimal digits");
    (0..text.len() / 2)
        .map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).context("not hexadecimal"))
        .collect()
}

/// Appends a variable-length number.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(u8::try_from(value & 0x7f).expect("seven bits") | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).expect("seven bits"));
}

/// The bytes of a message.
pub(crate) fn encode(message: &Message, version: i16, value: &Value) -> Result<Vec<u8>> {
    let mut encoder = Encoder {
        message,
        version,
        flexible: is_flexible(message, version),
        out: Vec::new(),
    };
    encoder
        .fields(&message.fields, value)
        .with_context(|| format!("{} version {version}", message.name))?;
    Ok(encoder.out)
}

struct Encoder<'a> {
    message: &'a Message,
    version: i16,
    flexible: bool,
    out: Vec<u8>,
}

fn default_of(field: &Field, version: i16) -> Value {
    if matches!(field.kind, Type::Array(_)) {
        return Value::Array(Vec::new());
    }
    match (field.default.as_deref(), &field.kind) {
        (Some("null"), _) if field.nullable.is_some_and(|nullable| nullable.contains(version)) => Value::Null,
        (_, Type::Struct(_)) => Value::Object(Map::new()),
        (given, Type::Primitive(name)) => match name.as_str() {
            "string" | "bytes" | "records" => Value::from(given.filter(|text| *text != "null").unwrap_or_default()),
            "uuid" => Value::from("0".repeat(32)),
            "bool" => Value::from(given == Some("true")),
            "float64" => Value::from(0.0),
            _ => Value::from(given.and_then(|text| text.parse::<i64>().ok()).unwrap_or(0)),
        },
        (_, Type::Array(_)) => Value::Null,
    }
}

impl Encoder<'_> {
    fn fields(&mut self, fields: &[Field], value: &Value) -> Result<()> {
        let object = value.as_object().context("a structure is an object")?;
        for name in object.keys() {
            ensure!(fields.iter().any(|field| field.name == *name), "no field {name}");
        }
        let mut tagged = Vec::new();
        let version = self.version;
        for field in fields.iter().filter(|field| field.versions.contains(version)) {
            let default = default_of(field, self.version);
            let given = object.get(&field.name).unwrap_or(&default);
            match field.tag {
                Some(_) if *given == default => {}
                Some(tag) => tagged.push((tag, field, given.clone())),
                None => self.field(field, given).with_context(|| field.name.clone())?,
            }
        }
        if self.flexible {
            tagged.sort_by_key(|(tag, ..)| *tag);
            put_varint(&mut self.out, u64::try_from(tagged.len())?);
            for (tag, field, given) in tagged {
                let outer = std::mem::take(&mut self.out);
                self.field(field, &given).with_context(|| field.name.clone())?;
                let inner = std::mem::replace(&mut self.out, outer);
                put_varint(&mut self.out, u64::from(tag));
                put_varint(&mut self.out, u64::try_from(inner.len())?);
                self.out.extend(inner);
            }
        }
        Ok(())
    }

    fn field(&mut self, field: &Field, value: &Value) -> Result<()> {
        let nullable = field.nullable.is_some_and(|nullable| nullable.contains(self.version));
        self.value(&field.kind, value, nullable)
    }

    fn value(&mut self, kind: &Type, value: &Value, nullable: bool) -> Result<()> {
        match kind {
            Type::Array(kind) => {
                let items = value.as_array();
                self.length(items.map(Vec::len), 4)?;
                items
                    .into_iter()
                    .flatten()
                    .try_for_each(|item| self.value(kind, item, false))
            }
            Type::Struct(name) => {
                if nullable {
                    self.out.push(if value.is_null() { 0xff } else { 1 });
                    if value.is_null() {
                        return Ok(());
                    }
                }
                let fields = structure(self.message, name).with_context(|| format!("no structure {name}"))?;
                self.fields(fields, value)
            }
            Type::Primitive(name) => self.primitive(name, value),
        }
    }

    /// The length in front of something; `None` is null. `width` is that of the old form.
    fn length(&mut self, length: Option<usize>, width: usize) -> Result<()> {
        if self.flexible {
            put_varint(&mut self.out, length.map_or(0, |length| length as u64 + 1));
        } else if width == 2 {
            let length = length.map_or(Ok(-1), i16::try_from)?;
            self.out.extend(length.to_be_bytes());
        } else {
            let length = length.map_or(Ok(-1), i32::try_from)?;
            self.out.extend(length.to_be_bytes());
        }
        Ok(())
    }

    fn primitive(&mut self, name: &str, value: &Value) -> Result<()> {
        let integer = || value.as_i64().ok_or_else(|| anyhow!("{value} is no integer"));
        match name {
            "bool" => self.out.push(u8::from(value.as_bool().context("no boolean")?)),
            "int8" => self.out.extend(i8::try_from(integer()?)?.to_be_bytes()),
            "int16" => self.out.extend(i16::try_from(integer()?)?.to_be_bytes()),
            "uint16" => self.out.extend(u16::try_from(integer()?)?.to_be_bytes()),
            "int32" => self.out.extend(i32::try_from(integer()?)?.to_be_bytes()),
            "int64" => self.out.extend(integer()?.to_be_bytes()),
            "float64" => self.out.extend(value.as_f64().context("no number")?.to_be_bytes()),
            "uuid" => {
                let bytes = unhex(value.as_str().context("a uuid is text")?)?;
                ensure!(bytes.len() == 16, "a uuid has 16 bytes");
                self.out.extend(bytes);
            }
            "string" => {
                let text = value.as_str().map(str::as_bytes);
                self.length(text.map(<[u8]>::len), 2)?;
                self.out.extend(text.unwrap_or_default());
            }
            _ => {
                let bytes = value.as_str().map(unhex).transpose()?;
                self.length(bytes.as_ref().map(Vec::len), 4)?;
                self.out.extend(bytes.unwrap_or_default());
            }
        }
        Ok(())
    }
}

/// A message from its bytes. Bytes left over are an error: a client would fail on them.
pub(crate) fn decode(message: &Message, version: i16, bytes: &[u8]) -> Result<Value> {
    let mut decoder = Decoder {
        message,
        version,
        flexible: is_flexible(message, version),
        rest: bytes,
    };
    let value = decoder.fields(&message.fields)?;
    ensure!(decoder.rest.is_empty(), "{} bytes left over", decoder.rest.len());
    Ok(value)
}

struct Decoder<'a> {
    message: &'a Message,
    version: i16,
    flexible: bool,
    rest: &'a [u8],
}

impl Decoder<'_> {
    fn take(&mut self, count: usize) -> Result<&[u8]> {
        ensure!(
            count <= self.rest.len(),
            "{count} bytes wanted, {} left",
            self.rest.len()
        );
        let (taken, rest) = self.rest.split_at(count);
        self.rest = rest;
        Ok(taken)
    }

    fn integer(&mut self, width: usize) -> Result<i64> {
        let bytes = self.take(width)?;
        let negative = bytes.first().is_some_and(|first| *first >= 0x80);
        let mut wide = [if negative { 0xff } else { 0 }; 8];
        wide[8 - width..].copy_from_slice(bytes);
        Ok(i64::from_be_bytes(wide))
    }

    fn varint(&mut self) -> Result<u64> {
        let mut value = 0;
        for shift in (0..63).step_by(7) {
            let byte = self.take(1)?[0];
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        bail!("a variable-length number without end")
    }

    fn fields(&mut self, fields: &[Field]) -> Result<Value> {
        let mut object = Map::new();
        let version = self.version;
        for field in fields.iter().filter(|field| field.versions.contains(version)) {
            let value = match field.tag {
                Some(_) => default_of(field, self.version),
                None => self.field(field).with_context(|| field.name.clone())?,
            };
            object.insert(field.name.clone(), value);
        }
        if self.flexible {
            self.tagged(fields, &mut object)?;
        }
        // A structure of defaults reads the same as none at all.
        let kept = |field: &&Field| field.tag.is_some() && matches!(field.kind, Type::Struct(_));
        for field in fields.iter().filter(kept) {
            if object.get(&field.name) == Some(&Value::Object(Map::new())) {
                object.remove(&field.name);
            }
        }
        Ok(Value::Object(object))
    }

    fn tagged(&mut self, fields: &[Field], object: &mut Map<String, Value>) -> Result<()> {
        for _ in 0..self.varint()? {
            let tag = self.varint()?;
            let length = usize::try_from(self.varint()?)?;
            let bytes = self.take(length)?.to_vec();
            let known = |field: &&Field| {
                field.versions.contains(self.version) && field.tag.is_some_and(|known| u64::from(known) == tag)
            };
            let Some(field) = fields.iter().find(known) else {
                object.insert(format!("tag {tag}"), Value::from(hex(&bytes)));
                continue;
            };
            let mut inner = Decoder { rest: &bytes, ..*self };
            let value = inner.field(field).with_context(|| field.name.clone())?;
            ensure!(inner.rest.is_empty(), "bytes left over in {}", field.name);
            object.insert(field.name.clone(), value);
        }
        Ok(())
    }

    fn field(&mut self, field: &Field) -> Result<Value> {
        let nullable = field.nullable.is_some_and(|nullable| nullable.contains(self.version));
        let value = self.value(&field.kind, nullable)?;
        let by_length = element(&field.kind).is_some()
            || matches!(&field.kind, Type::Primitive(name) if ["string", "bytes"].contains(&name.as_str()));
        ensure!(
            !(value.is_null() && by_length && !nullable),
            "null where version {} forbids it",
            self.version
        );
        Ok(value)
    }

    fn value(&mut self, kind: &Type, nullable: bool) -> Result<Value> {
        match kind {
            Type::Array(kind) => {
                let Some(length) = self.length(4)? else {
                    return Ok(Value::Null);
                };
                (0..length).map(|_| self.value(kind, false)).collect()
            }
            Type::Struct(name) => {
                if nullable && self.integer(1)? < 0 {
                    return Ok(Value::Null);
                }
                let message = self.message;
                let fields = structure(message, name).with_context(|| format!("no structure {name}"))?;
                self.fields(fields)
            }
            Type::Primitive(name) => self.primitive(name),
        }
    }

    fn length(&mut self, width: usize) -> Result<Option<usize>> {
        let length = if self.flexible {
            i64::try_from(self.varint()?)? - 1
        } else {
            self.integer(width)?
        };
        ensure!(length >= -1, "length {length}");
        Ok(usize::try_from(length).ok())
    }

    fn primitive(&mut self, name: &str) -> Result<Value> {
        Ok(match name {
            "bool" => Value::from(self.integer(1)? != 0),
            "int8" => Value::from(self.integer(1)?),
            "int16" => Value::from(self.integer(2)?),
            "uint16" => Value::from(self.integer(2)? & 0xffff),
            "int32" => Value::from(self.integer(4)?),
            "int64" => Value::from(self.integer(8)?),
            "float64" => Value::from(f64::from_bits(self.integer(8)?.cast_unsigned())),
            "uuid" => Value::from(hex(self.take(16)?)),
            "string" => match self.length(2)? {
                Some(length) => Value::from(String::from_utf8(self.take(length)?.to_vec())?),
                None => Value::Null,
            },
            _ => match self.length(4)? {
                Some(length) => Value::from(hex(self.take(length)?)),
                None => Value::Null,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::*;
    use crate::api_sweep::schema::Schema;

    fn schema() -> Schema {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        Schema::load(&root.join("crates/protocol/definitions")).expect("the definitions are well-formed")
    }

    #[test]
    fn what_is_encoded_is_decoded_in_every_version_of_every_api() {
        for api in schema().all() {
            for version in api.versions() {
                let bytes = encode(&api.request, version, &json!({})).expect("defaults fit every version");
                let value = decode(&api.request, version, &bytes).expect("our own bytes are well-formed");
                assert_eq!(
                    encode(&api.request, version, &value).expect("it was decoded"),
                    bytes,
                    "{} {version}",
                    api.name
                );
            }
        }
    }

    #[test]
    fn bytes_are_those_of_the_protocol_guide() {
        let schema = schema();
        let api = schema.api("Heartbeat");
        let body = json!({"GroupId": "g", "GenerationId": 258, "MemberId": "m"});
        let old = encode(&api.request, 0, &body).expect("it fits");
        assert_eq!(hex(&old), "0001670000010200016d");
        // Compact strings carry their length plus one; then a null instance and no tagged fields.
        let flexible = encode(&api.request, 4, &body).expect("it fits");
        assert_eq!(hex(&flexible), "026700000102026d0000");
    }

    #[test]
    fn misspelt_fields_and_bytes_left_over_are_errors() {
        let schema = schema();
        let api = schema.api("Heartbeat");
        assert!(encode(&api.request, 0, &json!({"Group": "g"})).is_err());
        let mut bytes = encode(&api.request, 0, &json!({})).expect("defaults fit");
        bytes.push(0);
        assert!(decode(&api.request, 0, &bytes).is_err());
    }
}
