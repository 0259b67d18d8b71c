//! Broker settings changed while the broker runs: for one broker, or for all of them at once.
//!
//! The metadata log keeps these pairs; [`BrokerConfig::with_dynamic`](crate::BrokerConfig::with_dynamic) turns them
//! into a new configuration. Precedence: this broker > all brokers > started with > default.

use crate::error::{ConfigError, Place, Problem};
use crate::setting::{Resource, Scope};
use crate::sources;
use alloc::collections::BTreeMap;
use alloc::string::String;

/// Whom a dynamic value is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    /// Every broker that has no value of its own: DescribeConfigs' resource with the empty name.
    AllBrokers,
    /// This broker.
    ThisBroker,
}

/// The dynamic values that concern one broker.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DynamicBrokerOverrides {
    all_brokers: BTreeMap<String, String>,
    this_broker: BTreeMap<String, String>,
}

impl DynamicBrokerOverrides {
    /// Checks a value without setting it.
    ///
    /// # Errors
    /// Those of a file's line, and [`Problem::NotDynamic`]; all of them are INVALID_REQUEST on the wire, unlike a
    /// topic's (Apache Kafka 4.3.1 answers so).
    pub fn validate(target: Target, name: &str, text: &str) -> Result<(), ConfigError> {
        let setting = sources::check(Resource::Broker, name, text, &Place::Request)?;
        let allowed = match setting.scope {
            Scope::ReadOnly => false,
            Scope::PerBroker => target == Target::ThisBroker,
            Scope::ClusterWide => true,
        };
        if allowed {
            Ok(())
        } else {
            Err(ConfigError::new(
                name,
                &Place::Request,
                Problem::NotDynamic { scope: setting.scope },
            ))
        }
    }

    /// Sets a value.
    ///
    /// # Errors
    /// Those of [`Self::validate`]; nothing is changed then.
    pub fn set(&mut self, target: Target, name: &str, text: &str) -> Result<(), ConfigError> {
        Self::validate(target, name, text)?;
        self.values_mut(target).insert(name.into(), text.trim().into());
        Ok(())
    }

    /// Takes a value away; the next weaker one holds again. Says whether there was one.
    pub fn remove(&mut self, target: Target, name: &str) -> bool {
        self.values_mut(target).remove(name).is_some()
    }

    /// Puts back a value that was checked when it was first set, for example one read from the metadata log.
    pub fn restore(&mut self, target: Target, name: &str, text: &str) {
        self.values_mut(target).insert(name.into(), text.into());
    }

    /// The values of one target, ordered by name.
    #[must_use]
    pub fn values(&self, target: Target) -> &BTreeMap<String, String> {
        match target {
            Target::AllBrokers => &self.all_brokers,
            Target::ThisBroker => &self.this_broker,
        }
    }

    fn values_mut(&mut self, target: Target) -> &mut BTreeMap<String, String> {
        match target {
            Target::AllBrokers => &mut self.all_brokers,
            Target::ThisBroker => &mut self.this_broker,
        }
    }
}
