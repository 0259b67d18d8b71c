//! Whether the cluster is still there.
//!
//! A reader waits out errors that may pass, and so cannot tell a silent topic from an absent broker.

use std::time::{Duration, Instant};

use hallows_client::{Client, ClientError};

use crate::output;

/// The pause between two looks while no record comes.
const INTERVAL: Duration = Duration::from_secs(1);

/// What is known of the cluster's presence.
pub(super) struct Presence {
    looked: Instant,
    /// Since when nobody has answered.
    absent_since: Option<Instant>,
    /// How long it may be absent.
    patience: Duration,
}

impl Presence {
    pub(super) fn new(patience: Duration) -> Self {
        Self {
            looked: Instant::now(),
            absent_since: None,
            patience,
        }
    }

    /// Records came.
    pub(super) fn seen(&mut self) {
        self.looked = Instant::now();
        self.absent_since = None;
    }

    /// No record came: looks, if it is time to.
    ///
    /// # Errors
    /// Why nobody answers, once that has lasted too long.
    pub(super) fn look(&mut self, client: &mut Client) -> Result<(), ClientError> {
        if self.looked.elapsed() < INTERVAL {
            return Ok(());
        }
        let answer = client.refresh(Some(&[]));
        self.looked = Instant::now();
        match answer {
            Ok(_) => self.absent_since = None,
            Err(error) => {
                if self.absent_since.is_none() {
                    output::remark(format_args!(
                        "warning: {error} Trying for {} s.",
                        self.patience.as_secs()
                    ));
                }
                let since = *self.absent_since.get_or_insert(self.looked);
                if since.elapsed() >= self.patience {
                    return Err(error);
                }
            }
        }
        Ok(())
    }
}
