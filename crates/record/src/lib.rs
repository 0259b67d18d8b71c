//! Kafka record batches, version 2: header view, checksum, compression, records.
