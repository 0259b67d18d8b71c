//! Connection state machines: framing, answer slots, backpressure.
