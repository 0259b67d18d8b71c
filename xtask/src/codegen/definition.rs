//! The compact form of a message definition: its model, its parser and its printer.
//!
//! A file holds messages; a message is a head line and one line per field, nested by two spaces:
//!
//! ```text
//! request FetchRequest key=1 versions=0-18 flexible=12+
//!   ClusterId string 12+ nullable=12+ tag=0 default=null ignorable
//!   Topics []FetchTopic 0+
//!     Topic string 0-12 ignorable
//! ```
//!
//! The fields of a structure stand below the first field that uses it, or below a line
//! `struct Name versions` when several fields share it.
//! Only facts live here: names, types, versions, defaults, tags. `print` and `parse` are inverses.

use std::fmt;

use anyhow::{Context, Result, anyhow, bail, ensure};

/// A range of versions, both ends inclusive; `last` is `i16::MAX` when it is open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Versions {
    /// The first version of the range.
    pub(crate) first: i16,
    /// The last version of the range.
    pub(crate) last: i16,
}

impl Versions {
    /// Reads `3`, `0-3`, `3+` or `none`.
    pub(crate) fn parse(text: &str) -> Result<Option<Self>> {
        let number = |part: &str| part.parse::<i16>().with_context(|| format!("versions {text:?}"));
        Ok(match text {
            "none" | "" => None,
            _ => Some(if let Some(first) = text.strip_suffix('+') {
                Self {
                    first: number(first)?,
                    last: i16::MAX,
                }
            } else if let Some((first, last)) = text.split_once('-') {
                Self {
                    first: number(first)?,
                    last: number(last)?,
                }
            } else {
                Self {
                    first: number(text)?,
                    last: number(text)?,
                }
            }),
        })
    }

    /// Whether `version` lies inside.
    pub(crate) fn contains(self, version: i16) -> bool {
        (self.first..=self.last).contains(&version)
    }

    /// Whether every version of `other` lies inside.
    pub(crate) fn covers(self, other: Self) -> bool {
        self.first <= other.first && other.last <= self.last
    }

    /// The versions in both.
    pub(crate) fn intersect(self, other: Self) -> Option<Self> {
        let both = Self {
            first: self.first.max(other.first),
            last: self.last.min(other.last),
        };
        (both.first <= both.last).then_some(both)
    }
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self { first, last: i16::MAX } => write!(f, "{first}+"),
            Self { first, last } if first == last => write!(f, "{first}"),
            Self { first, last } => write!(f, "{first}-{last}"),
        }
    }
}

/// What a message is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// Client to broker.
    Request,
    /// Broker to client.
    Response,
    /// Bytes inside another message.
    Data,
    /// The key of a coordinator's record.
    Key,
    /// The value of a coordinator's record.
    Value,
}

const KINDS: [(&str, Kind); 5] = [
    ("request", Kind::Request),
    ("response", Kind::Response),
    ("data", Kind::Data),
    ("coordinator-key", Kind::Key),
    ("coordinator-value", Kind::Value),
];

impl Kind {
    /// Reads Kafka's own word.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        KINDS.iter().find(|(word, _)| *word == text).map(|(_, kind)| *kind)
    }

    fn word(self) -> &'static str {
        KINDS
            .iter()
            .find(|(_, kind)| *kind == self)
            .expect("every kind is in the table")
            .0
    }
}

/// The type of a field.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Type {
    /// A type of the protocol: `int32`, `string`, `records`, ...
    Primitive(String),
    /// A structure of the same message.
    Struct(String),
    /// Any number of another type.
    Array(Box<Type>),
}

const PRIMITIVES: [&str; 11] = [
    "bool", "int8", "int16", "uint16", "int32", "int64", "float64", "uuid", "string", "bytes", "records",
];

impl Type {
    /// Reads Kafka's notation.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        if let Some(element) = text.strip_prefix("[]") {
            return Ok(Self::Array(Box::new(Self::parse(element)?)));
        }
        if PRIMITIVES.contains(&text) {
            return Ok(Self::Primitive(text.to_owned()));
        }
        ensure!(
            text.starts_with(|c: char| c.is_ascii_uppercase()),
            "unknown type {text:?}"
        );
        Ok(Self::Struct(text.to_owned()))
    }

    /// The name of the structure that this is or holds.
    pub(crate) fn structure(&self) -> Option<&str> {
        match self {
            Self::Primitive(_) => None,
            Self::Struct(name) => Some(name),
            Self::Array(element) => element.structure(),
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Primitive(name) | Self::Struct(name) => f.write_str(name),
            Self::Array(element) => write!(f, "[]{element}"),
        }
    }
}

/// One field of a message or structure.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Field {
    /// Kafka's name, in its spelling.
    pub(crate) name: String,
    /// Its type.
    pub(crate) kind: Type,
    /// The versions that have it.
    pub(crate) versions: Versions,
    /// The versions in which it may be null.
    pub(crate) nullable: Option<Versions>,
    /// Its tag, when it is a tagged field.
    pub(crate) tag: Option<u32>,
    /// Its default, when that is not the type's own.
    pub(crate) default: Option<String>,
    /// Whether a value is dropped without an error at versions that lack the field.
    pub(crate) ignorable: bool,
    /// The fields of the structure it defines.
    pub(crate) fields: Vec<Field>,
}

/// A structure used by several fields.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Structure {
    /// Kafka's name.
    pub(crate) name: String,
    /// The versions that have it.
    pub(crate) versions: Versions,
    /// Its fields in order of the wire.
    pub(crate) fields: Vec<Field>,
}

/// One message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Message {
    /// What it is for.
    pub(crate) kind: Kind,
    /// Kafka's name.
    pub(crate) name: String,
    /// The API key, or the number that tells coordinator records apart.
    pub(crate) key: Option<i16>,
    /// The known versions.
    pub(crate) versions: Versions,
    /// The versions with compact lengths and tagged fields.
    pub(crate) flexible: Option<Versions>,
    /// Whether Kafka marks the last version as not to be advertised.
    pub(crate) unstable: bool,
    /// Its fields in order of the wire.
    pub(crate) fields: Vec<Field>,
    /// Structures that several fields share.
    pub(crate) structures: Vec<Structure>,
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.word(), self.name)?;
        if let Some(key) = self.key {
            write!(f, " key={key}")?;
        }
        write!(f, " versions={}", self.versions)?;
        if let Some(flexible) = self.flexible {
            write!(f, " flexible={flexible}")?;
        }
        writeln!(f, "{}", if self.unstable { " unstable" } else { "" })?;
        print_fields(f, &self.fields, 1)?;
        for structure in &self.structures {
            writeln!(f, "  struct {} {}", structure.name, structure.versions)?;
            print_fields(f, &structure.fields, 2)?;
        }
        Ok(())
    }
}

fn print_fields(f: &mut fmt::Formatter<'_>, fields: &[Field], depth: usize) -> fmt::Result {
    for field in fields {
        write!(
            f,
            "{:width$}{} {} {}",
            "",
            field.name,
            field.kind,
            field.versions,
            width = 2 * depth
        )?;
        if let Some(nullable) = field.nullable {
            write!(f, " nullable={nullable}")?;
        }
        if let Some(tag) = field.tag {
            write!(f, " tag={tag}")?;
        }
        if let Some(default) = &field.default {
            write!(f, " default={default}")?;
        }
        writeln!(f, "{}", if field.ignorable { " ignorable" } else { "" })?;
        print_fields(f, &field.fields, depth + 1)?;
    }
    Ok(())
}

/// One line with its depth and its words.
struct Line<'a> {
    number: usize,
    depth: usize,
    words: Vec<&'a str>,
}

/// Reads all messages of one file. Empty lines and lines that begin with `#` are skipped.
pub(crate) fn parse(text: &str) -> Result<Vec<Message>> {
    let lines: Vec<Line<'_>> = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'))
        .map(|(number, line)| Line {
            number: number + 1,
            depth: (line.len() - line.trim_start().len()) / 2,
            words: line.split_whitespace().collect(),
        })
        .collect();
    let mut messages = Vec::new();
    let mut rest = lines.as_slice();
    while let Some((head, tail)) = rest.split_first() {
        ensure!(head.depth == 0, "line {}: a message begins at the left", head.number);
        let length = tail.iter().take_while(|line| line.depth > 0).count();
        let message = parse_message(head, &tail[..length]);
        messages.push(message.with_context(|| format!("message at line {}", head.number))?);
        rest = &tail[length..];
    }
    Ok(messages)
}

fn parse_message(head: &Line<'_>, body: &[Line<'_>]) -> Result<Message> {
    let [kind, name, attributes @ ..] = head.words.as_slice() else {
        bail!("too few words")
    };
    let mut message = Message {
        kind: Kind::parse(kind).ok_or_else(|| anyhow!("unknown kind {kind:?}"))?,
        name: (*name).to_owned(),
        key: None,
        versions: Versions { first: 0, last: 0 },
        flexible: None,
        unstable: false,
        fields: Vec::new(),
        structures: Vec::new(),
    };
    for attribute in attributes {
        match attribute.split_once('=') {
            Some(("key", value)) => message.key = Some(value.parse()?),
            Some(("versions", value)) => {
                message.versions = Versions::parse(value)?.context("a message needs versions")?;
            }
            Some(("flexible", value)) => message.flexible = Versions::parse(value)?,
            None if *attribute == "unstable" => message.unstable = true,
            _ => bail!("unknown attribute {attribute:?}"),
        }
    }
    let mut rest = body;
    while let Some((line, _)) = rest.split_first() {
        let block = 1 + rest[1..].iter().take_while(|next| next.depth > 1).count();
        if let ["struct", name, versions] = line.words.as_slice() {
            message.structures.push(Structure {
                name: (*name).to_owned(),
                versions: Versions::parse(versions)?.context("a structure needs versions")?,
                fields: parse_fields(&rest[1..block], 2)?,
            });
        } else {
            message.fields.extend(parse_fields(&rest[..block], 1)?);
        }
        rest = &rest[block..];
    }
    Ok(message)
}

fn parse_fields(lines: &[Line<'_>], depth: usize) -> Result<Vec<Field>> {
    let mut fields = Vec::new();
    let mut rest = lines;
    while let Some((line, tail)) = rest.split_first() {
        ensure!(line.depth == depth, "line {}: wrong indentation", line.number);
        let length = tail.iter().take_while(|next| next.depth > depth).count();
        let mut field = parse_field(&line.words).with_context(|| format!("line {}", line.number))?;
        field.fields = parse_fields(&tail[..length], depth + 1)?;
        fields.push(field);
        rest = &tail[length..];
    }
    Ok(fields)
}

fn parse_field(words: &[&str]) -> Result<Field> {
    let [name, kind, versions, attributes @ ..] = words else {
        bail!("too few words")
    };
    let mut field = Field {
        name: (*name).to_owned(),
        kind: Type::parse(kind)?,
        versions: Versions::parse(versions)?.context("a field needs versions")?,
        nullable: None,
        tag: None,
        default: None,
        ignorable: false,
        fields: Vec::new(),
    };
    for attribute in attributes {
        match attribute.split_once('=') {
            Some(("nullable", value)) => field.nullable = Versions::parse(value)?,
            Some(("tag", value)) => field.tag = Some(value.parse()?),
            Some(("default", value)) => field.default = Some(value.to_owned()),
            None if *attribute == "ignorable" => field.ignorable = true,
            _ => bail!("unknown attribute {attribute:?}"),
        }
    }
    Ok(field)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printing_is_the_inverse_of_parsing() {
        let text = "request SampleRequest key=1 versions=0-4 flexible=3+ unstable\n  \
                    Name string 0+ nullable=2+ default=null ignorable\n  \
                    Topics []Topic 1-3 tag=0\n    Id int32 0+ default=-1\n  \
                    struct Shared 2+\n    Flag bool 2\n";
        let messages = parse(text).expect("the text is well-formed");
        assert_eq!(messages.len(), 1);
        assert_eq!(messages[0].to_string(), text);
    }

    #[test]
    fn malformed_lines_are_refused() {
        for text in ["request", "  Name string 0+", "request A versions=0\n  Name strong 0+"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
