//! Git object databases: found, read and walked without git and without obeying their configuration.

pub mod walk;
