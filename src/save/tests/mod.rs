//! Where bytes go, and how they come to stand there.

mod layout;
mod staging;
