//! The engine on the double of `cluster-tests/fdb-double`, whose faults are told in the cluster file; or, where
//! `FDB_CLUSTER_FILE` is set, on that cluster through the system's client library. A process loads one of the
//! two, so that tests which need faults pass over a real cluster.

mod cluster;
mod conformance;
mod doubt;
mod edges;
mod moving;
