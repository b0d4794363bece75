//! The values of metrics at the time of a scrape, as `prometheus-client` encodes them.

use std::borrow::Cow;
use std::fmt;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use super::{Counter, Durations};

/// The values of `L` labels.
type Values<const L: usize> = [Cow<'static, str>; L];

/// Counters that differ in `L` labels.
#[derive(Debug)]
pub(super) struct Counters<const L: usize> {
    keys: [&'static str; L],
    series: Vec<(Values<L>, u64)>,
}

/// Histograms that differ in `L` labels.
#[derive(Debug)]
pub(super) struct Histograms<const L: usize> {
    keys: [&'static str; L],
    series: Vec<(Values<L>, Histogram)>,
}

#[derive(Debug)]
struct Histogram {
    sum: f64,
    buckets: Vec<(f64, u64)>,
}

impl Counters<0> {
    /// A counter without labels.
    pub(super) fn one(counter: &Counter) -> Self {
        Self::new([], [([], counter.get())])
    }
}

impl<const L: usize> Counters<L> {
    /// Takes the names of the labels, and the counts with the values of the labels.
    pub(super) fn new(
        keys: [&'static str; L],
        series: impl IntoIterator<Item = (Values<L>, u64)>,
    ) -> Self {
        let series = series.into_iter().collect();
        Self { keys, series }
    }

    /// Takes the names of the labels, and the counters with the values of the labels.
    pub(super) fn read<'a>(
        keys: [&'static str; L],
        series: impl IntoIterator<Item = ([&'static str; L], &'a Counter)>,
    ) -> Self {
        let series = series.into_iter();
        Self::new(
            keys,
            series.map(|(values, counter)| (values.map(Cow::from), counter.get())),
        )
    }
}

impl<const L: usize> Histograms<L> {
    /// Takes the names of the labels, and the durations with the values of the labels.
    pub(super) fn read<'a>(
        keys: [&'static str; L],
        series: impl IntoIterator<Item = ([&'static str; L], &'a Durations)>,
    ) -> Self {
        let series = series.into_iter().map(|(values, durations)| {
            let histogram = Histogram {
                sum: durations.sum(),
                buckets: durations.buckets(),
            };
            (values.map(Cow::from), histogram)
        });
        Self {
            keys,
            series: series.collect(),
        }
    }
}

impl<const L: usize> EncodeMetric for Counters<L> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        for (values, count) in &self.series {
            let labels = labels(&self.keys, values);
            let mut encoder = encoder.encode_family(&labels)?;
            encoder.encode_counter::<NoLabelSet, _, u64>(count, None)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Counter
    }
}

impl<const L: usize> EncodeMetric for Histograms<L> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        for (values, Histogram { sum, buckets }) in &self.series {
            let labels = labels(&self.keys, values);
            let mut encoder = encoder.encode_family(&labels)?;
            let count = buckets.iter().map(|(_, count)| count).sum();
            encoder.encode_histogram::<NoLabelSet>(*sum, count, buckets, None)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

fn labels<'a, const L: usize>(
    keys: &'a [&'static str; L],
    values: &'a Values<L>,
) -> [(&'a str, &'a str); L] {
    std::array::from_fn(|at| (keys[at], values[at].as_ref()))
}

/// The version of the program, as the label of a gauge.
#[derive(Debug)]
pub(super) struct BuildInfo;

impl EncodeMetric for BuildInfo {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let labels = [("version", env!("CARGO_PKG_VERSION"))];
        encoder.encode_family(&labels)?.encode_gauge(&1_i64)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Gauge
    }
}
