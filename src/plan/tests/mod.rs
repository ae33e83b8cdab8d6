//! Whole plans: laws, what an edited one gets, coverage, and the files beside the weights.

mod companions;
mod coverage;
mod edited;
mod laws;
mod quantized;
mod rules;
