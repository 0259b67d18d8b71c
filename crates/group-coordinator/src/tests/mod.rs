//! State-machine tests: events in, exact effects out.
