//! What was measured, by figure and server.

use std::collections::BTreeMap;

use crate::figure::{FIGURES, Figure, Goal};
use crate::host::meter::Load;

/// The name of the server that is compared with the others.
pub(crate) const OWN: &str = "sterna";
/// The same as three voters: compared with one server in some figures, and alone in others.
pub(crate) const CLUSTER: &str = "cluster";

/// One run's figure.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    /// In the figure's unit.
    pub(crate) value: f64,
    /// How busy the machine was meanwhile, if it was measured.
    pub(crate) load: Option<Load>,
}

/// All samples and all that went wrong.
#[derive(Debug, Default)]
pub(crate) struct Book {
    samples: BTreeMap<(&'static str, &'static str), Vec<Sample>>,
    /// Server, group of rows, error.
    pub(crate) failures: Vec<(&'static str, &'static str, String)>,
}

/// Least, middle and greatest of some samples.
#[derive(Debug, Clone)]
pub(crate) struct Spread {
    /// Each run's value, in order.
    pub(crate) runs: Vec<f64>,
    pub(crate) least: f64,
    pub(crate) median: f64,
    pub(crate) most: f64,
    /// How busy the machine was in the worst of the runs.
    pub(crate) load: Option<Load>,
}

impl Book {
    /// Writes one run's figure down.
    pub(crate) fn record(&mut self, key: &'static str, server: &'static str, value: f64, load: Option<Load>) {
        debug_assert!(FIGURES.iter().any(|figure| figure.key == key), "{key} is no figure");
        let sample = Sample { value, load };
        self.samples.entry((key, server)).or_default().push(sample);
    }

    /// The servers of which the figure was measured, Sterna first.
    pub(crate) fn servers(&self, key: &str) -> Vec<&'static str> {
        let mut servers: Vec<&'static str> =
            self.samples.keys().filter(|(figure, _)| *figure == key).map(|(_, server)| *server).collect();
        servers.sort_by_key(|server| *server != OWN);
        servers
    }

    /// What the runs of a figure gave.
    pub(crate) fn spread(&self, key: &'static str, server: &'static str) -> Option<Spread> {
        let samples = self.samples.get(&(key, server))?;
        let runs: Vec<f64> = samples.iter().map(|sample| sample.value).collect();
        let mut sorted = runs.clone();
        sorted.sort_by(f64::total_cmp);
        let load = samples.iter().filter_map(|sample| sample.load).reduce(Load::worse);
        let (least, most) = (*sorted.first()?, *sorted.last()?);
        Some(Spread { runs, least, median: median(&sorted)?, most, load })
    }

    /// The peer whose median is the best, and that median.
    pub(crate) fn best_peer(&self, figure: &Figure) -> Option<(&'static str, f64)> {
        let peers = self.servers(figure.key).into_iter().filter(|server| *server != OWN);
        let medians = peers.filter_map(|peer| Some((peer, self.spread(figure.key, peer)?.median)));
        medians.reduce(|best, other| if (other.1 > best.1) == figure.more_is_better() { other } else { best })
    }

    /// Sterna's median against the figure that it is compared with, and the name of that one.
    pub(crate) fn ratio(&self, figure: &Figure) -> Option<(f64, &'static str)> {
        let own = self.spread(figure.key, OWN)?.median;
        let (other, name) = match figure.goal {
            Goal::TimesOwn(key, _) => (self.spread(key, OWN)?.median, key),
            _ => self.best_peer(figure).map(|(peer, median)| (median, peer))?,
        };
        (other > 0.0).then_some((own / other, name))
    }

    /// Whether the goal is reached; `None` if there is none, or nothing to compare with.
    pub(crate) fn is_reached(&self, figure: &Figure) -> Option<bool> {
        let own = self.spread(figure.key, OWN).or_else(|| self.spread(figure.key, CLUSTER))?.median;
        match figure.goal {
            Goal::TimesPeer(times) | Goal::TimesOwn(_, times) => Some(self.ratio(figure)?.0 >= times),
            Goal::AtMostTimesPeer(times) => Some(self.ratio(figure)?.0 <= times),
            Goal::AtMost(most) => Some(own <= most),
            Goal::Stated => None,
        }
    }
}

/// The middle of sorted values.
fn median(sorted: &[f64]) -> Option<f64> {
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    Some(if sorted.len() % 2 == 1 { upper } else { (sorted[middle - 1] + upper) / 2.0 })
}

/// The value below which this part of the values lies (nearest rank).
pub(crate) fn percentile(values: &mut [f64], part: f64) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let rank = (values.len() as f64 * part).ceil() as usize;
    values.get(rank.saturating_sub(1)).copied()
}
