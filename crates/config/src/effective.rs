//! Which value of a broker setting holds, and why: this broker's dynamic one > all brokers' > started with > default.

use crate::dynamic::{DynamicBrokerOverrides, Target};
use crate::setting::{Resource, Setting};
use crate::settings;
use crate::sources::StaticValues;
use crate::value::{self, Value};
use alloc::string::String;

const IN_TABLE: &str = "the table has this setting, and a test reads every field";

/// All layers together, with typed look-ups for names that are in the table.
#[derive(Clone, Copy)]
pub(crate) struct Effective<'a> {
    pub(crate) statics: &'a StaticValues,
    pub(crate) dynamic: &'a DynamicBrokerOverrides,
}

impl Effective<'_> {
    /// The value given for a setting, in whichever layer is the strongest; `None` when its default holds.
    /// A stored value that this build cannot read counts as not given.
    pub(crate) fn given(&self, name: &str) -> Option<Value> {
        self.given_for(settings::find(Resource::Broker, name).expect(IN_TABLE))
    }

    /// The value that holds; `None` for null.
    pub(crate) fn value_of(&self, setting: &Setting) -> Option<Value> {
        self.given_for(setting)
            .or_else(|| setting.default.and_then(|text| value::read(setting.kind, text)))
    }

    fn given_for(&self, setting: &Setting) -> Option<Value> {
        let dynamic = |target| self.dynamic.values(target).get(setting.name).map(String::as_str);
        let layers = [
            dynamic(Target::ThisBroker),
            dynamic(Target::AllBrokers),
            self.statics.get(setting.name),
        ];
        layers
            .into_iter()
            .flatten()
            .find_map(|text| value::read_stored(setting, text))
    }

    fn value(&self, name: &str) -> Option<Value> {
        self.value_of(settings::find(Resource::Broker, name).expect(IN_TABLE))
    }

    pub(crate) fn integer(&self, name: &str) -> Option<i64> {
        match self.value(name) {
            Some(Value::Integer(number)) => Some(number),
            _ => None,
        }
    }

    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.value(name).map(|value| value.to_text())
    }

    pub(crate) fn boolean(&self, name: &str) -> bool {
        matches!(self.value(name), Some(Value::Boolean(true)))
    }

    /// A whole number that its bounds keep within 0 and `u32::MAX`.
    pub(crate) fn u32(&self, name: &str) -> u32 {
        u32::try_from(self.integer(name).expect(IN_TABLE)).expect("the setting's bounds keep it within u32")
    }

    /// A whole number that its bounds keep from being negative.
    pub(crate) fn u64(&self, name: &str) -> u64 {
        u64::try_from(self.integer(name).expect(IN_TABLE)).expect("the setting's bounds keep it from being negative")
    }

    /// A whole number whose negative values mean "unlimited".
    pub(crate) fn limit(&self, name: &str) -> Option<u64> {
        self.integer(name).and_then(|number| u64::try_from(number).ok())
    }
}
