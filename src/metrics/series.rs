//! Metrics with labels.
//!
//! The `Family` of `prometheus-client` takes a lock and hashes the labels for each observation. Here every
//! series is a counter of its own, and a handler keeps those of its route.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;

use super::Durations;

/// Counters that differ in the values of `L` labels.
#[derive(Debug)]
pub(super) struct Series<const L: usize> {
    keys: [&'static str; L],
    counters: Vec<([&'static str; L], Counter)>,
}

impl<const L: usize> Series<L> {
    /// Takes the names of the labels, and the counters with their values.
    pub(super) fn new<'a>(
        keys: [&'static str; L],
        counters: impl IntoIterator<Item = ([&'static str; L], &'a Counter)>,
    ) -> Self {
        let counters = counters.into_iter();
        Self {
            keys,
            counters: counters
                .map(|(values, counter)| (values, counter.clone()))
                .collect(),
        }
    }
}

impl<const L: usize> EncodeMetric for Series<L> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        for (values, counter) in &self.counters {
            let labels: [(&str, &str); L] = std::array::from_fn(|at| (self.keys[at], values[at]));
            counter.encode(encoder.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Counter
    }
}

/// The status codes of our responses. Any other counts as the last one.
const STATUSES: [u16; 18] = [
    200, 201, 204, 307, 400, 401, 403, 404, 405, 408, 409, 413, 415, 422, 429, 500, 503, 0,
];

/// The metrics of one route.
#[derive(Debug, Default)]
pub struct RouteMetrics {
    statuses: [Counter; STATUSES.len()],
    durations: Durations,
}

impl RouteMetrics {
    /// Counts a request.
    pub fn observe(&self, status: u16, duration: Duration) {
        let known = STATUSES.iter().position(|known| *known == status);
        self.statuses[known.unwrap_or(STATUSES.len() - 1)].inc();
        self.durations.observe(duration);
    }
}

/// The metrics of all routes. A clone has the same routes.
#[derive(Clone, Debug, Default)]
pub(super) struct Routes(Arc<Mutex<BTreeMap<&'static str, Arc<RouteMetrics>>>>);

impl Routes {
    pub(super) fn route(&self, route: &'static str) -> Arc<RouteMetrics> {
        let mut routes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(routes.entry(route).or_default())
    }

    fn try_for_each(
        &self,
        mut encode: impl FnMut(&'static str, &RouteMetrics) -> fmt::Result,
    ) -> fmt::Result {
        let routes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        routes
            .iter()
            .try_for_each(|(route, metrics)| encode(route, metrics))
    }
}

/// The requests of [`Routes`], by route and status.
#[derive(Debug)]
pub(super) struct Requests(pub(super) Routes);

impl EncodeMetric for Requests {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        self.0.try_for_each(|route, metrics| {
            let counted = STATUSES.iter().zip(&metrics.statuses);
            for (status, counter) in counted.filter(|(_, counter)| counter.get() > 0) {
                let labels = [("route", route), ("status", &status.to_string())];
                counter.encode(encoder.encode_family(&labels)?)?;
            }
            Ok(())
        })
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Counter
    }
}

/// The response times of [`Routes`], by route.
#[derive(Debug)]
pub(super) struct RequestDurations(pub(super) Routes);

impl EncodeMetric for RequestDurations {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        self.0.try_for_each(|route, metrics| {
            let labels = [("route", route)];
            metrics.durations.encode(encoder.encode_family(&labels)?)
        })
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}
