//! The table itself: every setting there is, one `const` line each, and the look-ups over it.

mod broker;
mod group;
mod log;
mod topic;

use crate::setting::{Resource, Setting};

/// The settings of one kind of resource, in the order of the documentation.
#[must_use]
pub const fn settings(resource: Resource) -> &'static [&'static [Setting]] {
    match resource {
        Resource::Broker => &[broker::SETTINGS, log::SETTINGS, group::BROKER_SETTINGS],
        Resource::Topic => &[topic::SETTINGS],
        Resource::Group => &[group::SETTINGS],
    }
}

/// Every setting of a resource, one after the other.
pub fn all(resource: Resource) -> impl Iterator<Item = &'static Setting> {
    settings(resource).iter().flat_map(|part| part.iter())
}

/// The setting of this resource with exactly this name.
#[must_use]
pub fn find(resource: Resource, name: &str) -> Option<&'static Setting> {
    all(resource).find(|setting| setting.name == name)
}
