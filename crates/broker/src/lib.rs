//! Shards, routing, one handler per request, metadata and coordinator hosting.
