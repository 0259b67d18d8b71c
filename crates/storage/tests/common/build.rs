//! Building record batches.

use bytes::BytesMut;
use hallows_record::{BatchBuilder, Codec, NewRecord, Producer};
use hallows_types::WallTime;

pub fn batch(timestamps: &[i64], value: &[u8], codec: Codec, producer: Option<(i64, i16, i32)>) -> BytesMut {
    let mut builder = BatchBuilder::new(codec);
    if let Some((id, epoch, base_sequence)) = producer {
        builder = builder.with_producer(Producer {
            id,
            epoch,
            base_sequence,
        });
    }
    for timestamp in timestamps {
        let record = NewRecord {
            timestamp: WallTime(*timestamp),
            value: Some(value),
            ..NewRecord::default()
        };
        builder.append(&record).expect("a small record");
    }
    BytesMut::from(&builder.build().expect("a small batch")[..])
}
