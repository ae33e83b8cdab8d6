mod depth;
mod flags;
mod pattern;
