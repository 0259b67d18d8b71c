//! From the text of a value to the value, checked against its line of the table.
//!
//! Text is trimmed as Kafka trims it, and rendered back in one canonical form, so that `007` is described as `7`.

use crate::error::{ConfigError, Place, Problem};
use crate::listener;
use crate::setting::{Bounds, Honoured, Kind, Setting, Unit};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// A value of a setting.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    /// `true` or `false`.
    Boolean(bool),
    /// A whole number within the range of its type.
    Integer(i64),
    /// A fraction.
    Double(f64),
    /// Text.
    Text(String),
    /// The members of a list, trimmed, none of them empty.
    List(Vec<String>),
}

impl Value {
    /// The canonical text, as DescribeConfigs shows it.
    #[must_use]
    pub fn to_text(&self) -> String {
        match self {
            Self::Boolean(value) => value.to_string(),
            Self::Integer(value) => value.to_string(),
            Self::Double(value) => value.to_string(),
            Self::Text(value) => value.clone(),
            Self::List(members) => members.join(","),
        }
    }
}

/// Reads `text` as a value of `setting` and checks its bounds and whether it can be honoured.
///
/// # Errors
/// [`Problem::Malformed`], [`Problem::OutOfBounds`] or [`Problem::FixedForNow`], with `place` in it.
pub fn parse(setting: &Setting, text: &str, place: &Place) -> Result<Value, ConfigError> {
    let fail = |problem| ConfigError::new(setting.name, place, problem);
    let value = read(setting.kind, text).ok_or_else(|| {
        fail(Problem::Malformed {
            value: shown(setting, text),
            expected: kind_in_words(setting),
        })
    })?;
    if !within(setting.bounds, &value) {
        return Err(fail(Problem::OutOfBounds {
            value: shown(setting, text),
            allowed: bounds_in_words(setting),
        }));
    }
    if let Honoured::FixedForNow { allowed, reason } = setting.honoured {
        let given = value.to_text();
        if setting.default != Some(given.as_str()) && !allowed.contains(&given.as_str()) {
            let (value, allowed) = (shown(setting, &given), taken_values(setting, allowed));
            return Err(fail(Problem::FixedForNow { value, allowed, reason }));
        }
    }
    Ok(value)
}

/// Reads text of this type; `None` when it is not of it. Bounds are not looked at.
pub(crate) fn read(kind: Kind, text: &str) -> Option<Value> {
    let text = text.trim();
    match kind {
        Kind::Boolean if text.eq_ignore_ascii_case("true") => Some(Value::Boolean(true)),
        Kind::Boolean if text.eq_ignore_ascii_case("false") => Some(Value::Boolean(false)),
        Kind::Boolean => None,
        Kind::Short | Kind::Int | Kind::Long => {
            let number: i64 = text.parse().ok()?;
            let in_type = kind.min_integer()? <= number && number <= kind.max_integer()?;
            in_type.then_some(Value::Integer(number))
        }
        Kind::Double => text
            .parse()
            .ok()
            .filter(|number: &f64| number.is_finite())
            .map(Value::Double),
        Kind::List => Some(Value::List(members(text))),
        Kind::String | Kind::Class | Kind::Password => Some(Value::Text(text.to_string())),
    }
}

/// Reads text that was checked when it was stored, perhaps by another release; `None` when it is not of the type or
/// outside the bounds of this one. Whether it can be honoured was decided then.
pub(crate) fn read_stored(setting: &Setting, text: &str) -> Option<Value> {
    read(setting.kind, text).filter(|value| within(setting.bounds, value))
}

/// The members of a list, trimmed, without empty ones.
pub(crate) fn members(text: &str) -> Vec<String> {
    text.split(',')
        .map(str::trim)
        .filter(|member| !member.is_empty())
        .map(String::from)
        .collect()
}

fn within(bounds: Bounds, value: &Value) -> bool {
    match (bounds, value) {
        (Bounds::Any, _) => true,
        (Bounds::Range { min, max }, Value::Integer(number)) => (min..=max).contains(number),
        (Bounds::UnlimitedOrPositive, Value::Integer(number)) => *number == -1 || *number >= 1,
        (Bounds::Fraction { min, max }, Value::Double(number)) => (min..=max).contains(number),
        (Bounds::OneOf(words), Value::Text(text)) => words.contains(&text.as_str()),
        (Bounds::EachOf(words), Value::List(members)) => members.iter().all(|member| words.contains(&member.as_str())),
        (Bounds::Listeners, Value::List(members)) => {
            !members.is_empty() && members.iter().all(|member| listener::parse_one(member).is_some())
        }
        (Bounds::ProtocolMap, Value::Text(text)) => listener::protocol_map(text).is_some(),
        (Bounds::Replicas, Value::List(members)) => {
            *members == ["*"] || members.iter().all(|member| is_replica(member))
        }
        (Bounds::ClusterId, Value::Text(text)) => is_cluster_id(text),
        (Bounds::OnePath, Value::List(members)) => members.len() == 1,
        _ => false,
    }
}

/// Whether this is `PARTITION:BROKER`, both of them plain numbers.
fn is_replica(text: &str) -> bool {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    text.split_once(':')
        .is_some_and(|(partition, broker)| is_number(partition) && is_number(broker))
}

/// Whether this is what Kafka makes of 16 bytes: 22 letters of base64 for addresses, the last of which has only two
/// bits to say.
fn is_cluster_id(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    text.len() == 22 && text.bytes().all(is_letter) && text.ends_with(['A', 'Q', 'g', 'w'])
}

/// A sensitive value must not reach a log by way of an error.
fn shown(setting: &Setting, text: &str) -> Option<String> {
    (!setting.sensitive).then(|| text.trim().to_string())
}

fn taken_values(setting: &Setting, allowed: &[&str]) -> String {
    let values: Vec<String> = setting
        .default
        .iter()
        .chain(allowed)
        .map(|value| format!("`{value}`"))
        .collect();
    values.join(" or ")
}

fn kind_in_words(setting: &Setting) -> String {
    match setting.kind {
        Kind::Boolean => "`true` or `false`".into(),
        Kind::Short | Kind::Int | Kind::Long => format!(
            "a whole number between {} and {}",
            setting.kind.min_integer().expect("the kind is a whole number"),
            setting.kind.max_integer().expect("the kind is a whole number")
        ),
        Kind::Double => "a decimal fraction such as 0.5".into(),
        Kind::List => "words separated by commas".into(),
        Kind::String | Kind::Class | Kind::Password => "text".into(),
    }
}

/// The bounds as the object of "it must be ...".
pub(crate) fn bounds_in_words(setting: &Setting) -> String {
    let unit = match setting.unit {
        Unit::None | Unit::Count => String::new(),
        unit => format!(" {}", unit.word()),
    };
    match setting.bounds {
        Bounds::Any => kind_in_words(setting),
        Bounds::Range { min, max } if Some(max) == setting.kind.max_integer() => format!("at least {min}{unit}"),
        Bounds::Range { min, max } => format!("between {min} and {max}{unit}"),
        Bounds::UnlimitedOrPositive => format!("-1 (unlimited) or at least 1{unit}"),
        Bounds::Fraction { min, max } => format!("a fraction between {min} and {max}"),
        Bounds::OneOf(words) => format!("one of `{}`", words.join("`, `")),
        Bounds::EachOf(words) => format!("a list of `{}`", words.join("`, `")),
        Bounds::Listeners => "a list of `NAME://host:port`, for example `PLAINTEXT://127.0.0.1:9092`".into(),
        Bounds::ProtocolMap => "a list of `NAME:PROTOCOL`, for example `INTERNAL:PLAINTEXT`".into(),
        Bounds::Replicas => "empty, `*`, or a list of `PARTITION:BROKER`".into(),
        Bounds::ClusterId => {
            "22 letters of base64 that stand for 16 bytes, for example `AAAAAAAAAAAAAAAAAAAAAQ`".into()
        }
        Bounds::OnePath => "exactly one directory, since one process keeps all its data in one place".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sensitive_value_is_in_no_message() {
        let secret = Setting {
            sensitive: true,
            ..Setting::broker("secret", Kind::Int, "A secret.").default("7")
        };
        for setting in [secret.at_least(5), secret.fixed("nobody may know")] {
            for text in ["hush", "3"] {
                let message = parse(&setting, text, &Place::Request)
                    .expect_err("it is wrong")
                    .to_string();
                assert!(message.starts_with("`secret` ") && !message.contains(text), "{message}");
            }
        }
    }
}
