//! Record batches: built for requests, described from answers.
//!
//! A builder of its own, so that the broker's code is not its own witness. Batches of the four codecs come from the
//! files that Kafka's and other clients wrote (`crates/record/testdata`).

use super::codec::hex;

/// Where the checksum begins to count: at the attributes.
const CHECKED_FROM: usize = 21;
/// Bytes in front of the first record.
const HEADER_BYTES: usize = 61;
/// The time of the first record of every batch built here, unless a scenario says otherwise: as recent as the
/// brokers' bound on timestamps wants it, and the same on every run.
pub(crate) const FIRST_TIMESTAMP: i64 = 1_700_000_000_000;

/// CRC-32C, bit by bit: speed does not matter here.
pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0x82f6_3b78 & 0u32.wrapping_sub(crc & 1))
        })
    })
}

/// What one record carries.
type KeyAndValue = (Option<Vec<u8>>, Option<Vec<u8>>);

/// What a batch says, true or not.
#[derive(Clone)]
pub(crate) struct Batch {
    pub(crate) base_offset: i64,
    pub(crate) magic: u8,
    pub(crate) attributes: i16,
    pub(crate) first_timestamp: i64,
    /// Of each record after the first, in milliseconds.
    pub(crate) step_ms: i64,
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i16,
    pub(crate) base_sequence: i32,
    /// Key and value of each record.
    pub(crate) records: Vec<KeyAndValue>,
    /// Added to the number of records that the header tells.
    pub(crate) count_lie: i32,
    /// Added to the last offset delta that the header tells.
    pub(crate) delta_lie: i32,
    /// Added to the largest timestamp that the header tells.
    pub(crate) max_timestamp_lie: i64,
    /// Whether the checksum is wrong.
    pub(crate) crc_lie: bool,
}

impl Batch {
    /// `count` records with keys and values that tell their numbers.
    pub(crate) fn of(count: usize) -> Self {
        let record = |number| {
            (
                Some(format!("k{number}").into_bytes()),
                Some(format!("v{number}").into_bytes()),
            )
        };
        Self {
            base_offset: 0,
            magic: 2,
            attributes: 0,
            first_timestamp: FIRST_TIMESTAMP,
            step_ms: 1,
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
            records: (0..count).map(record).collect(),
            count_lie: 0,
            delta_lie: 0,
            max_timestamp_lie: 0,
            crc_lie: false,
        }
    }

    /// One record with a value of `bytes` bytes.
    pub(crate) fn sized(bytes: usize) -> Self {
        Self {
            records: vec![(None, Some(vec![b'x'; bytes]))],
            ..Self::of(0)
        }
    }

    /// The same by an idempotent producer.
    pub(crate) fn by(self, producer_id: i64, producer_epoch: i16, base_sequence: i32) -> Self {
        Self {
            producer_id,
            producer_epoch,
            base_sequence,
            ..self
        }
    }

    /// Its bytes.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let count = i32::try_from(self.records.len()).expect("scenarios are small");
        let mut checked = Vec::new();
        checked.extend(self.attributes.to_be_bytes());
        checked.extend((count - 1 + self.delta_lie).to_be_bytes());
        checked.extend(self.first_timestamp.to_be_bytes());
        let last = self.first_timestamp + self.step_ms * i64::from((count - 1).max(0));
        checked.extend((last + self.max_timestamp_lie).to_be_bytes());
        checked.extend(self.producer_id.to_be_bytes());
        checked.extend(self.producer_epoch.to_be_bytes());
        checked.extend(self.base_sequence.to_be_bytes());
        checked.extend((count + self.count_lie).to_be_bytes());
        for (delta, (key, value)) in (0..).zip(&self.records) {
            put_record(
                &mut checked,
                delta,
                self.step_ms * delta,
                key.as_deref(),
                value.as_deref(),
            );
        }
        let crc = crc32c(&checked) ^ u32::from(self.crc_lie);
        let mut batch = self.base_offset.to_be_bytes().to_vec();
        let length = i32::try_from(checked.len() + CHECKED_FROM - 12).expect("scenarios are small");
        batch.extend(length.to_be_bytes());
        batch.extend((-1i32).to_be_bytes());
        batch.push(self.magic);
        batch.extend(crc.to_be_bytes());
        batch.extend(checked);
        batch
    }

    /// Its bytes as a request carries them.
    pub(crate) fn hex(&self) -> String {
        hex(&self.bytes())
    }
}

fn put_zigzag(out: &mut Vec<u8>, value: i64) {
    super::codec::put_varint(out, ((value << 1) ^ (value >> 63)).cast_unsigned());
}

fn put_record(out: &mut Vec<u8>, delta: i64, time: i64, key: Option<&[u8]>, value: Option<&[u8]>) {
    let mut record = vec![0];
    put_zigzag(&mut record, time);
    put_zigzag(&mut record, delta);
    for part in [key, value] {
        let length = part.map_or(-1, |part| i64::try_from(part.len()).expect("a slice fits"));
        put_zigzag(&mut record, length);
        record.extend(part.unwrap_or_default());
    }
    put_zigzag(&mut record, 0);
    put_zigzag(out, i64::try_from(record.len()).expect("a record fits"));
    out.extend(record);
}

/// What every batch in `bytes` says, one word per batch. `producer` gives an id its symbol.
pub(crate) fn describe(mut bytes: &[u8], mut producer: impl FnMut(i64) -> String) -> Vec<String> {
    let mut words = Vec::new();
    while !bytes.is_empty() {
        let whole = (bytes.len() >= HEADER_BYTES)
            .then(|| usize::try_from(number(bytes, 8, 4) + 12).ok())
            .flatten()
            .filter(|whole| (HEADER_BYTES..=bytes.len()).contains(whole));
        let Some(whole) = whole else {
            words.push(format!("{} bytes of a batch", bytes.len()));
            break;
        };
        let (batch, rest) = bytes.split_at(whole);
        words.push(describe_batch(batch, &mut producer));
        bytes = rest;
    }
    words
}

fn number(bytes: &[u8], at: usize, width: usize) -> i64 {
    let mut wide = [if bytes[at] >= 0x80 { 0xff } else { 0 }; 8];
    wide[8 - width..].copy_from_slice(&bytes[at..at + width]);
    i64::from_be_bytes(wide)
}

fn describe_batch(batch: &[u8], producer: &mut impl FnMut(i64) -> String) -> String {
    let attributes = number(batch, 21, 2);
    let assigned = attributes & 8 != 0;
    let time = |at| match number(batch, at, 8) {
        time if assigned && time > FIRST_TIMESTAMP => "now".to_owned(),
        time => (time - FIRST_TIMESTAMP).to_string(),
    };
    let crc = if number(batch, 17, 4) & 0xffff_ffff == i64::from(crc32c(&batch[CHECKED_FROM..])) {
        ""
    } else {
        " crc wrong"
    };
    format!(
        "offset {} +{} epoch {} attributes {attributes} time {} to {} producer {} {} {} records {} payload {:08x}{crc}",
        number(batch, 0, 8),
        number(batch, 23, 4),
        number(batch, 12, 4),
        if assigned { "-".to_owned() } else { time(27) },
        time(35),
        producer(number(batch, 43, 8)),
        number(batch, 51, 2),
        number(batch, 53, 4),
        number(batch, 57, 4),
        crc32c(&batch[HEADER_BYTES..]),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_one_of_kafka() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        let theirs = include_bytes!("../../../crates/record/testdata/java-small-none.bin");
        let words = describe(theirs, |id| id.to_string());
        assert_eq!(words.len(), 1);
        assert!(
            words[0].contains("records 3") && !words[0].contains("crc wrong"),
            "{words:?}"
        );
    }

    #[test]
    fn a_batch_is_described_by_what_it_says() {
        let batch = Batch::of(3).by(7, 1, 5);
        let words = describe(&batch.bytes(), |id| format!("P{id}"));
        let expected = "offset 0 +2 epoch -1 attributes 0 time 0 to 2 producer P7 1 5 records 3 payload";
        assert!(words[0].starts_with(expected), "{words:?}");
        let lying = Batch {
            crc_lie: true,
            ..Batch::of(1)
        };
        assert!(describe(&lying.bytes(), |id| id.to_string())[0].ends_with("crc wrong"));
        assert_eq!(
            describe(&batch.bytes()[..70], |_| String::new()),
            ["70 bytes of a batch"]
        );
    }
}
