//! How the types of the protocol look in Rust: names, defaults, reads and writes.

use anyhow::{Result, bail};

use super::definition::{Field, Type};

/// Who owns the strings and bytes of a message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ownership {
    /// They are parts of the frame, with its lifetime.
    Borrowed,
    /// They are `String` and `Bytes`.
    Owned,
}

/// A field's type as the generator treats it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape<'a> {
    /// A number, `bool` or identifier: the stem of its read and write.
    Scalar(&'static str),
    /// `string`.
    Text,
    /// `bytes` and `records`.
    Bytes,
    /// A structure by its name.
    Struct(&'a str),
}

/// The shape of a type that is not an array. Names give error codes and topic ids their own types.
pub(crate) fn shape<'a>(name: &str, kind: &'a Type) -> Result<Shape<'a>> {
    Ok(match kind {
        Type::Struct(name) => Shape::Struct(name),
        Type::Array(_) => bail!("an array of arrays"),
        Type::Primitive(primitive) => match primitive.as_str() {
            "string" => Shape::Text,
            "bytes" | "records" => Shape::Bytes,
            "bool" => Shape::Scalar("bool"),
            "int8" => Shape::Scalar("i8"),
            "int16" if name.ends_with("ErrorCode") => Shape::Scalar("error_code"),
            "int16" => Shape::Scalar("i16"),
            "uint16" => Shape::Scalar("u16"),
            "int32" => Shape::Scalar("i32"),
            "int64" => Shape::Scalar("i64"),
            "float64" => Shape::Scalar("f64"),
            "uuid" if name.ends_with("TopicId") || name.ends_with("TopicIds") => Shape::Scalar("topic_id"),
            "uuid" => Shape::Scalar("uuid"),
            other => bail!("unknown primitive {other}"),
        },
    })
}

impl Shape<'_> {
    /// The Rust type; `lifetime` says whether a structure of this name borrows.
    pub(crate) fn rust(self, ownership: Ownership, lifetime: impl Fn(&str) -> bool) -> String {
        match (self, ownership) {
            (Self::Scalar("error_code"), _) => "ErrorCode".to_owned(),
            (Self::Scalar("topic_id"), _) => "TopicId".to_owned(),
            (Self::Scalar("uuid"), _) => "Uuid".to_owned(),
            (Self::Scalar(stem), _) => stem.to_owned(),
            (Self::Text, Ownership::Borrowed) => "&'a str".to_owned(),
            (Self::Text, Ownership::Owned) => "String".to_owned(),
            (Self::Bytes, Ownership::Borrowed) => "&'a [u8]".to_owned(),
            (Self::Bytes, Ownership::Owned) => "Bytes".to_owned(),
            (Self::Struct(name), _) if lifetime(name) => format!("{name}<'a>"),
            (Self::Struct(name), _) => name.to_owned(),
        }
    }

    /// The stem of the methods of `Reader`.
    pub(crate) fn read_stem(self, ownership: Ownership) -> &'static str {
        match (self, ownership) {
            (Self::Scalar(stem), _) => stem,
            (Self::Text, Ownership::Borrowed) => "str",
            (Self::Text, Ownership::Owned) => "string",
            (Self::Bytes, Ownership::Borrowed) => "byte_slice",
            (Self::Bytes, Ownership::Owned) => "bytes",
            (Self::Struct(_), _) => "structure",
        }
    }

    /// The fewest bytes of one value; `structure` knows those of structures.
    pub(crate) fn size_min(self, flexible: bool, structure: impl Fn(&str) -> usize) -> usize {
        match self {
            Self::Scalar("bool" | "i8") => 1,
            Self::Scalar("i16" | "u16" | "error_code") => 2,
            Self::Scalar("i32") => 4,
            Self::Scalar("i64" | "f64") => 8,
            Self::Scalar(_) => 16,
            Self::Text if !flexible => 2,
            Self::Bytes if !flexible => 4,
            Self::Text | Self::Bytes => 1,
            Self::Struct(name) => structure(name),
        }
    }
}

/// The element type of an array.
pub(crate) fn element(kind: &Type) -> Option<&Type> {
    match kind {
        Type::Array(element) => Some(element),
        _ => None,
    }
}

/// The Rust expression of a field's default, or `None` where `Default::default()` gives it.
pub(crate) fn default(field: &Field, shape: Shape<'_>) -> Result<Option<String>> {
    let null = field.default.as_deref() == Some("null");
    // Records are null unless set, as in Kafka; everything else nullable begins empty.
    let records = field.kind == Type::Primitive("records".to_owned());
    if field.nullable.is_some() {
        return Ok((!null && !records).then(|| "Some(Default::default())".to_owned()));
    }
    Ok(match (&field.default, shape) {
        (None, _) => None,
        (Some(text), Shape::Scalar("bool" | "i8" | "i16" | "u16" | "i32" | "i64")) => Some(text.clone()),
        (Some(text), _) => bail!("default {text} of {}", field.name),
    })
}

/// A condition that holds when the field `place` has another value than its default.
pub(crate) fn is_set(field: &Field, shape: Shape<'_>, place: &str) -> Result<String> {
    if field.nullable.is_some() {
        let empty_by_default = default(field, shape)?.is_some();
        return Ok(match (empty_by_default, shape) {
            (false, _) => format!("{place}.is_some()"),
            (true, Shape::Struct(_)) if element(&field.kind).is_none() => {
                format!("{place} != Some(Default::default())")
            }
            (true, _) => format!("{place}.as_ref().is_none_or(|value| !value.is_empty())"),
        });
    }
    if element(&field.kind).is_some() {
        return Ok(format!("!{place}.is_empty()"));
    }
    Ok(match (shape, &field.default) {
        (Shape::Text | Shape::Bytes, _) => format!("!{place}.is_empty()"),
        (Shape::Scalar("bool"), None) => place.to_owned(),
        (Shape::Scalar("bool"), Some(_)) => format!("!{place}"),
        (Shape::Scalar("topic_id"), _) => format!("{place} != TopicId::ZERO"),
        (Shape::Scalar("uuid"), _) => format!("{place} != [0; 16]"),
        (Shape::Scalar("error_code"), _) => format!("{place} != ErrorCode::NONE"),
        (Shape::Scalar("f64"), _) => format!("{place} != 0.0"),
        (Shape::Scalar(_), default) => {
            format!("{place} != {}", default.as_deref().unwrap_or("0"))
        }
        (Shape::Struct(name), _) => format!("{place} != {name}::default()"),
    })
}
