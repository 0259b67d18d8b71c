//! Consumer groups as a pure state machine: events in, rows and answers out.
