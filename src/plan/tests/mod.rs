//! Whole plans: laws, what an edited one gets, coverage, and the files beside the weights.

mod companions;
mod coverage;
mod damage;
mod edited;
mod laws;
mod modules;
mod quantized;
mod rules;
