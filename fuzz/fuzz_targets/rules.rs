//! Rule files from bytes: parsed, compiled, and used on a text.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use unsprawl::detect::candidate::Scratch;
use unsprawl::detect::{Cuts, Scanner};
use unsprawl::model::Confidence;
use unsprawl::rules::{self, Catalog, Selection};

const TEXT: &[u8] = b"token = \"abc_0123456789abcdefABCDEF\"\nkey: 0123456789\nhttps://user:pass@host/path\n\xff\x00";

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let file = match rules::parse("fuzz.toml", text) {
        Ok(file) => file,
        Err(fault) => {
            assert!(fault.line >= 1 && fault.column >= 1 && fault.line <= text.lines().count() + 1, "{fault}");
            return;
        }
    };
    let _ = rules::ask::compile_all(&file.0, &file.1);
    let Ok(catalog) = Catalog::build(&[file], &Selection::default()) else { return };
    if catalog.tokens.iter().any(|token| token.compiles().is_err()) {
        return;
    }
    let scanner = Scanner::new(Arc::new(catalog), Confidence::Low);
    let _ = scanner.scan(TEXT, &mut Scratch::default(), &mut Cuts::default());
});
