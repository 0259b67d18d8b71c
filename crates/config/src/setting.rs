//! What one line of the table says about one setting.
//!
//! Everything here is `const` data: a setting is described once, and parsing, validation, the answers to
//! DescribeConfigs and `docs/config.md` all read the same line. Nothing here parses or decides.

/// Which kind of resource a setting belongs to. Names are unique within a resource, not across them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Resource {
    /// The process: set in a file, the environment, flags, or dynamically.
    Broker,
    /// One topic: set when it is created or altered.
    Topic,
    /// One consumer group.
    Group,
}

impl Resource {
    /// The word used in messages.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Broker => "broker",
            Self::Topic => "topic",
            Self::Group => "group",
        }
    }
}

/// The type of a value, as Kafka names it.
///
/// # Source
/// `DescribeConfigsResponse.ConfigType` for the numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// `true` or `false`, in any case.
    Boolean,
    /// Text, taken as it stands.
    String,
    /// A signed 32-bit integer.
    Int,
    /// A signed 16-bit integer.
    Short,
    /// A signed 64-bit integer.
    Long,
    /// A decimal fraction.
    Double,
    /// Words separated by commas.
    List,
    /// The name of a class; only ever described.
    Class,
    /// Text that is never shown again.
    Password,
}

impl Kind {
    /// The number DescribeConfigs (version 3 and later) carries for this type.
    #[must_use]
    pub const fn wire_id(self) -> i8 {
        match self {
            Self::Boolean => 1,
            Self::String => 2,
            Self::Int => 3,
            Self::Short => 4,
            Self::Long => 5,
            Self::Double => 6,
            Self::List => 7,
            Self::Class => 8,
            Self::Password => 9,
        }
    }

    /// The name in lower case, as in `docs/config.md`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::String => "string",
            Self::Int => "int",
            Self::Short => "short",
            Self::Long => "long",
            Self::Double => "double",
            Self::List => "list",
            Self::Class => "class",
            Self::Password => "password",
        }
    }

    /// The largest whole number the type holds; `None` for types that are not whole numbers.
    #[must_use]
    pub const fn max_integer(self) -> Option<i64> {
        match self {
            Self::Short => Some(0x7fff),
            Self::Int => Some(0x7fff_ffff),
            Self::Long => Some(i64::MAX),
            _ => None,
        }
    }

    /// The smallest whole number the type holds; `None` for types that are not whole numbers.
    #[must_use]
    pub const fn min_integer(self) -> Option<i64> {
        match self {
            Self::Short => Some(-0x8000),
            Self::Int => Some(-0x8000_0000),
            Self::Long => Some(i64::MIN),
            _ => None,
        }
    }
}

/// What a number counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unit {
    /// Not a quantity.
    None,
    /// Bytes.
    Bytes,
    /// Millionths of a second.
    Microseconds,
    /// Thousandths of a second.
    Milliseconds,
    /// Minutes.
    Minutes,
    /// Hours.
    Hours,
    /// A number of things, named by the setting.
    Count,
}

impl Unit {
    /// The word used in messages and in `docs/config.md`; empty when there is no unit.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Bytes => "bytes",
            Self::Microseconds => "microseconds",
            Self::Milliseconds => "milliseconds",
            Self::Minutes => "minutes",
            Self::Hours => "hours",
            Self::Count => "count",
        }
    }
}

/// Which values a setting takes, beyond what its [`Kind`] says.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Bounds {
    /// Every value of the type.
    Any,
    /// Whole numbers, both ends inclusive.
    Range {
        /// The smallest value allowed.
        min: i64,
        /// The largest value allowed.
        max: i64,
    },
    /// -1 (unlimited), or a whole number of at least 1.
    UnlimitedOrPositive,
    /// A fraction, both ends inclusive.
    Fraction {
        /// The smallest value allowed.
        min: f64,
        /// The largest value allowed.
        max: f64,
    },
    /// One of these words, spelt exactly so.
    OneOf(&'static [&'static str]),
    /// A list whose every member is one of these words.
    EachOf(&'static [&'static str]),
    /// A list of `NAME://host:port`.
    Listeners,
    /// A list of `NAME:PROTOCOL`.
    ProtocolMap,
    /// Empty, `*`, or a list of `PARTITION:BROKER`.
    Replicas,
    /// A cluster's id: 16 bytes in the letters of Kafka's ids.
    ClusterId,
    /// Exactly one path.
    OnePath,
}

/// When a broker setting may change. Topic and group settings can always be altered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope {
    /// Only before the start.
    ReadOnly,
    /// While running, for one broker by its id.
    PerBroker,
    /// While running, for one broker or for all of them at once.
    ClusterWide,
}

impl Scope {
    /// The words used in `docs/config.md`.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::ReadOnly => "read-only",
            Self::PerBroker => "per broker",
            Self::ClusterWide => "cluster-wide",
        }
    }
}

/// Whose name this is: it decides whether the default has to equal Kafka's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// Apache Kafka has a setting of this name with this meaning.
    Kafka,
    /// The setting exists only here.
    Own,
}

/// Whether a value other than the default does anything.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Honoured {
    /// Every value within the bounds takes effect.
    Honoured,
    /// Every value within the bounds is stored and described, and none of them changes anything: what it asks for
    /// cannot arise here, or is done better anyway.
    Inert {
        /// Why; the end of a sentence that begins with "because".
        reason: &'static str,
    },
    /// The setting is described, but any value except its default and `allowed` is refused: accepting it would be a lie.
    FixedForNow {
        /// Further values, beside the default, that describe what happens anyway.
        allowed: &'static [&'static str],
        /// Why no other value can be honoured; the end of a sentence that begins with "because".
        reason: &'static str,
    },
}

/// One line of the table.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Setting {
    /// The name, Kafka's where the meaning is Kafka's.
    pub name: &'static str,
    /// Whose setting it is.
    pub resource: Resource,
    /// The type of its value.
    pub kind: Kind,
    /// What its number counts.
    pub unit: Unit,
    /// The value that holds when none is given, in text; `None` is Kafka's null.
    pub default: Option<&'static str>,
    /// Which values are valid.
    pub bounds: Bounds,
    /// When it may change.
    pub scope: Scope,
    /// Whether the name is Kafka's.
    pub origin: Origin,
    /// Whether it does anything.
    pub honoured: Honoured,
    /// Whether its value must never be shown.
    pub sensitive: bool,
    /// For a topic or a group: the broker settings it inherits from, the strongest first.
    /// For a broker: all names of the same quantity, the strongest first, itself included; empty when it is the only one.
    pub synonyms: &'static [&'static str],
    /// One or two sentences for people.
    pub doc: &'static str,
}

impl Setting {
    const fn new(resource: Resource, name: &'static str, kind: Kind, doc: &'static str) -> Self {
        Self {
            name,
            resource,
            kind,
            unit: Unit::None,
            default: None,
            bounds: Bounds::Any,
            scope: Scope::ReadOnly,
            origin: Origin::Kafka,
            honoured: Honoured::Honoured,
            sensitive: matches!(kind, Kind::Password),
            synonyms: &[],
            doc,
        }
    }

    /// A read-only broker setting of Kafka's, without default or bounds.
    #[must_use]
    pub const fn broker(name: &'static str, kind: Kind, doc: &'static str) -> Self {
        Self::new(Resource::Broker, name, kind, doc)
    }

    /// A topic setting of Kafka's, without default or bounds.
    #[must_use]
    pub const fn topic(name: &'static str, kind: Kind, doc: &'static str) -> Self {
        Self::new(Resource::Topic, name, kind, doc)
    }

    /// A group setting of Kafka's, without default or bounds.
    #[must_use]
    pub const fn group(name: &'static str, kind: Kind, doc: &'static str) -> Self {
        Self::new(Resource::Group, name, kind, doc)
    }

    /// Sets the default.
    #[must_use]
    pub const fn default(mut self, value: &'static str) -> Self {
        self.default = Some(value);
        self
    }

    /// Sets the unit.
    #[must_use]
    pub const fn unit(mut self, unit: Unit) -> Self {
        self.unit = unit;
        self
    }

    /// Sets the bounds.
    #[must_use]
    pub const fn bounds(mut self, bounds: Bounds) -> Self {
        self.bounds = bounds;
        self
    }

    /// Bounds a whole number from below, and by its type from above.
    ///
    /// # Panics
    /// While compiling, when the setting is no whole number.
    #[must_use]
    pub const fn at_least(self, min: i64) -> Self {
        let max = self
            .kind
            .max_integer()
            .expect("only whole numbers are bounded by at_least");
        self.bounds(Bounds::Range { min, max })
    }

    /// Bounds a whole number from both sides, both ends inclusive.
    #[must_use]
    pub const fn between(self, min: i64, max: i64) -> Self {
        self.bounds(Bounds::Range { min, max })
    }

    /// Limits the value to these words.
    #[must_use]
    pub const fn one_of(self, words: &'static [&'static str]) -> Self {
        self.bounds(Bounds::OneOf(words))
    }

    /// Lets the value change while running, for all brokers or for one.
    #[must_use]
    pub const fn dynamic(mut self) -> Self {
        self.scope = Scope::ClusterWide;
        self
    }

    /// Lets the value change while running, for one broker only.
    #[must_use]
    pub const fn per_broker(mut self) -> Self {
        self.scope = Scope::PerBroker;
        self
    }

    /// Marks a setting that Kafka does not have.
    #[must_use]
    pub const fn own(mut self) -> Self {
        self.origin = Origin::Own;
        self
    }

    /// Names the synonyms, the strongest first.
    #[must_use]
    pub const fn synonyms(mut self, names: &'static [&'static str]) -> Self {
        self.synonyms = names;
        self
    }

    /// Takes every value and does nothing with it, for a reason that completes "because ...".
    #[must_use]
    pub const fn inert(mut self, reason: &'static str) -> Self {
        self.honoured = Honoured::Inert { reason };
        self
    }

    /// Refuses every value except the default, for a reason that completes "because ...".
    #[must_use]
    pub const fn fixed(self, reason: &'static str) -> Self {
        self.fixed_but(&[], reason)
    }

    /// Refuses every value except the default and these, for a reason that completes "because ...".
    #[must_use]
    pub const fn fixed_but(mut self, allowed: &'static [&'static str], reason: &'static str) -> Self {
        self.honoured = Honoured::FixedForNow { allowed, reason };
        self
    }

    /// Whether the broker refuses to change it while running.
    #[must_use]
    pub const fn is_read_only(&self) -> bool {
        matches!(self.resource, Resource::Broker) && matches!(self.scope, Scope::ReadOnly)
    }
}
