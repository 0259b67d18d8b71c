//! Fixtures, the model log and conformance suites for tests.
