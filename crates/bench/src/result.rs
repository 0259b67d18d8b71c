//! The figures of a cell over all repeats: medians, spreads, and ratios within one repeat.

use std::collections::BTreeMap;
use std::fmt;

use crate::cell::Cell;
use crate::class::Class;
use crate::metric::{Figures, Metric};
use crate::subject::Kind;

/// One cell in one class.
pub(crate) struct CellResult {
    pub(crate) cell: Cell,
    pub(crate) class: Class,
    /// Figures per subject and repeat, in order; `None` where that run failed.
    pub(crate) runs: BTreeMap<Kind, Vec<Option<Figures>>>,
    pub(crate) failures: Vec<String>,
    /// The busiest that the machine was, with every subject stopped, before a run: percent of one processor.
    pub(crate) background_percent_max: f64,
}

/// A median with the least and the most.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

/// A ratio of figures of the same repeat: median with the least and the most.
pub(crate) type Ratio = Spread;

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.least < self.most {
            true => write!(f, "{:.2} ({:.2} to {:.2})", self.median, self.least, self.most),
            false => write!(f, "{:.2}", self.median),
        }
    }
}

impl CellResult {
    pub(crate) fn new(cell: Cell, class: Class) -> Self {
        Self {
            cell,
            class,
            runs: BTreeMap::new(),
            failures: Vec::new(),
            background_percent_max: 0.0,
        }
    }

    /// Every metric that any subject has, in order.
    pub(crate) fn metrics(&self) -> Vec<Metric> {
        let mut metrics: Vec<Metric> = self
            .runs
            .values()
            .flatten()
            .flatten()
            .flatten()
            .map(|&(metric, _)| metric)
            .collect();
        metrics.sort_unstable();
        metrics.dedup();
        metrics
    }

    /// Median and spread of a subject's figure.
    pub(crate) fn spread(&self, kind: Kind, metric: Metric) -> Option<Spread> {
        spread(self.values(kind, metric).into_iter().flatten().collect())
    }

    /// The figure that counts: the median, or the worst where every single one counts.
    pub(crate) fn figure(&self, kind: Kind, metric: Metric) -> Option<f64> {
        let spread = self.spread(kind, metric)?;
        Some(if metric.worst_counts() {
            spread.most
        } else {
            spread.median
        })
    }

    /// One subject's figure over another's of the same repeat, so that slow drifts of the machine cancel out.
    pub(crate) fn ratio(&self, kind: Kind, other: Kind, metric: Metric) -> Option<Ratio> {
        let pairs = self.values(kind, metric).into_iter().zip(self.values(other, metric));
        let ratios = pairs.filter_map(|(one, other)| Some(one? / other.filter(|&other| other > 0.0)?));
        spread(ratios.collect())
    }

    fn values(&self, kind: Kind, metric: Metric) -> Vec<Option<f64>> {
        let find = |figures: &Figures| figures.iter().find(|figure| figure.0 == metric).map(|figure| figure.1);
        let runs = self.runs.get(&kind).map_or(&[][..], Vec::as_slice);
        runs.iter().map(|figures| figures.as_ref().and_then(find)).collect()
    }
}

/// Median and ends of `values`; `None` without any.
pub(crate) fn spread(mut values: Vec<f64>) -> Option<Spread> {
    values.sort_unstable_by(f64::total_cmp);
    let (&least, &most) = (values.first()?, values.last()?);
    let (low, high) = (values[(values.len() - 1) / 2], values[values.len() / 2]);
    Some(Spread {
        median: f64::midpoint(low, high),
        least,
        most,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_has_the_middle_and_both_ends() {
        let odd = spread(vec![3.0, 1.0, 2.0]);
        assert_eq!(
            odd,
            Some(Spread {
                median: 2.0,
                least: 1.0,
                most: 3.0
            })
        );
        assert_eq!(spread(vec![1.0, 2.0]).map(|spread| spread.median), Some(1.5));
        assert_eq!(spread(Vec::new()), None);
    }

    #[test]
    fn ratios_pair_figures_of_one_repeat_and_skip_failures() {
        let mut result = CellResult::new(Cell::OneInFlight, Class::Written);
        let run = |value| Some(vec![(Metric::AckP50, value)]);
        result.runs.insert(Kind::Floor, vec![run(10.0), run(20.0), run(40.0)]);
        result.runs.insert(Kind::Hallows, vec![run(20.0), None, run(40.0)]);
        let ratio = result.ratio(Kind::Hallows, Kind::Floor, Metric::AckP50);
        assert_eq!(
            ratio,
            Some(Spread {
                median: 1.5,
                least: 1.0,
                most: 2.0
            })
        );
    }
}
