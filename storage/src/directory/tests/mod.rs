//! Tests of the directory over the naive engine: tables of resolutions, the change log, and a model.

mod change;
mod cut_off;
mod fixture;
mod manage;
mod many;
mod model;
mod resolve;
