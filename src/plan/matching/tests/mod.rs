//! Where values come from, before they are made to fit.

mod coverage;
mod depth;
mod dialects;
mod laws;
mod names;
mod prefixes;
mod rules;
mod sequences;
mod ties;
