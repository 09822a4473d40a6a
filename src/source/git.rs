//! Git object databases: found, read and walked without git and without obeying their configuration.

pub mod alternates;
pub mod budget;
pub mod delta;
pub mod floor;
pub mod forest;
pub mod index;
pub mod inflate;
pub mod loose;
pub mod pack;
pub mod plan;
pub mod store;
pub mod walk;
pub mod walker;
