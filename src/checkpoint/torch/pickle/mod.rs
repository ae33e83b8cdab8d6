//! Pickles, protocols 0 to 5: parsed into values and never executed. What would call something becomes an object that
//! remembers callable and arguments; what would run code is refused by its name.

mod code;
mod input;
mod machine;
mod scalar;
mod value;

pub(super) use input::Input;
pub(super) use machine::load;
pub(super) use value::{Id, Node, Object, Values};
