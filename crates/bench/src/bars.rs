//! The bars that a broker has to pass, and whether it did.

use crate::cell::Cell;
use crate::class::Class;
use crate::metric::Metric;
use crate::result::{CellResult, Ratio};
use crate::subject::Kind;

/// A bound on one figure of hallows.
#[derive(Clone, Copy)]
enum Rule {
    /// At most this many times another subject's figure.
    AtMost(Kind, f64),
    /// At least this many times another subject's figure.
    AtLeast(Kind, f64),
    /// At most this value.
    Below(f64),
    /// At least this value.
    Above(f64),
    /// At least 2 times Kafka's, or 0.8 times the floor's where 2 times Kafka's exceeds that.
    TwiceKafkaOrNearFloor,
    /// At most this value, unless the floor of the run exceeded it as well.
    BelowUnlessFloor(f64),
}

/// One bar.
struct Bar {
    cell: Cell,
    class: Class,
    metric: Metric,
    rule: Rule,
}

/// One bar and how it went.
pub(crate) struct Verdict {
    pub(crate) subject: String,
    pub(crate) bar: String,
    pub(crate) measured: String,
    /// `None` when something that the bar compares with was not measured.
    pub(crate) met: Option<bool>,
}

const LONGEST_ACK_MS: f64 = 100.0;

fn bars() -> Vec<Bar> {
    use Class::{Fsync, Written};
    use Kind::{Floor, Kafka};
    use Metric::{AckMax, AckP50, AckP99, AcksPerFlush, BytesPerSecond, CpuPerGb, CpuPerMillion, RecordsPerSecond};
    let bar = |cell, class, metric, rule| Bar {
        cell,
        class,
        metric,
        rule,
    };
    let mut bars = vec![
        bar(Cell::OneInFlight, Written, AckP50, Rule::AtMost(Floor, 1.2)),
        bar(Cell::OneInFlight, Written, AckP99, Rule::AtMost(Floor, 1.5)),
        bar(Cell::OpenLoop, Written, AckP99, Rule::AtMost(Floor, 1.5)),
        bar(Cell::OpenLoop, Written, CpuPerMillion, Rule::AtMost(Floor, 2.5)),
    ];
    for cell in [Cell::Throughput100, Cell::Throughput1k] {
        bars.push(bar(cell, Written, RecordsPerSecond, Rule::TwiceKafkaOrNearFloor));
        bars.push(bar(cell, Written, CpuPerMillion, Rule::AtMost(Floor, 1.5)));
        bars.push(bar(cell, Written, CpuPerMillion, Rule::AtMost(Kafka, 1.0)));
    }
    for cell in [
        Cell::OneInFlight,
        Cell::OpenLoop,
        Cell::Throughput100,
        Cell::Throughput1k,
        Cell::Housekeeping,
    ] {
        bars.push(bar(cell, Written, AckMax, Rule::BelowUnlessFloor(LONGEST_ACK_MS)));
    }
    bars.extend([
        bar(
            Cell::Connections,
            Written,
            Metric::RequestsPerSecond,
            Rule::AtLeast(Kafka, 1.5),
        ),
        bar(Cell::Connections, Written, CpuPerMillion, Rule::AtMost(Kafka, 0.5)),
        bar(Cell::OneInFlight, Fsync, AckP50, Rule::AtMost(Floor, 1.3)),
        bar(Cell::OpenLoop, Fsync, RecordsPerSecond, Rule::Above(4_950.0)),
        bar(Cell::OpenLoop, Fsync, AckP99, Rule::Below(5_000.0)),
        bar(
            Cell::Connections,
            Fsync,
            Metric::RequestsPerSecond,
            Rule::AtLeast(Kafka, 8.0),
        ),
        bar(Cell::Connections, Fsync, AckP99, Rule::AtMost(Kafka, 0.1)),
        bar(Cell::Connections, Fsync, AcksPerFlush, Rule::Above(10.0)),
        bar(Cell::Consume, Written, BytesPerSecond, Rule::AtLeast(Kafka, 1.0)),
        bar(Cell::Consume, Written, CpuPerGb, Rule::AtMost(Kafka, 0.5)),
        bar(Cell::Memory1, Fsync, Metric::IdleMemory, Rule::Below(25.0)),
        bar(Cell::Memory1000, Fsync, Metric::IdleMemory, Rule::Below(40.0)),
        bar(Cell::Memory1000, Fsync, Metric::IdleCpu, Rule::Below(1.0)),
        bar(Cell::Start, Fsync, Metric::Start, Rule::Below(100.0)),
        bar(Cell::FetchSessions, Written, Metric::SessionRatio, Rule::Below(2.0)),
    ]);
    bars
}

/// Judges every bar whose cell was run.
pub(crate) fn judge(results: &[CellResult]) -> Vec<Verdict> {
    bars()
        .iter()
        .filter_map(|bar| {
            let result = results
                .iter()
                .find(|result| result.cell == bar.cell && result.class == bar.class)?;
            Some(bar.judge(result))
        })
        .collect()
}

impl Bar {
    fn judge(&self, result: &CellResult) -> Verdict {
        let (bar, measured, met) = match self.rule {
            Rule::AtMost(kind, times) => {
                let text = format!("at most {times} × {}", kind.name());
                self.judge_ratio(result, kind, text, |ratio| ratio <= times)
            }
            Rule::AtLeast(kind, times) => {
                let text = format!("at least {times} × {}", kind.name());
                self.judge_ratio(result, kind, text, |ratio| ratio >= times)
            }
            Rule::Below(bound) => self.judge_value(result, format!("at most {bound}"), |value| value <= bound),
            Rule::Above(bound) => self.judge_value(result, format!("at least {bound}"), |value| value >= bound),
            Rule::TwiceKafkaOrNearFloor => self.judge_throughput(result),
            Rule::BelowUnlessFloor(bound) => {
                let excused = result
                    .figure(Kind::Floor, self.metric)
                    .is_some_and(|floor| floor > bound);
                let text = format!("at most {bound}, unless the floor had one above");
                self.judge_value(result, text, |value| value <= bound || excused)
            }
        };
        let subject = format!("{}, {}: {}", self.class.name(), self.cell.title(), self.metric.label());
        Verdict {
            subject,
            bar,
            measured,
            met,
        }
    }

    fn judge_value(
        &self,
        result: &CellResult,
        bar: String,
        met: impl Fn(f64) -> bool,
    ) -> (String, String, Option<bool>) {
        match result.figure(Kind::Hallows, self.metric) {
            Some(value) => (bar, crate::report::figure(value), Some(met(value))),
            None => (bar, "not measured".to_owned(), None),
        }
    }

    fn judge_ratio(
        &self,
        result: &CellResult,
        other: Kind,
        bar: String,
        met: impl Fn(f64) -> bool,
    ) -> (String, String, Option<bool>) {
        match result.ratio(Kind::Hallows, other, self.metric) {
            Some(ratio) => (bar, format!("{ratio} × {}", other.name()), Some(met(ratio.median))),
            None => (bar, format!("{} not measured", other.name()), None),
        }
    }

    fn judge_throughput(&self, result: &CellResult) -> (String, String, Option<bool>) {
        let bar = "at least 2 × Kafka, or 0.8 × floor where that is less".to_owned();
        let ratio = |kind| result.ratio(Kind::Hallows, kind, self.metric);
        let (kafka, floor) = (ratio(Kind::Kafka), ratio(Kind::Floor));
        let shown = |ratio: Option<Ratio>, name| {
            ratio.map_or(format!("{name} not measured"), |ratio| format!("{ratio} × {name}"))
        };
        let measured = format!("{}, {}", shown(kafka, "Kafka"), shown(floor, "floor"));
        let passes = |ratio: Option<Ratio>, bound: f64| ratio.map(|ratio| ratio.median >= bound);
        // Passing the lower of the two requirements means passing either.
        let met = match (passes(kafka, 2.0), passes(floor, 0.8)) {
            (Some(kafka), Some(floor)) => Some(kafka || floor),
            _ => None,
        };
        (bar, measured, met)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(cell: Cell, class: Class, metric: Metric, figures: &[(Kind, f64)]) -> CellResult {
        let mut result = CellResult::new(cell, class);
        for &(kind, figure) in figures {
            result.runs.insert(kind, vec![Some(vec![(metric, figure)])]);
        }
        result
    }

    /// The verdict on the first bar of a cell that is about `metric`.
    fn verdict(cell: Cell, metric: Metric, figures: &[(Kind, f64)]) -> Option<bool> {
        let verdicts = judge(&[result(cell, Class::Written, metric, figures)]);
        let found = verdicts
            .into_iter()
            .find(|verdict| verdict.subject.ends_with(metric.label()));
        found.expect("there is such a bar").met
    }

    #[test]
    fn bars_are_met_missed_or_left_open() {
        use Kind::{Floor, Hallows, Kafka};
        let ack = |hallows, floor| verdict(Cell::OneInFlight, Metric::AckP50, &[(Floor, floor), (Hallows, hallows)]);
        assert_eq!(ack(60.0, 50.0), Some(true));
        assert_eq!(ack(61.0, 50.0), Some(false));
        assert_eq!(verdict(Cell::OneInFlight, Metric::AckP50, &[(Hallows, 1.0)]), None);
        let rate = |hallows| {
            let figures = [(Floor, 3.0), (Hallows, hallows), (Kafka, 1.8)];
            verdict(Cell::Throughput100, Metric::RecordsPerSecond, &figures)
        };
        assert_eq!(rate(2.5), Some(true), "0.8 times the floor is below 2 times Kafka");
        assert_eq!(rate(2.3), Some(false));
    }

    #[test]
    fn a_long_acknowledgement_is_excused_by_one_of_the_floor() {
        use Kind::{Floor, Hallows};
        let longest = |hallows, floor| verdict(Cell::OpenLoop, Metric::AckMax, &[(Floor, floor), (Hallows, hallows)]);
        assert_eq!(longest(99.0, 5.0), Some(true));
        assert_eq!(longest(101.0, 5.0), Some(false));
        assert_eq!(longest(101.0, 120.0), Some(true));
    }
}
