//! How long after a change of the directory was acknowledged all nodes act on it, as they tell it themselves.

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use sterna_cluster_tests::sterna::Sterna;

use super::Stage;
use super::stage::HOARDER;
use crate::book::percentile;
use crate::server::address;

/// Changes in one run.
const CHANGES: usize = 200;
/// After so many changes all nodes are asked for the account, to see that they do what they say.
const LOOKED_AT: usize = 20;

pub(super) fn measure(stage: &mut Stage<'_>) -> Result<()> {
    stage.settle();
    let mut run = 0;
    stage.runs(|stage| {
        run += 1;
        let changes = if stage.options.is_quick { LOOKED_AT } else { CHANGES };
        let meter = stage.meter();
        let mut waits = Vec::with_capacity(changes);
        let nodes = stage.server.nodes();
        for change in 0..changes {
            let name = format!("change {change} of run {run}");
            waits.push(rename(nodes[change % nodes.len()], &name, nodes.len())?);
            if change % LOOKED_AT == 0 {
                nodes.iter().try_for_each(|node| has_name(node, &name))?;
            }
        }
        let load = meter.read();
        for (key, part) in [("config-p50", 0.5), ("config-p99", 0.99), ("config-most", 1.0)] {
            let value = percentile(&mut waits, part).context("nothing was changed")?;
            stage.record(key, value, load);
        }
        Ok(())
    })
}

/// Changes the account on one node. Gives the milliseconds from then until all had told that it is in force.
fn rename(node: &Sterna, name: &str, nodes: usize) -> Result<f64> {
    let changed = node.cli(&["account", "set", &address(HOARDER), "--name", name, "--json"]).stdout;
    let in_force = serde_json::from_str::<Value>(&changed)?["in_force"].take();
    if in_force["on_nodes"].as_u64() != Some(nodes as u64) {
        bail!("{name} is in force on fewer than {nodes} nodes: {in_force}");
    }
    in_force["milliseconds"].as_f64().context("how long it took is not told")
}

fn has_name(node: &Sterna, name: &str) -> Result<()> {
    let shown = node.cli(&["account", "show", &address(HOARDER), "--json"]).stdout;
    match serde_json::from_str::<Value>(&shown)?["name"].as_str() {
        Some(found) if found == name => Ok(()),
        found => bail!("a node said that {name:?} is in force, and tells {found:?}"),
    }
}
