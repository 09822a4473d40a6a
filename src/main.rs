//! The `unsprawl` command: parse, run, exit code.
fn main() {}
