//! One table of settings: name, unit, default, bounds and documentation.
