//! Commits and annotated tags.
#![no_main]

use libfuzzer_sys::fuzz_target;
use unsprawl::model::ObjectId;
use unsprawl::source::git::commit;

fuzz_target!(|data: &[u8]| {
    for width in [20, 32] {
        let _ = commit::header(data, width);
    }
    if let Some(id) = ObjectId::from_bytes(&[1; 20]) {
        let info = commit::info(id, data);
        assert!(info.subject.chars().count() <= 200, "the subject is bounded");
    }
    let _ = commit::tag_target(data);
});
