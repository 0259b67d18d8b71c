//! The messages of the protocol by API, from the definitions that the generated code comes from.
//!
//! The sweep encodes and decodes by these tables at run time and not with the generated code, so that a
//! mistake of the generator cannot hide on both sides of the comparison.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};

use crate::codegen::definition::{Field, Kind, Message, Type, parse};

/// One API: what is asked and what is answered.
pub(crate) struct Api {
    /// Kafka's name of it, without `Request`.
    pub(crate) name: String,
    /// Its number on the wire.
    pub(crate) key: i16,
    /// Its request.
    pub(crate) request: Message,
    /// Its answer.
    pub(crate) response: Message,
}

impl Api {
    /// Whether `version` has compact lengths and tagged fields.
    pub(crate) fn is_flexible(&self, version: i16) -> bool {
        is_flexible(&self.request, version)
    }

    /// The versions that may be advertised.
    pub(crate) fn versions(&self) -> std::ops::RangeInclusive<i16> {
        let last = self.request.versions.last - i16::from(self.request.unstable);
        self.request.versions.first..=last
    }
}

/// Whether a message at `version` has compact lengths and tagged fields.
pub(crate) fn is_flexible(message: &Message, version: i16) -> bool {
    message.flexible.is_some_and(|versions| versions.contains(version))
}

/// The fields of a structure, wherever in the message it is defined.
pub(crate) fn structure<'a>(message: &'a Message, name: &str) -> Option<&'a [Field]> {
    fn below<'a>(fields: &'a [Field], name: &str) -> Option<&'a [Field]> {
        fields.iter().find_map(|field| {
            let defines = !field.fields.is_empty() && field.kind.structure() == Some(name);
            defines
                .then_some(field.fields.as_slice())
                .or_else(|| below(&field.fields, name))
        })
    }
    let shared = message.structures.iter().find(|shared| shared.name == name);
    shared
        .map(|shared| shared.fields.as_slice())
        .or_else(|| below(&message.fields, name))
        .or_else(|| message.structures.iter().find_map(|shared| below(&shared.fields, name)))
}

/// The type of an array's elements.
pub(crate) fn element(kind: &Type) -> Option<&Type> {
    match kind {
        Type::Array(element) => Some(element),
        Type::Primitive(_) | Type::Struct(_) => None,
    }
}

/// Every API by its number.
pub(crate) struct Schema {
    apis: BTreeMap<i16, Api>,
}

impl Schema {
    /// Reads the definitions in a folder.
    pub(crate) fn load(folder: &Path) -> Result<Self> {
        let mut requests = BTreeMap::new();
        let mut responses = BTreeMap::new();
        for entry in std::fs::read_dir(folder).with_context(|| format!("{}", folder.display()))? {
            let path = entry?.path();
            if path.file_name().is_some_and(|name| name == "error_codes.txt") {
                continue;
            }
            let text = std::fs::read_to_string(&path)?;
            for message in parse(&text).with_context(|| format!("{}", path.display()))? {
                match (message.kind, message.key) {
                    (Kind::Request, Some(key)) => requests.insert(key, message),
                    (Kind::Response, Some(key)) => responses.insert(key, message),
                    _ => None,
                };
            }
        }
        let mut apis = BTreeMap::new();
        for (key, request) in requests {
            let response = responses.remove(&key).context("a request has a response")?;
            let name = request.name.trim_end_matches("Request").to_owned();
            apis.insert(
                key,
                Api {
                    name,
                    key,
                    request,
                    response,
                },
            );
        }
        Ok(Self { apis })
    }

    /// An API by its name.
    pub(crate) fn api(&self, name: &str) -> &Api {
        self.apis
            .values()
            .find(|api| api.name == name)
            .unwrap_or_else(|| panic!("a scenario names {name}, which is no API"))
    }

    /// All of them, by number.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Api> {
        self.apis.values()
    }
}
