//! Tests of the directory over the naive engine: tables of resolutions, the change log, and a model.

mod change;
mod fixture;
mod manage;
mod model;
mod resolve;
