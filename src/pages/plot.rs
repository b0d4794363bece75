//! Plots of hourly values as SVG, and the same values as a table. A pure function of the data: no script,
//! no clock and no time zone but UTC.

use std::fmt::Write;

use chrono::{NaiveDateTime, TimeDelta};

/// The width of an hour in the SVG, and the gap to the next one. The page stretches the SVG, so only the
/// ratio counts.
const HOUR_WIDTH: usize = 10;
const GAP: usize = 2;

/// The height of the SVG.
const HEIGHT: u64 = 100;

/// How many hours the axis names, without the end.
const TICKS: usize = 4;

/// One kind of value of each hour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Series {
    /// What it is called.
    pub(crate) label: &'static str,
    /// The class of its bars in the stylesheet.
    pub(crate) class: &'static str,
    /// A value for each hour; `None` if there is none, which is not 0.
    pub(crate) values: Vec<Option<u64>>,
}

/// Values of consecutive hours, one bar for each hour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plot {
    /// The beginning of the first hour, UTC.
    start: NaiveDateTime,
    series: Vec<Series>,
    /// Whether each series begins at 0 and shows where it is higher than those before it, in place of being stacked
    /// on them.
    is_nested: bool,
}

/// A row of the table: an hour with the values of all series.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) hour: String,
    pub(crate) values: Vec<String>,
}

impl Plot {
    /// A plot that begins with an hour, UTC, of parts that are stacked.
    pub(crate) fn new(start: NaiveDateTime, series: Vec<Series>) -> Self {
        Self {
            start,
            series,
            is_nested: false,
        }
    }

    /// The same of values none of which is a part of another, the smallest first.
    pub(crate) fn nested(start: NaiveDateTime, series: Vec<Series>) -> Self {
        Self {
            is_nested: true,
            ..Self::new(start, series)
        }
    }

    pub(crate) fn series(&self) -> &[Series] {
        &self.series
    }

    /// Whether no hour has a value above 0.
    pub(crate) fn is_empty(&self) -> bool {
        let mut values = self.series.iter().flat_map(|series| &series.values);
        values.all(|value| value.unwrap_or(0) == 0)
    }

    /// The bars, from left to right. It has no text: the page names the axes, in its own size.
    pub(crate) fn svg(&self) -> String {
        let (hours, top) = (self.hours(), self.top());
        let width = hours.max(1) * HOUR_WIDTH;
        let mut svg = format!(
            r#"<svg class="plot" viewBox="0 0 {width} {HEIGHT}" preserveAspectRatio="none" aria-hidden="true" focusable="false">"#
        );
        for y in [0, HEIGHT / 2, HEIGHT] {
            // Writing to a text cannot fail.
            let _ = write!(
                svg,
                r#"<line class="grid" x1="0" x2="{width}" y1="{y}" y2="{y}"/>"#
            );
        }
        let mut below = vec![0; hours];
        for series in &self.series {
            let _ = write!(svg, r#"<path class="{}" d=""#, series.class);
            for (hour, below) in below.iter_mut().enumerate() {
                let value = series.values.get(hour).copied().flatten().unwrap_or(0);
                let end = self.end(*below, value);
                let (low, high) = (scaled(*below, top), scaled(end, top));
                if end > std::mem::replace(below, end) {
                    // A single event among thousands is seen as well.
                    let height = (high - low).max(100);
                    let y = hundredths((HEIGHT * 100).saturating_sub(low + height));
                    let (x, bar) = (hour * HOUR_WIDTH + GAP / 2, HOUR_WIDTH - GAP);
                    let height = hundredths(height);
                    let _ = write!(svg, "M{x} {y}h{bar}v{height}h-{bar}z");
                }
            }
            svg.push_str(r#""/>"#);
        }
        svg.push_str("</svg>");
        svg
    }

    /// The labels of the vertical axis, from the top: as much as the highest bar, half of it, and 0.
    pub(crate) fn scale(&self) -> [String; 3] {
        let top = self.top();
        [short(top), short(top / 2), short(0)]
    }

    /// The labels of the horizontal axis: with the time of day, or for several days with the date.
    pub(crate) fn ticks(&self) -> Vec<String> {
        let hours = self.hours();
        let format = if hours > 48 { "%m-%d" } else { "%H:00" };
        let step = (hours / TICKS).max(1);
        let ticks = (0..hours)
            .step_by(step)
            .map(|hour| self.hour(hour).format(format));
        ticks.map(|tick| tick.to_string()).collect()
    }

    /// The same values, an hour in each row, the latest first.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let row = |hour: usize| {
            let value = |series: &Series| match series.values.get(hour).copied().flatten() {
                Some(value) => value.to_string(),
                None => "–".to_owned(),
            };
            Row {
                hour: self.hour(hour).format("%Y-%m-%d %H:00").to_string(),
                values: self.series.iter().map(value).collect(),
            }
        };
        (0..self.hours()).rev().map(row).collect()
    }

    /// Where the bar of a value ends that begins at `below`.
    fn end(&self, below: u64, value: u64) -> u64 {
        match self.is_nested {
            true => below.max(value),
            false => below.saturating_add(value),
        }
    }

    fn hours(&self) -> usize {
        let lengths = self.series.iter().map(|series| series.values.len());
        lengths.max().unwrap_or(0)
    }

    fn hour(&self, hour: usize) -> NaiveDateTime {
        let hours = i64::try_from(hour).unwrap_or(i64::MAX);
        let after = TimeDelta::try_hours(hours).unwrap_or(TimeDelta::zero());
        self.start.checked_add_signed(after).unwrap_or(self.start)
    }

    /// The value at the top of the axis: 2, 4 or 10 times a power of 10, at least as much as the highest
    /// bar, so that half of it is a whole number.
    fn top(&self) -> u64 {
        let bar = |hour: usize| {
            let values = self.series.iter().map(|series| series.values.get(hour));
            values.fold(0_u64, |below, value| {
                self.end(below, value.copied().flatten().unwrap_or(0))
            })
        };
        let highest = (0..self.hours()).map(bar).max().unwrap_or(0);
        let mut power: u64 = 1;
        loop {
            for factor in [2, 4, 10] {
                let top = power.saturating_mul(factor);
                if top >= highest || top == u64::MAX {
                    return top;
                }
            }
            power = power.saturating_mul(10);
        }
    }
}

/// A value's height in hundredths.
fn scaled(value: u64, top: u64) -> u64 {
    let height = u128::from(value) * u128::from(HEIGHT * 100) / u128::from(top.max(1));
    u64::try_from(height).unwrap_or(HEIGHT * 100)
}

fn hundredths(value: u64) -> String {
    match value % 100 {
        0 => (value / 100).to_string(),
        rest => format!("{}.{rest:02}", value / 100),
    }
}

/// A number with few digits: `1200` is `1.2k`.
pub(crate) fn short(value: u64) -> String {
    let units = [(1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")];
    match units.into_iter().find(|(unit, _)| value >= *unit) {
        None => value.to_string(),
        Some((unit, name)) => match value % unit * 10 / unit {
            0 => format!("{}{name}", value / unit),
            tenth => format!("{}.{tenth}{name}", value / unit),
        },
    }
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDate;

    use super::*;

    fn plot(day: (i32, u32, u32), values: Vec<Option<u64>>) -> Plot {
        let day = NaiveDate::from_ymd_opt(day.0, day.1, day.2).unwrap();
        let series = Series {
            label: "Sign-ins",
            class: "one",
            values,
        };
        Plot::new(day.and_hms_opt(0, 0, 0).unwrap(), vec![series])
    }

    /// The days on which Europe changes its clocks, and America another one.
    #[test]
    fn every_day_has_24_different_hours() {
        for day in [(2026, 10, 25), (2026, 3, 29), (2026, 3, 8), (2026, 11, 1)] {
            let plot = plot(day, (0..48).map(Some).collect());
            let rows = plot.rows();
            let hours: std::collections::BTreeSet<&str> =
                rows.iter().map(|row| row.hour.as_str()).collect();
            assert_eq!(hours.len(), 48, "{day:?}");
            let date = format!("{}-{:02}-{:02} ", day.0, day.1, day.2);
            assert_eq!(
                rows.iter()
                    .filter(|row| row.hour.starts_with(&date))
                    .count(),
                24
            );
            assert_eq!(rows[47].hour, format!("{date}00:00"));
            assert_eq!(rows[0].values, ["47"]);
            assert_eq!(plot.ticks().len(), 4);
        }
    }

    #[test]
    fn empty_plots_have_axes_and_no_bars() {
        for values in [vec![], vec![None; 24], vec![Some(0); 24]] {
            let plot = plot((2026, 1, 1), values);
            assert!(plot.is_empty());
            let svg = plot.svg();
            assert!(
                !svg.contains('M') && !svg.contains("NaN") && !svg.contains("inf"),
                "{svg}"
            );
            assert_eq!(svg.matches("<line").count(), 3);
            assert_eq!(plot.scale(), ["2", "1", "0"]);
        }
        assert_eq!(Plot::new(NaiveDateTime::MIN, Vec::new()).rows(), []);
    }

    #[test]
    fn bars_are_as_high_as_their_values() {
        let one = plot((2026, 1, 1), vec![Some(1)]);
        assert!(
            one.svg()
                .contains(r#"<path class="one" d="M1 50h8v50h-8z"/>"#)
        );
        let gaps = plot((2026, 1, 1), vec![Some(3), None, Some(0), Some(4)]);
        let svg = gaps.svg();
        assert!(
            svg.contains(r#"d="M1 25h8v75h-8zM31 0h8v100h-8z""#),
            "{svg}"
        );
        let values: Vec<Vec<String>> = gaps.rows().into_iter().map(|row| row.values).collect();
        assert_eq!(values, [["4"], ["0"], ["–"], ["3"]]);
        for most in [1_000_000_000, u64::MAX] {
            let huge = plot((2026, 1, 1), vec![Some(1), Some(most)]);
            let svg = huge.svg();
            assert!(svg.contains(r#"d="M1 99h8v1h-8zM11 "#), "{svg}");
        }
        assert_eq!(
            plot((2026, 1, 1), vec![Some(1_000_000_000)]).scale(),
            ["1G", "500M", "0"]
        );
    }

    #[test]
    fn series_are_stacked() {
        let mut plot = plot((2026, 1, 1), vec![Some(2), Some(1)]);
        let other = Series {
            label: "Refused",
            class: "two",
            values: vec![Some(2), None],
        };
        plot.series.push(other);
        let svg = plot.svg();
        assert!(svg.contains(r#"class="one" d="M1 50h8v50h-8z"#), "{svg}");
        assert!(svg.contains(r#"class="two" d="M1 0h8v50h-8z""#), "{svg}");
        assert_eq!(plot.rows()[0].values, ["1", "–"]);
    }

    #[test]
    fn nested_series_begin_at_zero() {
        let nested = |values: [[Option<u64>; 2]; 2]| {
            let series = ["one", "two"].into_iter().zip(values);
            let series = series.map(|(class, values)| Series {
                label: class,
                class,
                values: values.to_vec(),
            });
            Plot::nested(NaiveDateTime::MIN, series.collect())
        };
        let plot = nested([[Some(2), Some(1)], [Some(4), Some(1)]]);
        assert_eq!(plot.scale(), ["4", "2", "0"]);
        let svg = plot.svg();
        assert!(
            svg.contains(r#"class="one" d="M1 50h8v50h-8zM11 75"#),
            "{svg}"
        );
        assert!(svg.contains(r#"class="two" d="M1 0h8v50h-8z""#), "{svg}");
        assert_eq!(plot.rows()[1].values, ["2", "4"]);
    }

    #[test]
    fn numbers_are_short() {
        for (value, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1k"),
            (1_250, "1.2k"),
            (2_000_000, "2M"),
        ] {
            assert_eq!(short(value), text);
        }
    }
}
