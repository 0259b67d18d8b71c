//! The layers a broker's configuration is made of: defaults < file < environment < flags.
//!
//! The caller reads the file and the environment; this module takes text and pairs. A stronger layer that names
//! one synonym of a quantity replaces all of them: `--log.retention.hours` beats `log.retention.ms` of the file.

use crate::error::{ConfigError, Place, Problem};
use crate::meaningless;
use crate::properties;
use crate::setting::{Honoured, Resource, Setting};
use crate::settings;
use crate::suggest;
use crate::value;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// What every variable of ours begins with: `HALLOWS_LOG_SEGMENT_BYTES` is `log.segment.bytes`.
pub const ENVIRONMENT_PREFIX: &str = "HALLOWS_";

/// Variables with our prefix that are not settings; the programs read them.
pub const ENVIRONMENT_RESERVED: &[&str] = &[
    "HALLOWS_CONFIG",
    "HALLOWS_LOG",
    "HALLOWS_BOOTSTRAP_SERVER",
    "HALLOWS_OUTPUT",
];

/// The variable that sets this broker setting.
#[must_use]
pub fn environment_variable(name: &str) -> String {
    format!("{ENVIRONMENT_PREFIX}{}", name.to_ascii_uppercase().replace('.', "_"))
}

/// Everything a broker's configuration is read from, the weakest first.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Sources {
    /// The configuration file: its name for messages, and its text.
    pub file: Option<(String, String)>,
    /// The environment. Variables without [`ENVIRONMENT_PREFIX`] and [`ENVIRONMENT_RESERVED`] ones are passed over.
    pub environment: Vec<(String, String)>,
    /// Settings given as flags, by the setting's own name.
    pub flags: Vec<(String, String)>,
    /// Whether what changes nothing is an error instead of a warning.
    pub strict: bool,
}

impl Sources {
    /// Flags alone; how tests and embedders make a configuration.
    pub fn from_flags<N: Into<String>, V: Into<String>>(flags: impl IntoIterator<Item = (N, V)>) -> Self {
        let flags = flags
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        Self {
            flags,
            ..Self::default()
        }
    }
}

/// The values a broker was started with, by name, valid each for itself. Kept beside the typed fields, because
/// DescribeConfigs tells a given value from a default one.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct StaticValues(pub(crate) BTreeMap<&'static str, (String, Place)>);

impl StaticValues {
    /// The text given for a setting, if one was.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|(text, _)| text.as_str())
    }

    /// Where the value of a setting was given; the command line when nowhere.
    pub(crate) fn place(&self, name: &str) -> Place {
        self.0
            .get(name)
            .map_or_else(|| Place::Flag(name.into()), |(_, place)| place.clone())
    }
}

/// What all layers say together.
#[derive(Default)]
pub(crate) struct Merged {
    /// The values that are right each for itself.
    pub(crate) statics: StaticValues,
    /// Every unknown, refused or malformed line.
    pub(crate) errors: Vec<ConfigError>,
    /// Every line that changes nothing.
    pub(crate) warnings: Vec<ConfigError>,
    /// Variables that are not ours although they begin so.
    pub(crate) passed_over: Vec<String>,
}

/// Reads all layers.
pub(crate) fn merge(sources: &Sources) -> Merged {
    let mut merged = Merged::default();
    let file = read_file(sources, &mut merged.errors);
    let environment = read_environment(sources, &mut merged.passed_over);
    for layer in [file, environment, read_flags(sources)] {
        let checked: Vec<(&'static Setting, String, Place)> = layer
            .into_iter()
            .filter_map(|(name, text, place)| Some((merged.check(&name, &text, &place)?, text, place)))
            .collect();
        let values = &mut merged.statics.0;
        for (setting, _, _) in &checked {
            for synonym in setting.synonyms {
                values.remove(synonym);
            }
        }
        values.extend(
            checked
                .into_iter()
                .map(|(setting, text, place)| (setting.name, (String::from(text.trim()), place))),
        );
    }
    merged
}

impl Merged {
    /// The setting of a line that is right for itself; what is wrong with it, or says nothing, is noted.
    fn check(&mut self, name: &str, text: &str, place: &Place) -> Option<&'static Setting> {
        match check(Resource::Broker, name, text, place) {
            Ok(setting) => {
                if let Some(problem) = idle(setting, text) {
                    self.warnings.push(ConfigError::new(name, place, problem));
                }
                Some(setting)
            }
            Err(error) => {
                let meaningless = meaningless::find(Resource::Broker, name);
                match meaningless.filter(|meaningless| !meaningless.refuses(text)) {
                    Some(_) => self.warnings.push(error),
                    None => self.errors.push(error),
                }
                None
            }
        }
    }
}

/// Why a valid value changes nothing, if it does not.
fn idle(setting: &Setting, text: &str) -> Option<Problem> {
    let given = value::read(setting.kind, text).map(|value| value.to_text());
    match setting.honoured {
        Honoured::Inert { reason } if given.as_deref() != setting.default => Some(Problem::Inert { reason }),
        _ => None,
    }
}

/// Finds the setting and checks its value for itself.
///
/// # Errors
/// [`Problem::Unknown`], [`Problem::Meaningless`], and those of [`value::parse`].
pub(crate) fn check(
    resource: Resource,
    name: &str,
    text: &str,
    place: &Place,
) -> Result<&'static Setting, ConfigError> {
    let setting = find(resource, name, place)?;
    value::parse(setting, text, place)?;
    Ok(setting)
}

/// Checks a value for one group. None can be set to anything but its default yet.
///
/// # Errors
/// Those of a topic's values; INVALID_CONFIG on the wire.
pub fn validate_group(name: &str, text: &str) -> Result<(), ConfigError> {
    check(Resource::Group, name, text, &Place::Request).map(|_| ())
}

/// Finds the setting.
///
/// # Errors
/// [`Problem::Unknown`] with a guess, or [`Problem::Meaningless`].
pub(crate) fn find(resource: Resource, name: &str, place: &Place) -> Result<&'static Setting, ConfigError> {
    settings::find(resource, name).ok_or_else(|| {
        let problem = match meaningless::find(resource, name) {
            Some(meaningless) => Problem::Meaningless {
                advice: meaningless.advice,
            },
            None => Problem::Unknown {
                resource: resource.word(),
                suggestion: suggestion(resource, name, place),
            },
        };
        ConfigError::new(name, place, problem)
    })
}

/// The closest name, in the form in which the place writes names.
fn suggestion(resource: Resource, name: &str, place: &Place) -> Option<String> {
    let closest = suggest::closest(resource, name)?;
    Some(if matches!(place, Place::Environment(_)) {
        environment_variable(&closest)
    } else {
        closest
    })
}

type Layer = Vec<(String, String, Place)>;

fn read_file(sources: &Sources, errors: &mut Vec<ConfigError>) -> Layer {
    let Some((file, text)) = &sources.file else {
        return Layer::new();
    };
    let place = |line| Place::File {
        file: file.clone(),
        line,
    };
    let mut first_lines: BTreeMap<String, usize> = BTreeMap::new();
    let mut layer = Layer::new();
    for property in properties::parse(text) {
        match property {
            Err(error) => errors.push(ConfigError::new(
                "",
                &place(error.line),
                Problem::Syntax { why: error.why },
            )),
            Ok(property) => match first_lines.get(&property.name) {
                Some(&first_line) => {
                    errors.push(ConfigError::new(
                        &property.name,
                        &place(property.line),
                        Problem::Duplicate { first_line },
                    ));
                }
                None => {
                    first_lines.insert(property.name.clone(), property.line);
                    layer.push((property.name, property.value, place(property.line)));
                }
            },
        }
    }
    layer
}

fn read_environment(sources: &Sources, passed_over: &mut Vec<String>) -> Layer {
    let mut layer = Layer::new();
    for (variable, text) in &sources.environment {
        let Some(name) = variable.strip_prefix(ENVIRONMENT_PREFIX) else {
            continue;
        };
        if ENVIRONMENT_RESERVED.contains(&variable.as_str()) {
            continue;
        }
        if is_service_variable(name, text) {
            passed_over.push(variable.clone());
            continue;
        }
        let name = name.to_ascii_lowercase().replace('_', ".");
        layer.push((name, text.clone(), Place::Environment(variable.clone())));
    }
    // The environment has no order of its own; messages should have one.
    layer.sort_by(|left, right| left.0.cmp(&right.0));
    passed_over.sort_unstable();
    layer
}

/// Whether Kubernetes gives this variable (here without our prefix) to every container beside a service whose name
/// begins like the program's: `SERVICE_HOST`, `SERVICE_PORT` and `SERVICE_PORT_<NAME>`, `PORT`, and
/// `PORT_<NUMBER>_<PROTOCOL>` alone and with `_PROTO`, `_PORT` or `_ADDR`, each perhaps behind the rest of the
/// service's name.
fn is_service_variable(name: &str, text: &str) -> bool {
    let is_url = ["tcp://", "udp://", "sctp://"]
        .iter()
        .any(|scheme| text.starts_with(scheme));
    let parts: Vec<&str> = name.split('_').collect();
    if parts.ends_with(&["SERVICE", "HOST"]) || parts.windows(2).any(|pair| pair == ["SERVICE", "PORT"]) {
        return true;
    }
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let is_protocol = |part: &str| matches!(part, "TCP" | "UDP" | "SCTP");
    match parts.as_slice() {
        [.., "PORT", number, protocol] if is_number(number) && is_protocol(protocol) => true,
        [.., "PORT", number, protocol, "PROTO" | "PORT" | "ADDR"] if is_number(number) && is_protocol(protocol) => true,
        [.., "PORT"] => is_url,
        _ => false,
    }
}

fn read_flags(sources: &Sources) -> Layer {
    sources
        .flags
        .iter()
        .map(|(name, text)| (name.clone(), text.clone(), Place::Flag(name.clone())))
        .collect()
}
